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
from edgeclf.extras import extras, require
from edgeclf.progress import SILENT, Progress

if TYPE_CHECKING:
    from edgeclf.artifact.inspection import InspectReport
    from edgeclf.compression.compress_report import CompressReport
    from edgeclf.dataset.auditing import AuditReport
    from edgeclf.inference.photos import PredictReport
    from edgeclf.inference.verification import VerifyReport
    from edgeclf.measure.bench_report import BenchReport
    from edgeclf.streaming.result import LiveSummary
    from edgeclf.streaming.settings import LiveSettings
    from edgeclf.streaming.state import LiveState, Output
    from edgeclf.training.config import TrainConfig
    from edgeclf.training.run_record import TrainReport

_HOST = ("tensorflow", "tf_keras", "tensorflow_model_optimization", "sklearn", "matplotlib", "flatbuffers")


def audit(data: str | Path, *, progress: Progress = SILENT) -> AuditReport:
    """Audit a data set before training: counts, unreadable and unusual files, duplicates, leaks between splits.

    Args:
        data: a folder, a manifest or a name.
        progress: where bars are shown.

    Raises:
        DataError: `data` is not there, or nothing in it is usable.
    """
    from edgeclf.dataset import audit as audit_data

    with extras("audit"):
        return audit_data(data, progress=progress)


def train(
    data: str | Path | None = None,
    config: TrainConfig | None = None,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    trust_model: bool = False,
    progress: Progress = SILENT,
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
        settings: fields of `TrainConfig`, over those of `config`: `edgeclf.train("photos", epochs=30)`.

    Raises:
        InputError: data, configuration or output cannot be used.
        MissingExtraError: TensorFlow is not installed.
        RunFailedError: the training diverged, or the disk is full.
    """
    require("train", *_HOST)
    from edgeclf.dataset import check_classes, list_source
    from edgeclf.training.config import TrainConfig

    with extras("train"):
        config = (config or TrainConfig()).replace(**settings) if settings else config or TrainConfig()
        # A misspelt folder is refused before the seconds that an import of TensorFlow takes.
        listing = list_source("digits" if data is None else data, progress)
        check_classes(listing)
        with progress.task("loading TensorFlow", None):
            from edgeclf.training.run import train as train_network

        return train_network(
            listing, config, out=out, resume=resume, overwrite=overwrite, trust_model=trust_model, progress=progress
        )


def compress(
    source: str | Path,
    *,
    int8: bool = False,
    float16: bool = False,
    dynamic: bool = False,
    int16x8: bool = False,
    float32: bool = False,
    qat: bool = False,
    prune: float | str | None = None,
    cluster: int | None = None,
    data: str | Path | None = None,
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
    """Turn a float network into TFLite models: one a format, each with all the changes.

    Args:
        source: a run folder, a `.keras` or `.h5` file, a SavedModel.
        int8: full integer.
        float16: weights in float16.
        dynamic: weights in int8, activations in float.
        int16x8: weights in int8, activations in int16.
        float32: unchanged numbers.
        qat: quantization-aware training; implies `int8`.
        prune: share of zeros among the weights, or `2:4`.
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
        settings: other fields of `Recipe`, such as `qat_epochs`.

    Raises:
        InputError: the source, the data, the flags or the output cannot be used.
        MissingExtraError: TensorFlow is not installed.
    """
    require("compress", *_HOST)
    from edgeclf.compression.pipeline.request import check_request
    from edgeclf.compression.recipe import choose_recipes

    flags = {"float32": float32, "float16": float16, "dynamic": dynamic, "int8": int8, "int16x8": int16x8}
    formats = [name for name, wanted in flags.items() if wanted]
    with extras("compress"):
        recipes = choose_recipes(formats, qat=qat, prune=prune, cluster=cluster, io=io, **settings)
        # What cannot work is told before the seconds that an import of TensorFlow takes.
        check_request(source, recipes, data=data, calibration=calibration, io=io, trust=trust_model, progress=progress)
        with progress.task("loading TensorFlow", None):
            from edgeclf.compression.pipeline.compress import compress as compress_network

        return compress_network(
            source,
            recipes,
            data=data,
            calibration=calibration,
            io=io,
            input_range=input_range,
            out=out,
            trust_model=trust_model,
            overwrite=overwrite,
            seed=seed,
            progress=progress,
        )


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
        data: images to be right about; None: no accuracy.
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
        against: the `bench.json` of another machine, to be put beside this one's figures.
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
    from edgeclf.benching import run_bench

    with extras("bench"):
        return run_bench(
            [sources] if isinstance(sources, (str, Path)) else sources,
            data=data,
            split=split,
            baseline=baseline,
            threads=threads,
            runtime=runtime,
            runs=runs,
            input_range=input_range,
            trust_model=trust_model,
            report=None if report is None else Path(report),
            out=None if out is None else Path(out),
            overwrite=overwrite,
            against=None if against is None else Path(against),
            sustain=sustain,
            progress=progress,
        )


def predict(
    model: str | Path,
    images: Sequence[str | Path],
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
        images: files and folders; their order is kept.
        top: number of labels a file.
        runtime: `litert`, `tflite-runtime` or `tensorflow`.
        threads: number of threads of the interpreter.
        input_range: input values that a network made elsewhere expects, such as (-1, 1).
        progress: where a bar is shown.

    Raises:
        ModelError: the model cannot be used.
    """
    from edgeclf.inference.classifier import Classifier
    from edgeclf.inference.photos import predict_photos

    with extras(f"--runtime {runtime}"):
        classifier = Classifier(model, runtime=runtime, threads=threads, input_range=input_range)
    return predict_photos(classifier, images, top=top, progress=progress)


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
        settings: how; None: as `LiveSettings` has it.
        stop: set it, from another thread or an output, to end.
        outputs: objects with `take(result, picture)`, called from the loop, which must not wait, and `close()`, called
            at the end, whatever ends it.
        json_lines: gets one JSON document a result, one a line.
        watch: a view of one's own; entered with the state that views read while the loop works.
        progress: told what was chosen, and what goes wrong on the way.
        changes: fields of `LiveSettings`, over those of `settings`.

    Raises:
        InputError: model, source, or an output cannot be used.
        MissingExtraError: the page or the broker needs a package that is not installed.
        RunFailedError: the source is lost for good.
    """
    from edgeclf.streaming.run import run_live
    from edgeclf.streaming.settings import LiveSettings

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


def inspect(model: str | Path) -> InspectReport:
    """Tell what a model file is: inputs, outputs, operators, labels, provenance, integrity.

    Raises:
        ModelError: `model` is not a TFLite file.
    """
    from edgeclf.artifact.inspection import inspect as inspect_model

    return inspect_model(model)


def verify(model: str | Path, *, runtime: str = "litert") -> VerifyReport:
    """Run a model's embedded samples: does this device compute what the desk computed?

    Raises:
        ModelError: the model cannot be used, or carries no samples.
    """
    from edgeclf.inference.verification import verify as verify_model

    with extras(f"--runtime {runtime}"):
        return verify_model(model, runtime=runtime)
