"""Refuses what cannot work before the seconds that an import of TensorFlow takes."""

from __future__ import annotations

from collections.abc import Sequence

from edgeclf.compression.exporter import known_exporters
from edgeclf.compression.pipeline.plan import CompressPlan
from edgeclf.compression.pipeline.training_data import Images, choose_data, data_of_the_run
from edgeclf.compression.recipe import Recipe
from edgeclf.dataset import Dataset, list_source, probe
from edgeclf.errors import ModelError
from edgeclf.keras_files.loading import check_keras_file, locate_network, read_configuration
from edgeclf.progress import SILENT, Progress


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
    path, run = locate_network(plan.source)
    if path.is_dir():
        if not (path / "saved_model.pb").is_file():
            raise ModelError(f"{path}: neither a run folder (run.json) nor a SavedModel (saved_model.pb)")
        kind = "SavedModel"
    else:
        kind, config = read_configuration(path)
        if not plan.trust_model:
            check_keras_file(path, config)
    check_kind(kind, path.name, plan.recipes)
    images = choose_data(run, path.name, plan.data, plan.recipes)
    if images is None or isinstance(images, Dataset):
        return images
    with data_of_the_run(plan.data is None):
        listing = list_source(images, progress)
        probe(listing, progress)
    return listing


def check_kind(kind: str, name: str, recipes: Sequence[Recipe]) -> None:
    """Refuse steps on a network that is not tf-keras.

    Args:
        kind: `tf-keras`, `Keras 3` or `SavedModel`.
        name: of the file, for the message.
        recipes: what is to be made.

    Raises:
        ModelError: a recipe changes the network, and the network is of another kind.
    """
    changing = next((recipe.name for recipe in recipes if recipe.steps), None)
    if changing is not None and kind != "tf-keras":
        raise ModelError(
            f"{name} is a {kind} network; {changing} needs a tf-keras .keras or .h5 file. "
            f"Recipes without steps work: {', '.join(known_exporters())}"
        )
