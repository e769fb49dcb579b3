"""The images that a compression calibrates, trains and measures on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edgeclf.artifact.run_folder import RunFolder
from edgeclf.compression.recipe import Recipe
from edgeclf.dataset import Dataset, load_dataset
from edgeclf.dataset.types import Split
from edgeclf.errors import DataError, InputError
from edgeclf.graph.private_apis import all_layers
from edgeclf.inference.input_range import InputRange, measure_input_range
from edgeclf.keras_files.loading import FloatSource
from edgeclf.progress import Progress

RANGE_IMAGES = 64


def data_source(
    run: RunFolder | None, name: str, given: str | Path | Dataset | None, recipes: tuple[Recipe, ...]
) -> str | Path | Dataset | None:
    """What images are taken from: what the caller names, else what the run was trained on; None: no recipe needs any.

    Args:
        run: the run folder of the network, if it lies in one.
        name: of the network's file, for the message.
        given: by the caller.
        recipes: what is to be made.

    Raises:
        InputError: a recipe needs images and there are none.
    """
    wanted = given
    if wanted is None and run is not None:
        wanted = run.run_json.get("data", {}).get("source")
    if wanted is None:
        needs = next((r.name for r in recipes if r.calibrates or r.trains), None)
        if needs is not None:
            raise InputError(f"{needs} needs training images, and {name} names none; add --data PHOTOS")
    return wanted


@contextlib.contextmanager
def data_of_the_run(own: bool) -> Iterator[None]:
    """Say with an error whose data they are, where the caller named none."""
    try:
        yield
    except InputError as error:
        if not own:
            raise
        raise DataError(f"the data of this run: {error}; name other data with --data") from error


def find_data(
    source: FloatSource, given: str | Path | Dataset | None, recipes: tuple[Recipe, ...], progress: Progress
) -> Dataset | None:
    """The data set named by the caller, else the one that the run was trained on.

    Raises:
        InputError: a recipe needs images and there are none.
        DataError: the classes are not those of the network.
    """
    wanted = data_source(source.run, source.path.name, given, recipes)
    if wanted is None:
        return None
    if isinstance(wanted, Dataset):
        data = wanted
    else:
        seed = None if source.run is None else source.run.run_json.get("data", {}).get("split_seed")
        settings = {} if seed is None else {"split_seed": int(seed)}
        with data_of_the_run(given is None):
            data = load_dataset(
                wanted,
                image_size=(source.network.input.height, source.network.input.width),
                progress=progress,
                **settings,
            )
    _check(source, data, progress)
    return data


def _check(source: FloatSource, data: Dataset, progress: Progress) -> None:
    network = source.network
    if (data.height, data.width) != (network.input.height, network.input.width):
        raise DataError(
            f"the network takes {network.input.width}x{network.input.height} pixels, "
            f"the data has {data.width}x{data.height}"
        )
    if len(data.class_names) != len(network.classes):
        raise DataError(
            f"{data.source} has {len(data.class_names)} classes, but the network has {len(network.classes)} output "
            "classes; "
            "name the data that it was trained on with --data"
        )
    run = source.run
    if run is None:
        return
    if run.labels and run.labels != data.class_names:
        both = (", ".join(names[:5]) for names in (data.class_names, run.labels))
        raise DataError("{} has the classes {}; the run has {}".format(data.source, *both))
    known = run.run_json.get("data", {}).get("fingerprint")
    if known and known != data.fingerprint:
        progress.warn(f"{data.source} has changed since the training: figures may include images that it has seen")


def scored_split(data: Dataset | None) -> tuple[str, Split] | None:
    """The split that top-1 is measured on: validation, else test."""
    if data is None:
        return None
    for name in ("validation", "test"):
        if name in data.splits and len(data.splits[name]):
            return name, data.splits[name]
    return None


def decide_input_range(
    source: FloatSource, given: tuple[float, float] | None, data: Dataset | None, progress: Progress
) -> tuple[float, float] | None:
    """Like `choose_input_range`; None: the network takes raw pixels."""
    chosen = choose_input_range(source, given, data, progress)
    return None if (chosen.low, chosen.high) == (0.0, 255.0) else (chosen.low, chosen.high)


def choose_input_range(
    source: FloatSource, given: tuple[float, float] | None, data: Dataset | None, progress: Progress
) -> InputRange:
    """What pixel values 0 and 255 must become before they enter the network, and who says so.

    A run's network and one with a scaling layer inside take raw pixels. For others it is measured on training images.

    Raises:
        InputError: nothing says it, and there are no images to measure on.
    """
    inside = source.run is not None or (source.network.model is not None and _scales_inside(source.network.model))
    if given is not None:
        chosen = InputRange(*given, "given")
        progress.say(chosen.sentence)
        if inside and given != (0.0, 255.0):
            progress.warn(f"{source.path.name} scales its input inside; --input-range scales it once more, before that")
        return chosen
    if inside:
        return InputRange(0.0, 255.0, "network")
    if data is None:
        raise InputError(
            f"{source.path.name} does not say which input values it expects; add --input-range 0,1 (or -1,1 or 0,255), "
            "or --data to measure it"
        )
    split = data.splits["train"]
    spread = np.linspace(0, len(split) - 1, min(len(split), RANGE_IMAGES)).astype(np.int64)

    def answers(images: np.ndarray) -> np.ndarray:
        found = np.stack([np.asarray(source.network.call(image[None]))[0] for image in images]).astype(np.float32)
        if (found >= 0).all() and np.allclose(found.sum(axis=1), 1, atol=1e-3):
            return found
        powers = np.exp(found - found.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)

    measured = measure_input_range(answers, np.asarray(split.images[spread]), split.labels[spread])
    progress.say(measured.sentence)
    if measured.doubt:
        progress.warn(f"{source.path.name}: {measured.doubt} ({', '.join(data.class_names[:5])}, ...)")
    return measured


def _scales_inside(network: object) -> bool:
    import tf_keras

    kinds = (tf_keras.layers.Rescaling, tf_keras.layers.Normalization)
    return any(isinstance(layer, kinds) for layer in all_layers(network))
