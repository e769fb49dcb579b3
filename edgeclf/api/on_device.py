"""The functions that a device uses: `predict`, `live`, `collected`, `inspect`, `diagnose`, `verify`."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from edgeclf.errors import UnknownNameError
from edgeclf.extras import extras
from edgeclf.plugins import with_plugins
from edgeclf.progress import SILENT, Progress

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from edgeclf.api.keywords import LiveKeywords
    from edgeclf.artifact.class_names import GivenLabels
    from edgeclf.artifact.inspection import InspectReport
    from edgeclf.artifact.locate import Paths
    from edgeclf.artifact.normalization import Normalization
    from edgeclf.doctor.report import DoctorReport
    from edgeclf.inference.photos import PredictReport
    from edgeclf.inference.verification import VerifyReport
    from edgeclf.streaming.collection.serving import CollectedReport
    from edgeclf.streaming.loop.result import LiveSummary
    from edgeclf.streaming.loop.settings import LiveSettings
    from edgeclf.streaming.loop.state import LiveState, Output


@with_plugins
def predict(
    model: str | Path,
    images: Paths,
    *,
    top: int = 5,
    recursive: bool = False,
    save: str | Path | None = None,
    overwrite: bool = False,
    runtime: str = "litert",
    threads: int = 1,
    normalize: str | Normalization | None = None,
    input_range: tuple[float, float] | None = None,
    labels: GivenLabels | None = None,
    fit: str | None = None,
    threshold: float | None = None,
    combine: str | None = None,
    progress: Progress = SILENT,
) -> PredictReport:
    """Label image files, the image files of folders, and images on the web.

    For pixels, bytes and PIL images see `Classifier.predict`.

    Args:
        model: a `.tflite` file, a run folder, the name of a zoo model, or an ensemble: the folder of one, or several
            with a plus sign between them (`runs/a+runs/b`), of which each needs a compressed model.
        images: files, folders and http addresses, or a single one; their order is kept. An address is downloaded into
            memory, at most 64 MB in 30 seconds.
        top: number of labels a file.
        recursive: take the images of subfolders too.
        save: folder for copies with the prediction drawn below them; None: none are made.
        overwrite: write into a `save` that is not empty.
        runtime: `litert`, `tflite-runtime`, `tensorflow`, or `onnxruntime` for `.onnx` files.
        threads: number of threads of the interpreter.
        normalize: how pixels enter a network made elsewhere: "caffe", "torch", "tf", "0..1", "raw", mean and std; a
            model that knows it refuses another.
        input_range: the same as a pair, such as (-1, 1).
        labels: class names in the order of the outputs, or a file with one a line; None: those of the model, or of
            `labels.txt` beside it.
        fit: how pictures of another shape come to the input of a network made elsewhere: "stretch" (None, as other
            clients do), "crop" or "pad"; a model of edgeclf's own knows it and refuses another.
        threshold: probability below which an image is "unknown"; None: that of the file, if it has one; 0: a class is
            always named.
        combine: how an ensemble predicts: "average" or "stack"; None: as recorded, else the average.
        progress: where a bar is shown.

    Raises:
        ModelError: the model cannot be used, or the members of an ensemble do not agree on their classes.
        InputError: the model knows another input range or fit, the labels do not fit, or `save` cannot be used.
    """
    from edgeclf.artifact.ensemble_folder import find_ensemble
    from edgeclf.inference.classifier import Classifier
    from edgeclf.inference.ensemble_classifier import EnsembleClassifier, check_ensemble_options
    from edgeclf.inference.photos import PhotoClassifier, predict_photos

    ensemble = find_ensemble(model)
    check_ensemble_options(ensemble, combine, (normalize, input_range, labels, fit))
    classifier: PhotoClassifier
    with extras(f"--runtime {runtime}"):
        if ensemble is not None:
            classifier = EnsembleClassifier(
                ensemble, runtime=runtime, threads=threads, combine=combine, threshold=threshold
            )
            return predict_photos(
                classifier, images, top=top, recursive=recursive, save=save, overwrite=overwrite, progress=progress
            )
        classifier = Classifier(
            model,
            runtime=runtime,
            threads=threads,
            normalize=normalize,
            input_range=input_range,
            labels=labels,
            fit=fit,
            threshold=threshold,
        )
    return predict_photos(
        classifier, images, top=top, recursive=recursive, save=save, overwrite=overwrite, progress=progress
    )


@with_plugins
def live(
    model: str | Path,
    settings: LiveSettings | None = None,
    *,
    stop: threading.Event | None = None,
    outputs: Output | Sequence[Output] = (),
    json_lines: IO[str] | None = None,
    watch: Callable[[LiveState], contextlib.AbstractContextManager[object]] | None = None,
    at_end: Callable[[LiveSummary], None] | None = None,
    normalize: str | Normalization | None = None,
    input_range: tuple[float, float] | None = None,
    progress: Progress = SILENT,
    **changes: Unpack[LiveKeywords],
) -> LiveSummary:
    """Classify a camera, a stream or a video until it ends or is stopped.

        edgeclf.live("photos.tflite", camera="0", web="8765")

    Args:
        model: a `.tflite` file, a run folder, or the name of a zoo model.
        settings: what to look at, how, and where results go; None: the defaults of `LiveSettings`.
        stop: set it, from another thread or an output, to end.
        outputs: objects, or a single one, with `take(result, picture)`, called from the loop, which must not wait, and
            `close()`, called at the end, whatever ends it.
        json_lines: gets one JSON document a result, one a line.
        watch: a further view; entered with the state that views read, and open while the loop works.
        at_end: gets the summary where the page stays up beyond the end of a file (`stay`), before that.
        normalize: how pixels enter a network made elsewhere, as in `predict`; replaces `settings.normalization`.
        input_range: the same as a pair, such as (-1, 1).
        progress: gets what was chosen, and what goes wrong on the way.
        changes: fields of `LiveSettings` that replace those of `settings`.

    Raises:
        InputError: model, source, or an output cannot be used.
        MissingExtraError: the page or the broker needs a package that is not installed.
        RunFailedError: the source is lost for good.
        ReaderLeftError: the reader of `json_lines` closed its end.
    """
    from edgeclf.artifact.normalization import resolve_normalization
    from edgeclf.streaming.loop.run import run_live
    from edgeclf.streaming.loop.settings import LiveSettings

    chosen = settings or LiveSettings()
    if given := resolve_normalization(normalize, input_range):
        changes["normalization"] = given
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
        outputs=outputs if isinstance(outputs, Sequence) else (outputs,),
        watch=watch,
        at_end=at_end,
    )


@with_plugins
def collected(
    folder: str | Path,
    *,
    model: str | Path | None = None,
    serve: bool = True,
    web: str | int | None = None,
    token: str | None = None,
    stop: threading.Event | None = None,
    at_start: Callable[[str], None] | None = None,
    progress: Progress = SILENT,
) -> CollectedReport:
    """Serve the page that sorts collected frames into classes, without a camera, until it is stopped.

        edgeclf.collected("seen", model="photos.tflite")

    Args:
        folder: that `live` collects into; it may do so meanwhile.
        model: whose class names can be chosen, besides those of class folders: a file, a run folder, or a zoo name.
        serve: False: only count what is there.
        web: `[HOST:]PORT` of the page; None: 127.0.0.1:8765, or another port where that is taken.
        token: required from viewers on other machines; None: generated, and logged.
        stop: set it, from another thread, to end.
        at_start: gets the address of the page once it is up.
        progress: gets the address, and what goes wrong on the way.

    Returns:
        what the folder holds at the end.

    Raises:
        InputError: nothing was collected into `folder`, or the address cannot be served.
        MissingExtraError: the page needs a package that is not installed.
        ModelError: the model cannot be used.
        RunFailedError: the port that was asked for is taken.
    """
    from edgeclf.streaming.collection.serving import describe_collected, open_collected, serve_collected

    images = open_collected(folder, model)
    if serve:
        address = None if web is None else str(web)
        started = at_start or (lambda url: None)
        serve_collected(folder, images, address, token, stop or threading.Event(), progress, started)
    return describe_collected(folder, images)


@with_plugins
def inspect(model: str | Path) -> InspectReport:
    """Describe a model file: inputs, outputs, operators, labels, provenance, integrity.

    Raises:
        ModelError: `model` is not a TFLite file.
    """
    from edgeclf.artifact.inspection import inspect as inspect_model

    return inspect_model(model)


@with_plugins
def diagnose(
    model: str | Path,
    *,
    data: str | Path | None = None,
    baseline: str | Path | None = None,
    threads: int = 1,
    normalize: str | Normalization | None = None,
    input_range: tuple[float, float] | None = None,
    fit: str | None = None,
    progress: Progress = SILENT,
) -> DoctorReport:
    """Find out why a model is not faster, smaller or as accurate, by measurement on this machine.

    Args:
        model: a `.tflite` file, a run folder, or the name of a zoo model.
        data: labelled images; None: what needs photos is not looked for.
        baseline: a float `.tflite` of the same network, or a run folder with one: each layer is compared with its own.
        threads: number of threads that the model is timed with.
        normalize: how pixels enter a network made elsewhere, as in `predict`.
        input_range: the same as a pair.
        fit: how pictures of another shape come to the input of a network made elsewhere, as in `predict`.
        progress: where bars are shown.

    Raises:
        ModelError: the model cannot be run, or `baseline` is no float model of its classes.
        InputError: `threads` is not between 1 and 256, or `baseline` comes without `data`.
    """
    from edgeclf.artifact.normalization import resolve_normalization
    from edgeclf.doctor.diagnosis import diagnose as diagnose_model

    return diagnose_model(
        model,
        data=data,
        baseline=baseline,
        threads=threads,
        normalization=resolve_normalization(normalize, input_range),
        fit=fit,
        progress=progress,
    )


@with_plugins
def verify(
    model: str | Path,
    *,
    runtime: str = "litert",
    normalize: str | Normalization | None = None,
    input_range: tuple[float, float] | None = None,
) -> VerifyReport:
    """Run a model's embedded samples, and check that this device computes what the host computed.

    Args:
        model: a `.tflite` file, a run folder, or the name of a zoo model.
        runtime: `litert`, `tflite-runtime` or `tensorflow`; an ONNX file carries no samples.
        normalize: as in `predict`: refused where the samples were computed with another.
        input_range: the same as a pair.

    Raises:
        ModelError: the model cannot be used, or carries no samples.
    """
    from edgeclf.inference.verification import verify as verify_model

    with extras(f"--runtime {runtime}"):
        return verify_model(model, runtime=runtime, normalize=normalize, input_range=input_range)
