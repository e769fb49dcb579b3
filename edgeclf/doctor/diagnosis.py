"""Examines a model and reports what was found: the whole of `inspect --doctor`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import Normalization
from edgeclf.artifact.onnx_file import OnnxFile
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.artifact.tflite_source_editor import list_quantized
from edgeclf.doctor.examination import Examination
from edgeclf.doctor.findings import CHECKS, NEEDS
from edgeclf.doctor.findings.lossy_layer import steps_of
from edgeclf.doctor.report import DoctorReport, Finding
from edgeclf.errors import InputError, ModelError, RunFailedError
from edgeclf.inference.engine import check_threads
from edgeclf.measure.formatting import milliseconds
from edgeclf.measure.machine import Machine, describe_machine
from edgeclf.measure.stopwatch import undisturbed
from edgeclf.progress import SILENT, Progress

FLOAT_MODELS = ("float32", "float16")
"""Recipes whose models are float: what a run folder is looked into for as the baseline."""
_GRAVEST = ("high", "medium", "low")
_FAR_APART, _LEAST_MILLISECONDS = 2.0, 0.05


def diagnose(
    model: str | Path,
    *,
    data: str | Path | None = None,
    baseline: str | Path | None = None,
    threads: int = 1,
    normalization: Normalization | None = None,
    fit: str | None = None,
    progress: Progress = SILENT,
) -> DoctorReport:
    """Find out why a model is not faster, smaller or as accurate.

    Args:
        model: a `.tflite` file, a run folder, or the name of a zoo model.
        data: labelled images; None: nothing that needs photos is looked for.
        baseline: a float `.tflite` of the same network, or the run folder that has one.
        threads: that it is timed with.
        normalization: how pixels enter a network from elsewhere; None: by its file, or measured.
        fit: how pictures of another shape come to its input; None: by its file.
        progress: where bars go.

    Raises:
        ModelError: the model cannot be run, or `baseline` is no float model.
        InputError: `threads` is not between 1 and 256, or `baseline` comes without `data`.
    """
    check_threads(threads)
    if baseline is not None and data is None:
        raise InputError("--baseline is compared layer by layer on images; give some with --data")
    if fit is not None and data is None:
        raise InputError("--fit says how photos come to the input; give some with --data")
    file = ModelFile.read(locate_model(model))
    if isinstance(file, OnnxFile):
        raise ModelError(f"{file.name}: --doctor examines .tflite files, got an ONNX file")
    machine = describe_machine()  # before its own load
    beside = None if baseline is None else find_float_model(baseline, steps_of(file))
    examination = Examination(
        file,
        threads=threads,
        baseline=beside,
        data=data,
        normalization=normalization,
        fit=fit,
        progress=progress,
    )
    with undisturbed():
        return _report(examination, {name: _check(name, examination) for name in CHECKS}, machine)


def _check(name: str, examination: Examination) -> list[Finding]:
    """Return what one check finds; where the model cannot be run for it, a note, so that the others are not lost."""
    try:
        return list(CHECKS[name](examination))
    except (ModelError, RunFailedError) as error:
        examination.skip(name, f"{name} was not looked at: {error}")
        return []


def find_float_model(given: str | Path, steps: Sequence[Any] = ()) -> ModelFile:
    """Read the float model that layers are compared with.

    Args:
        given: its file, or a run folder.
        steps: that the examined model was made with; of a run the float model made with the same is taken, or without.

    Raises:
        ModelError: there is none, or it is quantized.
    """
    path = Path(given)
    if RunFolder.is_one(path):
        path = _find_float_file(path, steps)
    file = ModelFile.read(locate_model(path))
    if isinstance(file, OnnxFile):
        raise ModelError(f"{path}: expected a float .tflite model, got an ONNX file")
    if list_quantized(file.graph):
        raise ModelError(f"{path}: expected a float model, got one that is quantized")
    return file


def _find_float_file(run: Path, steps: Sequence[Any]) -> Path:
    """Find the model of a run that is float, made with `steps`, else with the weights as they were trained.

    Raises:
        ModelError: there is none.
    """
    made: dict[tuple[bool, str], Path] = {}
    for model in RunFolder(run).models():
        file = ModelFile.read(model)
        recipe: Mapping[str, Any] = {} if file.provenance is None else file.provenance.recipe
        kind, own = str(recipe.get("name")).rpartition("-")[2], steps_of(file)
        if kind in FLOAT_MODELS and own in ([], list(steps)):
            made.setdefault((own == list(steps), kind), model)
    found = next((made[same, name] for same in (True, False) for name in FLOAT_MODELS if (same, name) in made), None)
    if found is None:
        raise ModelError(f"{run}: no float model in it; run: edgeclf compress {shlex.quote(str(run))} --float32")
    return found


def _report(examination: Examination, found: Mapping[str, Sequence[Finding]], machine: Machine) -> DoctorReport:
    findings = [finding for several in found.values() for finding in several]
    file, images = examination.file, examination.images
    spent = sum(operator.microseconds or 0.0 for operator in examination.operators)
    alone, whole = spent / 1e3, examination.whole.undisturbed(0) / 1e3
    if whole >= _LEAST_MILLISECONDS and not 1 / _FAR_APART <= alone / whole <= _FAR_APART:
        examination.notes.append(
            f"the operators one by one take {milliseconds(alone)} and the whole {milliseconds(whole)}: the machine is "
            "busy, or the runtime fuses what was timed alone; shares of the time are rough"
        )
    # what was found without its options was looked for
    missing = {name: needs for name, (has_all, needs) in NEEDS.items() if not (has_all(examination) or found[name])}
    return DoctorReport(
        path=str(file.path or file.name),
        size_bytes=len(file.content),
        cpu=machine.processor,
        cores=machine.cores,
        load_average=machine.load_average,
        runtime=examination.session.engine,
        runtime_version=examination.session.engine_version,
        threads=examination.threads,
        findings=tuple(sorted(findings, key=lambda f: (_GRAVEST.index(f.severity), -(f.fraction or 0.0)))),
        whole_ms=round(whole, 6),
        sum_ms=round(alone, 6),
        thread_times=examination.thread_times,
        operators=examination.operators,
        images=0 if images is None else len(images.pixels),
        image_source="" if images is None else images.source,
        checked=tuple(name for name in CHECKS if name not in missing and name not in examination.skipped),
        unchecked=missing,
        notes=tuple(dict.fromkeys(examination.notes)),
    )
