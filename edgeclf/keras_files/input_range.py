"""Chooses the input range of a float network that was loaded from a file."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgeclf.dataset import Dataset
from edgeclf.errors import InputError
from edgeclf.graph.inner_scaling import scales_input
from edgeclf.inference.input_range import InputRange, measure_input_range
from edgeclf.keras_files.loading import LoadedNetwork
from edgeclf.measure.accuracy import range_rows
from edgeclf.progress import Progress


def decide_input_range(
    loaded: LoadedNetwork, given: tuple[float, float] | None, data: Dataset | None, progress: Progress
) -> tuple[float, float] | None:
    """Return the range that `choose_input_range` finds; None: the network takes raw pixels."""
    chosen = choose_input_range(loaded, given, data, progress)
    return None if (chosen.low, chosen.high) == (0.0, 255.0) else (chosen.low, chosen.high)


def choose_input_range(
    loaded: LoadedNetwork, given: tuple[float, float] | None, data: Dataset | None, progress: Progress
) -> InputRange:
    """Choose what pixel values 0 and 255 must become before they enter the network.

    A run's network and one with a scaling layer inside take raw pixels. For others it is measured on training images.

    Returns:
        the range, and where it comes from.

    Raises:
        InputError: nothing names it, and there are no images to measure on.
    """
    inside = loaded.run is not None or scales_input(loaded.network.trackable)
    if given is not None:
        chosen = InputRange(*given, "given")
        progress.info(chosen.sentence)
        if inside and given != (0.0, 255.0):
            progress.warn(f"{loaded.path.name} scales its input inside; --input-range scales it once more, before that")
        return chosen
    if inside:
        return InputRange(0.0, 255.0, "network")
    if data is None:
        raise InputError(
            f"{loaded.path.name} does not say which input values it expects; add --input-range 0,1 (or -1,1 or 0,255), "
            "or --data to measure it"
        )
    split = data.splits["train"]
    spread = range_rows(len(split))

    def predict(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        found = np.stack([np.asarray(loaded.network.call(image[None]))[0] for image in images]).astype(np.float32)
        if (found >= 0).all() and np.allclose(found.sum(axis=1), 1, atol=1e-3):
            return found
        powers = np.exp(found - found.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)

    measured = measure_input_range(predict, np.asarray(split.images[spread]), split.labels[spread])
    progress.info(measured.sentence)
    if measured.doubt:
        progress.warn(f"{loaded.path.name}: {measured.doubt} ({', '.join(data.class_names[:5])}, ...)")
    return measured
