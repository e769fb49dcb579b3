"""What flows through a graph on the calibration images: each activation's range, and the mean of what weights see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeclf.artifact.native_stderr import without_chatter
from edgeclf.artifact.tflite import OperatorInfo, TfliteModel, parse
from edgeclf.compression.export.tflite_editor import activations
from edgeclf.progress import SILENT, Progress

FEWEST_FOR_EXTREMES = 100
"""Images below which none is called extreme."""


@dataclass(frozen=True)
class Ranges:
    """Smallest and largest value of T activations on n images.

    Attributes:
        indices: tensor numbers, int64[T].
        names: of the tensors.
        lows: float32[n, T].
        highs: float32[n, T].
    """

    indices: np.ndarray
    names: tuple[str, ...]
    lows: np.ndarray
    highs: np.ndarray

    def without_extremes(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest value of each activation, float32[T] each, without the most extreme 1 % of the images.

        A single odd image would else decide how coarse the steps of all others are.
        """
        if len(self.lows) < FEWEST_FOR_EXTREMES:
            return self.lows.min(axis=0), self.highs.max(axis=0)
        return np.percentile(self.lows, 1, axis=0), np.percentile(self.highs, 99, axis=0)


class Observer:
    """Runs a graph and keeps what is inside readable.

    Args:
        flat: the graph, float or int8.
    """

    def __init__(self, flat: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        self.model: TfliteModel = parse(flat)
        with without_chatter(b"INFO:", b"XNNPACK"):
            self._native = Interpreter(
                model_content=flat,
                num_threads=1,
                experimental_preserve_all_tensors=True,
                # a delegate would keep what it computes to itself
                experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            )
            self._native.allocate_tensors()
        self._entry = self.model.input_indices[0]

    def run(self, tensor: np.ndarray) -> None:
        """Compute the graph on one input tensor."""
        self._native.set_tensor(self._entry, tensor)
        self._native.invoke()

    def read(self, index: int) -> np.ndarray:
        """The values of tensor `index` after `run`."""
        return np.asarray(self._native.get_tensor(index))

    def real(self, index: int) -> np.ndarray:
        """Like `read`, quantized values as the real numbers that they stand for: float32."""
        info, values = self.model.tensors[index], self.read(index)
        if not info.scale:
            return np.asarray(values, np.float32)
        return (values.astype(np.int32) - info.zero_point).astype(np.float32) * np.float32(info.scale)


def observe_ranges(
    observer: Observer,
    images: Sequence[Any] | np.ndarray,
    feed: Callable[[np.ndarray], np.ndarray],
    watched: Iterable[OperatorInfo] = (),
    progress: Progress = SILENT,
) -> tuple[Ranges, dict[int, np.ndarray]]:
    """Run a float graph on the calibration images.

    Args:
        observer: of the graph.
        images: uint8[n, H, W, 3].
        feed: makes the input tensor of one image.
        watched: operators whose mean input is wanted too.
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


def mean_patch(observer: Observer, op: OperatorInfo) -> np.ndarray:
    """Mean over the output's places of the input patch that an operator's weights are multiplied with.

    Returns:
        float64[kh, kw, C] for a convolution, float64[C] for a dense layer.
    """
    values = observer.real(op.inputs[0])
    weights, output = observer.model.tensors[op.inputs[1]], observer.model.tensors[op.outputs[0]]
    if op.name == "FULLY_CONNECTED":
        return values.reshape(-1, weights.shape[-1]).mean(axis=0, dtype=np.float64)
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
