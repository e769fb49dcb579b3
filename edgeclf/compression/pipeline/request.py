"""Refuses what cannot work before the seconds that an import of TensorFlow takes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgeclf.artifact.folder_lock import lock_folders
from edgeclf.artifact.input_fit import resolve_fit, resolve_network_fit
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.compression.exporter import known_exporters
from edgeclf.compression.layer_sensitivity import SENSITIVITY_FILES
from edgeclf.compression.pipeline.model_folder import check_not_in_the_way
from edgeclf.compression.pipeline.plan import CompressPlan
from edgeclf.compression.pipeline.training_data import Images, choose_data, data_of_the_run, list_images
from edgeclf.compression.recipe import Recipe
from edgeclf.dataset import Dataset
from edgeclf.errors import InputError, ModelError
from edgeclf.keras_files.loading import check_network_file, locate_network
from edgeclf.keras_files.tflite_source import TFLITE
from edgeclf.progress import SILENT, Progress

if TYPE_CHECKING:
    from edgeclf.compression.compress_report import CompressReport


def run_recipes(plan: CompressPlan, progress: Progress = SILENT) -> CompressReport:
    """Refuse what cannot work before the seconds that an import of TensorFlow takes, then make the models.

    Raises:
        InputError: the source, the data, the recipes or the output cannot be used.
        RunFailedError: training diverged, or the disk is full.
    """
    with hold_folders(plan):
        images = check_request(plan, progress)
        _warn_of_unused(plan, progress)
        with progress.task("loading TensorFlow", None):
            from edgeclf.compression.pipeline.compress import compress

        return compress(plan, progress, images)


def check_request(plan: CompressPlan, progress: Progress = SILENT) -> Images:
    """Refuse what cannot work, as far as that shows without loading the network.

    Args:
        plan: what is to be made.
        progress: where downloads are shown.

    Returns:
        the images that were listed, so that `compress` need not walk their folder again; None: there are none.

    Raises:
        InputError: the source, the data or the recipes cannot be used.
    """
    kind, path, run = check_network_file(plan.source, trust_model=plan.trust_model)
    if run is not None and run.labels and plan.labels is not None:
        raise InputError(f"{plan.source}: the run names its classes itself; leave --labels out")
    if kind == TFLITE:
        resolve_fit(ModelFile.read(path), plan.fit)
    else:
        resolve_network_fit(path, plan.fit)
    check_kind(kind, path.name, plan.recipes)
    for recipe in plan.recipes:
        recipe.export.check_available()
    name = run.name if run is not None else path.resolve().name if path.is_dir() else path.stem
    folder = find_folder(plan, path, run)
    # whether an unfinished call is the same one, `ModelFolder` sees when the network is loaded
    check_not_in_the_way(folder, name, list_files(plan), plan.overwrite)
    images = choose_data(run, path.name, plan.data, plan.recipes)
    if images is None and plan.sensitivity:
        raise InputError(f"--sensitivity needs images with labels, and {path.name} names none; add --data PHOTOS")
    if images is None or isinstance(images, Dataset):
        return images
    with data_of_the_run(plan.data is None):
        return list_images(images, progress, unlabelled=plan.unlabelled)


def _warn_of_unused(plan: CompressPlan, progress: Progress) -> None:
    """Warn of a number of calibration images where none are drawn."""
    if plan.sensitivity or any(recipe.calibrates for recipe in plan.recipes):
        return
    if plan.calibration != CompressPlan.calibration:
        names = ", ".join(recipe.name for recipe in plan.recipes)
        progress.warn(f"--calibration {plan.calibration} has no effect: no format of {names} takes ranges from images")


@contextlib.contextmanager
def hold_folders(plan: CompressPlan) -> Iterator[None]:
    """Lock the run folder of the source, and the folder that the models go to, while the block runs.

    Raises:
        ModelError: the run has no network yet.
        OutputError: another command works in one of them.
    """
    path, run = locate_network(plan.source)
    if not path.exists():  # `check_request` reports it; no folder is made for it
        yield
        return
    out = find_folder(plan, path, run)
    with lock_folders([out] if run is None else [run.path, out]):
        yield


def find_folder(plan: CompressPlan, path: Path, run: RunFolder | None) -> Path:
    """Return where the models go.

    Args:
        plan: with the folder that the caller names, if any.
        path: file or folder of the network.
        run: the run folder that it lies in, if any.
    """
    if plan.out is not None:
        return Path(plan.out)
    if run is not None:
        return run.compressed_path
    place = path if path.name not in ("", "..") else path.resolve()  # beside a folder, not inside it
    return place.parent / "compressed"


def list_files(plan: CompressPlan) -> list[str]:
    """List the files of a call, without the name of the source in front: its models, and what layers lose in 8 bits."""
    models = [recipe.file_name + recipe.export.suffix for recipe in plan.recipes]
    return [*models, *(SENSITIVITY_FILES if plan.sensitivity else ())]


def check_kind(kind: str, name: str, recipes: Sequence[Recipe]) -> None:
    """Refuse steps on a network that is not tf-keras, and formats that cannot be made of a TFLite file.

    Args:
        kind: `tf-keras`, `Keras 3`, `SavedModel` or `TFLite`.
        name: of the file, for the message.
        recipes: what is to be made.

    Raises:
        ModelError: a recipe changes the network, or converts it, and the network is of another kind.
    """
    if kind == TFLITE:
        refused = next((recipe.name for recipe in recipes if recipe.steps or not recipe.export.takes_graphs), None)
        if refused is None:
            return
        able = ", ".join(label for label, exporter in known_exporters().items() if exporter.takes_graphs)
        raise ModelError(
            f"{name} is a TFLite file, of which {able} can be made; {refused} needs a tf-keras network: train one from "
            f"it with edgeclf train PHOTOS --weights {name}"
        )
    changing = next((recipe.name for recipe in recipes if recipe.steps), None)
    if changing is not None and kind != "tf-keras":
        raise ModelError(
            f"{name} is a {kind} network; {changing} needs a tf-keras .keras or .h5 file. "
            f"Recipes without steps work: {', '.join(known_exporters())}"
        )
