"""The images that a compression calibrates, trains and measures on, and the input range that they show."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.run_folder import RunFolder
from edgeclf.compression.pipeline.plan import CompressPlan
from edgeclf.compression.recipe import Recipe
from edgeclf.dataset import Dataset, load_dataset
from edgeclf.errors import DataError, InputError
from edgeclf.inference.input_range import InputRange, measure_input_range
from edgeclf.keras_files.loading import FloatSource
from edgeclf.progress import Progress

RANGE_IMAGES = 64


def data_source(
    run: RunFolder | None, name: str, given: str | Path | Dataset | None, recipes: Sequence[Recipe]
) -> str | Path | Dataset | None:
    """Return what images are taken from: what the caller names, else what the run was trained on.

    Args:
        run: the run folder of the network, if it lies in one.
        name: of the network's file, for the message.
        given: by the caller.
        recipes: what is to be made.

    Returns:
        None where there are no images and no recipe needs any.

    Raises:
        InputError: a recipe needs images and there are none.
    """
    chosen = given
    if chosen is None and run is not None:
        chosen = run.run_json.get("data", {}).get("source")
    if chosen is None:
        needs = next((r.name for r in recipes if r.calibrates or r.trains), None)
        if needs is not None:
            raise InputError(f"{needs} needs training images, and {name} names none; add --data PHOTOS")
    return chosen


@contextlib.contextmanager
def data_of_the_run(own: bool) -> Iterator[None]:
    """Name the run's own data in an error, where the caller named none."""
    try:
        yield
    except InputError as error:
        if not own:
            raise
        raise DataError(f"the data of this run: {error}; name other data with --data") from error


def find_data(source: FloatSource, plan: CompressPlan, progress: Progress) -> Dataset | None:
    """Load the data set named by the caller, else the one that the run was trained on.

    Raises:
        InputError: a recipe needs images and there are none.
        DataError: the classes are not those of the network.
    """
    chosen = data_source(source.run, source.path.name, plan.data, plan.recipes)
    if chosen is None:
        return None
    if isinstance(chosen, Dataset):
        data = chosen
    else:
        seed = None if source.run is None else source.run.run_json.get("data", {}).get("split_seed")
        settings: dict[str, Any] = {} if seed is None else {"split_seed": int(seed)}
        size = (source.network.input.height, source.network.input.width)
        with data_of_the_run(plan.data is None):
            data = load_dataset(chosen, image_size=size, progress=progress, **settings)
    _check(source, data, progress)
    return data


def _check(source: FloatSource, data: Dataset, progress: Progress) -> None:
    spec, classes = source.network.input, len(source.network.classes)
    if (data.height, data.width) != (spec.height, spec.width):
        raise DataError(f"the network takes {spec.width}x{spec.height} pixels, the data has {data.width}x{data.height}")
    if len(data.class_names) != classes:
        raise DataError(
            f"{data.source} has {len(data.class_names)} classes, but the network has {classes} output classes; "
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


def decide_input_range(
    source: FloatSource, given: tuple[float, float] | None, data: Dataset | None, progress: Progress
) -> tuple[float, float] | None:
    """Like `choose_input_range`; None: the network takes raw pixels."""
    chosen = choose_input_range(source, given, data, progress)
    return None if (chosen.low, chosen.high) == (0.0, 255.0) else (chosen.low, chosen.high)


def choose_input_range(
    source: FloatSource, given: tuple[float, float] | None, data: Dataset | None, progress: Progress
) -> InputRange:
    """Choose what pixel values 0 and 255 must become before they enter the network.

    A run's network and one with a scaling layer inside take raw pixels. For others it is measured on training images.

    Returns:
        the range, and where it comes from.

    Raises:
        InputError: nothing names it, and there are no images to measure on.
    """
    model = source.network.model
    inside = source.run is not None or (model is not None and _scales_inside(model))
    if given is not None:
        chosen = InputRange(*given, "given")
        progress.info(chosen.sentence)
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

    def predict(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        found = np.stack([np.asarray(source.network.call(image[None]))[0] for image in images]).astype(np.float32)
        if (found >= 0).all() and np.allclose(found.sum(axis=1), 1, atol=1e-3):
            return found
        powers = np.exp(found - found.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)

    measured = measure_input_range(predict, np.asarray(split.images[spread]), split.labels[spread])
    progress.info(measured.sentence)
    if measured.doubt:
        progress.warn(f"{source.path.name}: {measured.doubt} ({', '.join(data.class_names[:5])}, ...)")
    return measured


def _scales_inside(model: Any) -> bool:
    from edgeclf.graph.prepared_network import SCALING_KINDS
    from edgeclf.graph.private_apis import all_layers

    return any(isinstance(layer, SCALING_KINDS) for layer in all_layers(model))
