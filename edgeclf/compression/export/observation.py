"""Observes a graph on the calibration images: each activation's range, and the mean of what weights see."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.tflite import OperatorInfo, TfliteModel, parse
from edgeclf.artifact.tflite_editor import TfliteEditor
from edgeclf.compression.export.calibration import FEWEST_FOR_EXTREMES
from edgeclf.compression.export.graph_queries import activations
from edgeclf.compression.export.parallel import count_workers, spread
from edgeclf.errors import ModelError
from edgeclf.inference.litert import LITERT
from edgeclf.progress import SILENT, Progress

OBSERVED_BYTES = 10**9
"""Memory for what the observers of all threads keep readable, and for the sums beside them."""
Feed = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
"""Makes the input tensor of one image."""


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
        patches: by weight tensor number, what the weights of a layer see on average (see `mean_patch`), on those of
            the images that bias correction looks at.
        equalized: whether the ranges of channels were levelled (see `equalize`).
    """

    content: bytes
    input_max: float
    ranges: Ranges
    patches: Mapping[int, npt.NDArray[np.float64]]
    equalized: bool


class Observer:
    """Runs a graph on one thread and keeps what is inside readable.

    Args:
        content: the graph, float or int8.
    """

    def __init__(self, content: bytes) -> None:
        self.model: TfliteModel = parse(content)
        editor = TfliteEditor(content)
        # a delegate would keep what it computes to itself; without one, each operator takes several times as long
        editor.expose(index for op in self.model.operators for index in op.outputs)
        self._session = LITERT.open(ModelFile(editor.pack(), "the graph"))

    def run(self, tensor: npt.NDArray[Any]) -> None:
        """Compute the graph on one input tensor."""
        self._session.run(tensor)

    def read(self, index: int) -> npt.NDArray[Any]:
        """Copy the values of tensor `index` after `run`."""
        return self._session.read(index)

    def view(self, index: int) -> npt.NDArray[Any]:
        """Return the values of tensor `index`, which must not be held until the next `run`."""
        return self._session.view(index)

    def real(self, index: int) -> npt.NDArray[np.float32]:
        """Return the values of tensor `index` as the real numbers that they stand for: float32."""
        info, values = self.model.tensors[index], self.read(index)
        if not info.scale:
            return np.asarray(values, np.float32)
        centred = (values.astype(np.int32) - info.zero_point).astype(np.float32)
        return np.asarray(centred * np.float32(info.scale), np.float32)


def open_observers(content: bytes, images: int, averaged: Collection[int] = ()) -> list[Observer]:
    """Open an observer for each thread, of which there are fewer where they would keep more than `OBSERVED_BYTES`.

    Args:
        content: a float graph.
        images: number of images that it will run on.
        averaged: numbers of the tensors that each thread sums up in float64.
    """
    model = parse(content)
    kept = 4 * sum(tensor.elements for tensor in activations(model))
    summed = 8 * sum(model.tensors[index].elements for index in averaged)
    affordable = max(1, OBSERVED_BYTES // max(1, kept + summed))
    return [Observer(content) for _ in range(min(count_workers(images), affordable))]


def pixel_feeder(input_max: float) -> Feed:
    """Return a function that scales an image to 0..`input_max`: uint8[H, W, 3] to float32[1, H, W, 3]."""
    scale = np.float32(input_max / 255)
    return lambda image: image[None].astype(np.float32) * scale


def observe_ranges(
    content: bytes,
    images: npt.NDArray[np.uint8],
    feed: Feed,
    averaged: Sequence[int] = (),
    watched: Sequence[OperatorInfo] = (),
    progress: Progress = SILENT,
) -> tuple[Ranges, dict[int, npt.NDArray[np.float64]]]:
    """Run a float graph on the calibration images, on all cores that its activations leave memory for.

    Args:
        content: the graph.
        images: uint8[n, H, W, 3].
        feed: makes the input tensor of one image.
        averaged: numbers of the images that means are taken over.
        watched: operators whose mean input is returned.
        progress: where the bar goes.

    Returns:
        the ranges, and by weight tensor number the mean patch that the operator's weights are multiplied with.

    Raises:
        ModelError: a value is NaN or infinite.
    """
    entries = list(dict.fromkeys(op.inputs[0] for op in watched)) if averaged else []
    observers = open_observers(content, len(images), entries)
    model = observers[0].model
    tensors = activations(model)
    lows = np.empty((len(images), len(tensors)), np.float32)
    highs = np.empty_like(lows)
    sums = [{index: np.zeros(model.tensors[index].shape) for index in entries} for _ in observers]
    chosen = frozenset(averaged)

    def run(tool: tuple[Observer, dict[int, npt.NDArray[np.float64]]], row: int) -> None:
        observer, total = tool
        observer.run(feed(images[row]))
        for column, tensor in enumerate(tensors):
            values = observer.view(tensor.index)
            lows[row, column], highs[row, column] = values.min(), values.max()
        if row in chosen:
            for index, values in total.items():
                values += observer.view(index)

    with progress.task("calibrating", len(images)) as task:
        spread(run, list(zip(observers, sums, strict=True)), len(images), task)
    finite = np.isfinite(lows).all(axis=0) & np.isfinite(highs).all(axis=0)
    if not finite.all():
        first = tensors[int(np.argmin(finite))].name
        raise ModelError(
            f"the network computes NaN or infinite values on calibration images, first in {first!r:.100}: its weights "
            "or its input range are wrong; take a network whose training did not diverge, or see --normalize"
        )
    means = {index: np.sum([part[index] for part in sums], axis=0) / len(chosen) for index in entries}
    patches = {op.inputs[1]: mean_patch(model, op, means[op.inputs[0]]) for op in watched if entries}
    indices = np.array([t.index for t in tensors], np.int64)
    return Ranges(indices, tuple(t.name for t in tensors), lows, highs), patches


def mean_patch(model: TfliteModel, op: OperatorInfo, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Average over the output's places the input patch that an operator's weights are multiplied with.

    Args:
        model: the graph.
        op: one of its convolutions or dense layers.
        values: real values of its input, `[N, H, W, C]`, that the mean patch is of; N is 1, but where a network
            takes rows or tiles of a picture as a batch.

    Returns:
        float64[kh, kw, C] for a convolution, float64[C] for a dense layer.
    """
    weights, output = model.tensors[op.inputs[1]], model.tensors[op.outputs[0]]
    if op.name == "FULLY_CONNECTED":
        return np.asarray(values.reshape(-1, weights.shape[-1]).mean(axis=0, dtype=np.float64))
    _, tall, wide, _ = weights.shape
    _, rows, columns, _ = output.shape
    down, right = op.options["stride_h"], op.options["stride_w"]
    step_down, step_right = op.options["dilation_h"], op.options["dilation_w"]
    image = values[0] if len(values) == 1 else values.mean(axis=0)
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
