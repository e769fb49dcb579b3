"""The function `explain`, which shows where in a photo the evidence for a class lies."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from edgeclf.extras import extras, installed, require
from edgeclf.plugins import with_plugins
from edgeclf.progress import SILENT, Progress

if TYPE_CHECKING:
    from edgeclf.artifact.class_names import GivenLabels
    from edgeclf.artifact.locate import Paths
    from edgeclf.artifact.normalization import Normalization
    from edgeclf.inference.explain_report import ExplainReport
    from edgeclf.inference.explaining import Explainer

PAGE = "index.html"
NO_PAGE = 'no page was written: jinja2 is not installed; run: pip install "edgeclf[train]"'
NO_FLOAT = 'Grad-CAM of the float network was left out: TensorFlow is not installed; run: pip install "edgeclf[train]"'
_FLOAT_FILES = (".keras", ".h5", ".hdf5")
_RUNTIME, _THREADS = "litert", 1


@with_plugins
def explain(
    model: str | Path,
    photos: Paths,
    *,
    out: str | Path | None = None,
    class_name: str | None = None,
    recursive: bool = False,
    overwrite: bool = False,
    runtime: str = _RUNTIME,
    threads: int = _THREADS,
    normalize: str | Normalization | None = None,
    input_range: tuple[float, float] | None = None,
    labels: GivenLabels | None = None,
    fit: str | None = None,
    trust_model: bool = False,
    progress: Progress = SILENT,
) -> ExplainReport:
    """Draw where in photos the evidence for a class lies: class activation maps of a model file, Grad-CAM of a network.

        edgeclf.explain("runs/photos", "cat.jpg").photos[0].maps[0].saved

    Args:
        model: a `.tflite` file or a zoo name (its class activation map, on the device, without gradients); a `.keras`
            or `.h5` network (Grad-CAM); a run folder: both, side by side, as far as it has them.
        photos: files, folders and http addresses, or a single one.
        out: folder for the pictures and the page; None: the run's `explained/`, else `explained` in the current folder.
        class_name: whose evidence is shown; None: the best class of each photo.
        recursive: take the images of subfolders too.
        overwrite: write into an `out` that is not empty.
        runtime: of a model file: `litert`, `tflite-runtime` or `tensorflow`.
        threads: number of threads of its interpreter.
        normalize: how pixels enter a network made elsewhere, as in `predict`.
        input_range: the same as a pair.
        labels: class names in the order of the outputs, as in `predict`.
        fit: how pictures of another shape come to the input of a network made elsewhere, as in `predict`.
        trust_model: load a float network even if that runs code from its file.
        progress: where a bar is shown.

    Raises:
        ModelError: a file cannot be used, or its head is not pooling and one fully connected layer.
        InputError: no photo can be read, the output cannot be used, or an option has no effect on such a model.
        UnknownNameError: there is no such class.
        MissingExtraError: a float network needs TensorFlow, which is not installed.
    """
    from edgeclf.artifact.locate import check_named, check_path, list_paths
    from edgeclf.artifact.normalization import resolve_normalization
    from edgeclf.artifact.run_folder import RunFolder
    from edgeclf.inference.explained_folder import ExplainedFolder
    from edgeclf.inference.explaining import ExplainPlan, explain_photos

    path = check_named(model)
    if out is None:
        out = RunFolder(path).explained_path if RunFolder.is_one(path) else "explained"
    chosen = Path(check_path(out, "a folder (--out)"))
    plan = ExplainPlan(list_paths(photos, "a photo"), chosen, class_name, recursive, overwrite)
    request = _Request(path, runtime, threads, resolve_normalization(normalize, input_range), labels, fit, trust_model)
    with extras("explain"):
        folder = ExplainedFolder(plan.out, overwrite=overwrite)
        explainers, notes = _open(request, progress)
        found = explain_photos(plan, folder, explainers, notes, progress)
        if not installed("jinja2"):
            return dataclasses.replace(found.report, notes=(*found.report.notes, NO_PAGE))
        from edgeclf.report.explain_html import write_explanations

        page = write_explanations(found, plan.out / PAGE)
        return dataclasses.replace(found.report, page=str(page))


@dataclasses.dataclass(frozen=True)
class _Request:
    """What to open, and how."""

    path: Path
    runtime: str
    threads: int
    normalization: Normalization | None
    labels: GivenLabels | None
    fit: str | None
    trust_model: bool


def _open(request: _Request, progress: Progress) -> tuple[list[Explainer], tuple[str, ...]]:
    """Open the model file, the float network, or both; and note what was left out."""
    from edgeclf.artifact.locate import locate_model
    from edgeclf.artifact.run_folder import RunFolder
    from edgeclf.errors import InputError, ModelError

    path = request.path
    is_network = path.suffix.lower() in _FLOAT_FILES
    run = RunFolder(path) if not is_network and RunFolder.is_one(path) else None
    if is_network or (run is not None and not run.models()):
        if (request.runtime, request.threads) != (_RUNTIME, _THREADS):
            raise InputError(f"{path}: has no model file, and --runtime and --threads are for these; leave them out")
        return [_open_network(request, progress)], ()
    has_network = run is not None and run.keras_path.is_file()
    notes: list[str] = []
    opened: list[Explainer] = []
    try:
        opened.append(_open_file(locate_model(path), request))
    except ModelError as error:
        if not has_network or not installed("tensorflow"):
            raise
        notes.append(str(error))
    if request.trust_model and not has_network:
        raise InputError(f"{path}: has no float network, and --trust-model is for these; leave it out")
    if has_network and installed("tensorflow"):
        opened.append(_open_network(request, progress))
    elif has_network:
        notes.append(NO_FLOAT)
    return opened, tuple(notes)


def _open_file(path: Path, request: _Request) -> Explainer:
    from edgeclf.artifact.model_file import ModelFile
    from edgeclf.inference.explaining import ModelExplainer

    return ModelExplainer(
        ModelFile.read(path),
        runtime=request.runtime,
        threads=request.threads,
        normalize=request.normalization,
        labels=request.labels,
        fit=request.fit,
        threshold=0.0,
    )


def _open_network(request: _Request, progress: Progress) -> Explainer:
    from edgeclf.artifact.input_fit import resolve_network_fit
    from edgeclf.keras_files.loading import check_network_file

    require("explain", "tensorflow", "tf_keras")
    resolve_network_fit(request.path, request.fit)
    check_network_file(request.path, trust_model=request.trust_model)
    with progress.task("loading TensorFlow", None):
        from edgeclf.keras_files.explaining import NetworkExplainer

    return NetworkExplainer(
        request.path,
        normalization=request.normalization,
        labels=request.labels,
        fit=request.fit,
        trust_model=request.trust_model,
        progress=progress,
    )
