"""The images that a compression calibrates, trains and measures on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgeclf.compression.recipe import Recipe
from edgeclf.dataset import Dataset, load_dataset
from edgeclf.dataset.types import Split
from edgeclf.errors import DataError, InputError
from edgeclf.foreign.source import FloatSource
from edgeclf.progress import Progress
from edgeclf.runtime.input_range import measure_input_range

RANGE_IMAGES = 64


def find_data(
    source: FloatSource, given: str | Path | Dataset | None, recipes: tuple[Recipe, ...], progress: Progress
) -> Dataset | None:
    """The data set named by the caller, else the one that the run was trained on.

    Raises:
        InputError: a recipe needs images and there are none.
        DataError: the classes are not those of the network.
    """
    wanted = given
    if wanted is None and source.run is not None:
        wanted = source.run.run_json.get("data", {}).get("source")
    if wanted is None:
        needs = next((r.name for r in recipes if r.calibrates or r.trains), None)
        if needs is not None:
            raise InputError(f"{needs} needs training images, and {source.path.name} names none; add --data PHOTOS")
        return None
    if isinstance(wanted, Dataset):
        data = wanted
    else:
        seed = None if source.run is None else source.run.run_json.get("data", {}).get("split_seed")
        settings = {} if seed is None else {"split_seed": int(seed)}
        try:
            data = load_dataset(wanted, image_size=(source.height, source.width), progress=progress, **settings)
        except InputError as error:
            if given is None:
                raise DataError(f"the data of this run: {error}; name other data with --data") from error
            raise
    _check(source, data, progress)
    return data


def _check(source: FloatSource, data: Dataset, progress: Progress) -> None:
    if (data.height, data.width) != (source.height, source.width):
        raise DataError(
            f"the network takes {source.width}x{source.height} pixels, the data has {data.width}x{data.height}"
        )
    if len(data.class_names) != source.classes:
        raise DataError(
            f"{data.source} has {len(data.class_names)} classes, but the network tells {source.classes} apart; "
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
    """What pixel values 0 and 255 must become before they enter the network; None: it takes raw pixels.

    A run's network and one with a scaling layer inside take raw pixels. For others it is measured on training images.

    Raises:
        InputError: nothing says it, and there are no images to measure on.
    """
    if given is not None:
        return given
    if source.run is not None or (source.network is not None and _scales_inside(source.network)):
        return None
    if data is None:
        raise InputError(
            f"{source.path.name} does not say which input values it expects; add --input-range 0,1 (or -1,1 or 0,255), "
            "or --data to measure it"
        )
    split = data.splits["train"]
    chosen = np.linspace(0, len(split) - 1, min(len(split), RANGE_IMAGES)).astype(np.int64)

    def answers(images: np.ndarray) -> np.ndarray:
        found = np.stack([np.asarray(source.function(image[None]))[0] for image in images]).astype(np.float32)
        if (found >= 0).all() and np.allclose(found.sum(axis=1), 1, atol=1e-3):
            return found
        powers = np.exp(found - found.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)

    measured = measure_input_range(answers, np.asarray(split.images[chosen]), split.labels[chosen])
    progress.say(measured.sentence)
    return None if (measured.low, measured.high) == (0.0, 255.0) else (measured.low, measured.high)


def _scales_inside(network: object) -> bool:
    import tf_keras

    kinds = (tf_keras.layers.Rescaling, tf_keras.layers.Normalization)
    return any(isinstance(layer, kinds) for layer in network._flatten_layers())  # type: ignore[attr-defined]
