"""What is asked of a compression, looked over before the seconds that an import of TensorFlow takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeclf.compression.export.tflite import TFLite
from edgeclf.compression.export.tflite_format import IO_TYPES
from edgeclf.compression.pipeline.training_data import data_of_the_run, data_source
from edgeclf.compression.recipe import DEFAULT_FORMATS, Recipe, parse_recipe
from edgeclf.dataset import Dataset, probe
from edgeclf.errors import InputError, ModelError, UnknownNameError
from edgeclf.keras_files.loading import find_network, read_configuration
from edgeclf.keras_files.trust import check_configuration
from edgeclf.progress import SILENT, Progress


def asked_recipes(options: Recipe | str | Sequence[Recipe | str] | None, io: str) -> tuple[Recipe, ...]:
    """The recipes that are meant; none named: `DEFAULT_FORMATS`, of them those that go with `io`.

    Raises:
        InputError: they do not go together, or not with `io`.
    """
    if io not in IO_TYPES:
        raise UnknownNameError("io", io, IO_TYPES)
    if options is None:
        options = ("int8",) if io == "int8" else DEFAULT_FORMATS
    given = [options] if isinstance(options, (Recipe, str)) else list(options)
    recipes = tuple(recipe if isinstance(recipe, Recipe) else parse_recipe(recipe) for recipe in given)
    names = [recipe.name for recipe in recipes]
    twice = next((name for name in names if names.count(name) > 1), None)
    if not names or twice:
        raise InputError("no recipe is given" if not names else f"the recipe {twice} is given twice")
    for recipe in recipes:
        TFLite(recipe.format, io)
    return recipes


def check_request(
    source: str | Path,
    recipes: Sequence[Recipe],
    *,
    data: str | Path | Dataset | None = None,
    calibration: int = 500,
    io: str = "uint8",
    trust: bool = False,
    progress: Progress = SILENT,
) -> None:
    """Refuse what cannot work, as far as it can be told without loading the network.

    Args:
        source: a run folder, a `.keras` or `.h5` file, a SavedModel.
        recipes: what is to be made.
        data: images; None: those of the run.
        calibration: number of images.
        io: input and output type.
        trust: load a file even if that runs code from it.
        progress: told about downloads.

    Raises:
        InputError: the source, the data or the recipes cannot be used.
    """
    asked_recipes(recipes, io)
    if calibration < 1:
        raise InputError(f"calibration must be at least 1 image, got {calibration}")
    path, run = find_network(source)
    if path.is_dir():
        if not (path / "saved_model.pb").is_file():
            raise ModelError(f"{path}: neither a run folder (run.json) nor a SavedModel (saved_model.pb)")
        kind = "SavedModel"
    else:
        kind, config = read_configuration(path)
        if not trust:
            check_configuration(config, path.name)
    check_kind(kind, path.name, recipes)
    images = data_source(run, path.name, data, tuple(recipes))
    if images is not None and not isinstance(images, Dataset):
        with data_of_the_run(data is None):
            probe(images, progress)


def check_kind(kind: str, name: str, recipes: Sequence[Recipe]) -> None:
    """Refuse training on a network that is not tf-keras.

    Args:
        kind: `tf-keras`, `Keras 3` or `SavedModel`.
        name: of the file, for the message.
        recipes: what is to be made.

    Raises:
        ModelError: a recipe trains, and the network is of another kind.
    """
    training = next((recipe.name for recipe in recipes if recipe.trains), None)
    if training is not None and kind != "tf-keras":
        raise ModelError(
            f"{name} is a {kind} network; {training} needs a tf-keras .keras or .h5 file. "
            "Post-training recipes work: int8, float16, dynamic, int16x8"
        )
