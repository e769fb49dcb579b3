"""Observes a graph on the calibration images: each activation's range, and the mean of what weights see."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.tflite import OperatorInfo, TfliteModel
from edgeclf.compression.export.graph_queries import activations
from edgeclf.inference.litert import LITERT
from edgeclf.progress import SILENT, Progress

Feed = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
"""Makes the input tensor of one image."""
FEWEST_FOR_EXTREMES = 100
"""Number of images below which none is left out as extreme."""


@dataclass(frozen=True)
class Ranges:
    """Smallest and largest value of T activations on n images.

    Attributes:
        indices: tensor numbers, int64[T].
        names: of the tensors.
        lows: float32[n, T].
        highs: float32[n, T].
    """

    indices: npt.NDArray[np.int64]
    names: tuple[str, ...]
    lows: npt.NDArray[np.float32]
    highs: npt.NDArray[np.float32]

    def without_extremes(self) -> tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.floating[Any]]]:
        """Return the lowest and highest value of each activation, [T] each, without the most extreme 1 % of the images.

        A single odd image would else decide how coarse the steps of all others are.
        """
        if len(self.lows) < FEWEST_FOR_EXTREMES:
            return self.lows.min(axis=0), self.highs.max(axis=0)
        return np.percentile(self.lows, 1, axis=0), np.percentile(self.highs, 99, axis=0)


@dataclass(frozen=True)
class FloatObservation:
    """The float graph that ranges are noted in, and what flows through it on the calibration images.

    Attributes:
        content: the graph, without a multiplication of its whole input.
        input_max: what pixel value 255 becomes before it enters the graph.
        ranges: of its activations.
    """

    content: bytes
    input_max: float
    ranges: Ranges


class Observer:
    """Runs a graph and keeps what is inside readable.

    Args:
        content: the graph, float or int8.
    """

    def __init__(self, content: bytes) -> None:
        file = ModelFile(content, "the graph")
        self.model: TfliteModel = file.graph
        # a delegate would keep what it computes to itself
        self._session = LITERT.open(file, preserve_all_tensors=True, use_default_delegates=False)

    def run(self, tensor: npt.NDArray[Any]) -> None:
        """Compute the graph on one input tensor."""
        self._session.run(tensor)

    def read(self, index: int) -> npt.NDArray[Any]:
        """Return the values of tensor `index` after `run`."""
        return self._session.read(index)

    def real(self, index: int) -> npt.NDArray[np.float32]:
        """Return the values of tensor `index` as the real numbers that they stand for: float32."""
        info, values = self.model.tensors[index], self.read(index)
        if not info.scale:
            return np.asarray(values, np.float32)
        centred = (values.astype(np.int32) - info.zero_point).astype(np.float32)
        return np.asarray(centred * np.float32(info.scale), np.float32)


def pixel_feeder(input_max: float) -> Feed:
    """Return a function that scales an image to 0..`input_max`: uint8[H, W, 3] to float32[1, H, W, 3]."""
    scale = np.float32(input_max / 255)
    return lambda image: image[None].astype(np.float32) * scale


def observe_ranges(
    observer: Observer,
    images: npt.NDArray[np.uint8],
    feed: Feed,
    watched: Iterable[OperatorInfo] = (),
    progress: Progress = SILENT,
) -> tuple[Ranges, dict[int, npt.NDArray[np.float64]]]:
    """Run a float graph on the calibration images.

    Args:
        observer: of the graph.
        images: uint8[n, H, W, 3].
        feed: makes the input tensor of one image.
        watched: operators whose mean input is returned too.
        progress: where the bar goes.

    Returns:
        the ranges, and by weight tensor number the mean patch that the operator's weights are multiplied with.
    """
    tensors = activations(observer.model)
    lows = np.empty((len(images), len(tensors)), np.float32)
    highs = np.empty_like(lows)
    sums: dict[int, Any] = {op.inputs[1]: 0.0 for op in watched}
    watched = list(watched)
    with progress.task("calibrating", len(images)) as task:
        for row, image in enumerate(images):
            observer.run(feed(image))
            for column, tensor in enumerate(tensors):
                values = observer.read(tensor.index)
                lows[row, column], highs[row, column] = values.min(), values.max()
            for op in watched:
                sums[op.inputs[1]] = sums[op.inputs[1]] + mean_patch(observer, op)
            task.advance()
    indices = np.array([t.index for t in tensors], np.int64)
    ranges = Ranges(indices, tuple(t.name for t in tensors), lows, highs)
    return ranges, {index: total / len(images) for index, total in sums.items()}


def mean_patch(observer: Observer, op: OperatorInfo) -> npt.NDArray[np.float64]:
    """Average over the output's places the input patch that an operator's weights are multiplied with.

    Returns:
        float64[kh, kw, C] for a convolution, float64[C] for a dense layer.
    """
    values = observer.real(op.inputs[0])
    weights, output = observer.model.tensors[op.inputs[1]], observer.model.tensors[op.outputs[0]]
    if op.name == "FULLY_CONNECTED":
        return np.asarray(values.reshape(-1, weights.shape[-1]).mean(axis=0, dtype=np.float64))
    _, tall, wide, _ = weights.shape
    _, rows, columns, _ = output.shape
    down, right = op.options["stride_h"], op.options["stride_w"]
    step_down, step_right = op.options["dilation_h"], op.options["dilation_w"]
    image = values[0]
    over = max((rows - 1) * down + (tall - 1) * step_down + 1 - image.shape[0], 0)
    across = max((columns - 1) * right + (wide - 1) * step_right + 1 - image.shape[1], 0)
    if over or across:
        image = np.pad(image, ((over // 2, over - over // 2), (across // 2, across - across // 2), (0, 0)))
    result = np.empty((tall, wide, image.shape[2]), np.float64)
    for i in range(tall):
        for j in range(wide):
            top, left = i * step_down, j * step_right
            part = image[top : top + (rows - 1) * down + 1 : down, left : left + (columns - 1) * right + 1 : right]
            result[i, j] = part.mean(axis=(0, 1), dtype=np.float64)
    return result
