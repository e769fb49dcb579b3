"""The public functions: one a command, each returning a frozen report with a JSON round trip.

Host modules (TensorFlow, scikit-learn, matplotlib, ...) are imported inside the functions that need them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from edgeclf.errors import UnknownNameError
from edgeclf.extras import extras, installed, require
from edgeclf.plugins import with_plugins
from edgeclf.progress import SILENT, Progress

if TYPE_CHECKING:
    from edgeclf.artifact.inspection import InspectReport
    from edgeclf.compression.compress_report import CompressReport
    from edgeclf.compression.recipe import Recipe
    from edgeclf.dataset import Dataset, Split
    from edgeclf.dataset.auditing import AuditReport
    from edgeclf.inference.photos import PredictReport
    from edgeclf.inference.verification import VerifyReport
    from edgeclf.measure.baseline import BaselineNetwork
    from edgeclf.measure.plan import BenchPlan
    from edgeclf.measure.report import BenchReport
    from edgeclf.measure.subjects import DatasetLoader
    from edgeclf.streaming.loop.result import LiveSummary
    from edgeclf.streaming.loop.settings import LiveSettings
    from edgeclf.streaming.loop.state import LiveState, Output
    from edgeclf.training.callbacks import TrainingCallback
    from edgeclf.training.config import TrainConfig
    from edgeclf.training.run_record import TrainReport

_HOST = ("tensorflow", "tf_keras", "tensorflow_model_optimization", "sklearn", "matplotlib", "flatbuffers")


def audit(data: str | Path, *, progress: Progress = SILENT) -> AuditReport:
    """Look a data set over before training: counts, unreadable and odd files, duplicates, leaks between splits.

    Args:
        data: a folder, a manifest or a name.
        progress: where bars are shown.

    Raises:
        DataError: `data` is not there, or nothing in it is usable.
    """
    from edgeclf.dataset import audit as audit_data

    with extras("audit"):
        return audit_data(data, progress=progress)


@with_plugins
def train(
    data: str | Path | None = None,
    config: TrainConfig | None = None,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    trust_model: bool = False,
    progress: Progress = SILENT,
    callbacks: Sequence[TrainingCallback] = (),
    **settings: Any,
) -> TrainReport:
    """Train a float Keras network into a run folder.

    Args:
        data: a folder, a manifest or a name; None: the embedded `digits`.
        config: how; what it leaves open is chosen by the data and the machine.
        out: the run folder; None: `runs/NAME`.
        resume: start where there is nothing, continue where there is a checkpoint, report where the run is finished.
        overwrite: replace an earlier run in `out`.
        trust_model: load a `weights` file even if that runs code from it.
        progress: where bars are shown.
        callbacks: called after each epoch; each may end the training.
        settings: fields of `TrainConfig`, over those of `config`: `edgeclf.train("photos", epochs=30)`.

    Raises:
        UnknownNameError: there is no such setting or network; the nearest known name is given.
        InputError: data, configuration or output cannot be used.
        MissingExtraError: TensorFlow is not installed.
        RunFailedError: the training diverged, or the disk is full.
    """
    require("train", *_HOST)
    from edgeclf.dataset import probe
    from edgeclf.training.config import TrainConfig
    from edgeclf.training.networks import find_network

    with extras("train"):
        config = (config or TrainConfig()).replace(**settings)
        # Misspelt names are reported before the seconds that an import of TensorFlow takes.
        if config.model is not None:
            find_network(config.model)
        probe("digits" if data is None else data)
        with progress.task("loading TensorFlow", None):
            from edgeclf.training.run import train as train_network

        return train_network(
            data,
            config,
            out=out,
            resume=resume,
            overwrite=overwrite,
            trust_model=trust_model,
            progress=progress,
            callbacks=callbacks,
        )


@with_plugins
def compress(
    source: str | Path,
    *,
    recipes: str | Recipe | Sequence[str | Recipe] | None = None,
    int8: bool = False,
    float16: bool = False,
    dynamic: bool = False,
    int16x8: bool = False,
    float32: bool = False,
    qat: bool = False,
    prune: float | str | None = None,
    cluster: int | None = None,
    data: str | Path | Dataset | None = None,
    calibration: int = 500,
    io: str = "uint8",
    input_range: tuple[float, float] | None = None,
    out: str | Path | None = None,
    trust_model: bool = False,
    overwrite: bool = False,
    seed: int = 0,
    progress: Progress = SILENT,
    **settings: Any,
) -> CompressReport:
    """Turn a float network into model files: one a recipe, or one a format, each with all the changes.

        edgeclf.compress("runs/photos", recipes=["int8", "qat-int8", "prune50-qat-int8"])

    Args:
        source: a run folder, a `.keras` or `.h5` file, a SavedModel.
        recipes: recipes or their short names; training that they have in common is done once. None: the formats and
            changes below name them.
        int8: full integer.
        float16: weights in float16.
        dynamic: weights in int8, activations in float.
        int16x8: weights in int8, activations in int16.
        float32: unchanged numbers.
        qat: quantization-aware training; implies `int8`.
        prune: fraction of zeros among the weights, or `2:4`.
        cluster: number of distinct weights a tensor.
        data: for calibration and training; None: the run's own.
        calibration: number of training images that set quantization ranges.
        io: type of input and output of int8 models: `uint8`, `int8` or `float32`.
        input_range: input values that a network made elsewhere expects, such as (-1, 1).
        out: folder for the models; None: the run's `compressed/`, else a folder `compressed` beside `source`.
        trust_model: load a file even if that runs code from it.
        overwrite: replace existing models.
        seed: of the calibration draw and of training.
        progress: where bars are shown.
        settings: of the steps and exporters, such as `qat_epochs`, or `batch_size` for all steps that have it.

    Raises:
        InputError: the source, the data, the recipes or the output cannot be used.
        MissingExtraError: TensorFlow is not installed.
    """
    require("compress", *_HOST)
    from edgeclf.compression.choice import Asked, choose_recipes
    from edgeclf.compression.pipeline.plan import CompressPlan
    from edgeclf.compression.pipeline.request import check_request

    flags = {"float32": float32, "float16": float16, "dynamic": dynamic, "int8": int8, "int16x8": int16x8}
    formats = tuple(name for name, chosen in flags.items() if chosen)
    changes = {"qat": qat, "prune": prune, "cluster": cluster}
    with extras("compress"):
        plan = CompressPlan(
            source=str(source),
            recipes=choose_recipes(Asked(recipes, formats, changes, settings, io)),
            data=str(data) if isinstance(data, Path) else data,
            calibration=calibration,
            input_range=input_range,
            out=None if out is None else str(out),
            trust_model=trust_model,
            overwrite=overwrite,
            seed=seed,
        )
        # What cannot work is refused before the seconds that an import of TensorFlow takes.
        check_request(plan, progress)
        with progress.task("loading TensorFlow", None):
            from edgeclf.compression.pipeline.compress import compress as compress_network

        return compress_network(plan, progress)


@with_plugins
def bench(
    sources: str | Path | Sequence[str | Path],
    *,
    data: str | Path | None = None,
    split: str = "test",
    baseline: str | Path | None = None,
    threads: Sequence[int] = (1,),
    runtime: str = "litert",
    runs: int | None = None,
    input_range: tuple[float, float] | None = None,
    trust_model: bool = False,
    report: str | Path | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    against: str | Path | None = None,
    sustain: float | None = None,
    progress: Progress = SILENT,
) -> BenchReport:
    """Measure accuracy, size, latency and memory of models on this machine, paired with the float network.

    Args:
        sources: `.tflite` files, zoo names, run folders (all their compressed models).
        data: labelled images to measure accuracy on; None: no accuracy.
        split: which of its splits.
        baseline: a `.keras` or `.h5` network; None: the `model.keras` of the first run folder.
        threads: thread counts to time.
        runtime: `litert`, `tflite-runtime` or `tensorflow`.
        runs: timed calls of each model; None: decided by its speed.
        input_range: input values that networks made elsewhere expect, such as (-1, 1).
        trust_model: load a baseline even if that runs code from its file.
        report: HTML file to write.
        out: folder or `.json` file for the figures; None: a run folder's `bench/`, else nowhere.
        overwrite: replace existing output.
        against: the `bench.json` of another machine, to compare with.
        sustain: minutes for which the models are kept running at the end; the first and the last are compared.
        progress: where bars are shown.

    Raises:
        InputError: a model, the data or an output cannot be used.
        MissingExtraError: the baseline or the report needs a package that is not installed.
    """
    if baseline is not None:
        require("--baseline", "tensorflow", "tf_keras")
    if report is not None:
        require("--report", "matplotlib", "jinja2")
    from edgeclf.measure.plan import BenchPlan
    from edgeclf.measure.run import HostParts, run_bench

    plan = BenchPlan(
        models=(str(sources),) if isinstance(sources, (str, Path)) else tuple(map(str, sources)),
        data=None if data is None else str(data),
        split=split,
        baseline=None if baseline is None else str(baseline),
        threads=tuple(threads),
        runtime=runtime,
        runs=runs,
        input_range=input_range,
        trust_model=trust_model,
        sustain=sustain,
        out=None if out is None else str(out),
        report=None if report is None else str(report),
        overwrite=overwrite,
        against=None if against is None else str(against),
    )
    host = HostParts(
        open_baseline=_open_baseline if installed("tensorflow") else None,
        write_page=_write_page if installed("matplotlib") and installed("jinja2") else None,
    )
    with extras("bench"):
        return run_bench(plan, host, progress=progress)


def _open_baseline(
    path: Path, plan: BenchPlan, data: Dataset | DatasetLoader | None, progress: Progress
) -> BaselineNetwork:
    with progress.task("loading TensorFlow", None):
        from edgeclf.compression.float_baseline import open_baseline

    return open_baseline(path, plan, data, progress)


def _write_page(report: BenchReport, path: Path, images: Split | None) -> None:
    from edgeclf.report.html import write_report

    write_report(report, path, images=images)


@with_plugins
def predict(
    model: str | Path,
    images: str | Path | Sequence[str | Path],
    *,
    top: int = 5,
    runtime: str = "litert",
    threads: int = 1,
    input_range: tuple[float, float] | None = None,
    progress: Progress = SILENT,
) -> PredictReport:
    """Label image files and the image files of folders.

    Args:
        model: a `.tflite` file, a run folder, or the name of a zoo model.
        images: files and folders, or a single one; their order is kept.
        top: number of labels a file.
        runtime: `litert`, `tflite-runtime` or `tensorflow`.
        threads: number of threads of the interpreter.
        input_range: input values that a network made elsewhere expects, such as (-1, 1); a model that knows its range
            refuses another.
        progress: where a bar is shown.

    Raises:
        ModelError: the model cannot be used.
        InputError: the model knows another input range.
    """
    from edgeclf.inference.classifier import Classifier
    from edgeclf.inference.photos import predict_photos

    with extras(f"--runtime {runtime}"):
        classifier = Classifier(model, runtime=runtime, threads=threads, input_range=input_range)
    return predict_photos(classifier, images, top=top, progress=progress)


@with_plugins
def live(
    model: str | Path,
    settings: LiveSettings | None = None,
    *,
    stop: threading.Event | None = None,
    outputs: Sequence[Output] = (),
    json_lines: IO[str] | None = None,
    watch: Callable[[LiveState], contextlib.AbstractContextManager[object]] | None = None,
    progress: Progress = SILENT,
    **changes: Any,
) -> LiveSummary:
    """Classify a camera, a stream or a video until it ends or is stopped.

        edgeclf.live("photos.tflite", camera="0", web="8765")

    Args:
        model: a `.tflite` file, a run folder, or the name of a zoo model.
        settings: what to look at, how, and where results go; None: the defaults of `LiveSettings`.
        stop: set it, from another thread or an output, to end.
        outputs: objects with `take(result, picture)`, called from the loop, which must not wait, and `close()`, called
            at the end, whatever ends it.
        json_lines: gets one JSON document a result, one a line.
        watch: a further view; entered with the state that views read, and open while the loop works.
        progress: gets what was chosen, and what goes wrong on the way.
        changes: fields of `LiveSettings` that replace those of `settings`.

    Raises:
        InputError: model, source, or an output cannot be used.
        MissingExtraError: the page or the broker needs a package that is not installed.
        RunFailedError: the source is lost for good.
        ReaderLeftError: the reader of `json_lines` closed its end.
    """
    from edgeclf.streaming.loop.run import run_live
    from edgeclf.streaming.loop.settings import LiveSettings

    chosen = settings or LiveSettings()
    if changes:
        known = {field.name for field in dataclasses.fields(LiveSettings)}
        for name in changes:
            if name not in known:
                raise UnknownNameError("setting", name, known)
        chosen = dataclasses.replace(chosen, **changes)
    return run_live(
        model,
        chosen,
        stop=stop or threading.Event(),
        progress=progress,
        json_lines=json_lines,
        outputs=outputs,
        watch=watch,
    )


@with_plugins
def inspect(model: str | Path) -> InspectReport:
    """Describe a model file: inputs, outputs, operators, labels, provenance, integrity.

    Raises:
        ModelError: `model` is not a TFLite file.
    """
    from edgeclf.artifact.inspection import inspect as inspect_model

    return inspect_model(model)


@with_plugins
def verify(model: str | Path, *, runtime: str = "litert") -> VerifyReport:
    """Run a model's embedded samples, and check that this device computes what the host computed.

    Raises:
        ModelError: the model cannot be used, or carries no samples.
    """
    from edgeclf.inference.verification import verify as verify_model

    with extras(f"--runtime {runtime}"):
        return verify_model(model, runtime=runtime)
