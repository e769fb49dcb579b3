"""Chooses ranges by the least mean squared error of rounding and clipping together.

A wide range rounds everything coarsely, a narrow one clips a few values far. For activations both ends are moved
inwards on samples of the values that were seen; for weights the largest magnitude of each scale.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.operators import WEIGHTED
from edgeclf.artifact.tflite import TfliteModel
from edgeclf.artifact.tflite_editor import TfliteEditor
from edgeclf.compression.export.graph_queries import activations
from edgeclf.compression.export.observation import Feed, Observer, open_observers
from edgeclf.compression.export.parallel import spread
from edgeclf.progress import SILENT, Progress

LOOKED_AT = 64
"""Calibration images whose values are sampled."""
SAMPLES = 512
"""Values a tensor and image."""
FRACTIONS = np.geomspace(1.0, 0.05, 40)
"""Of the observed ends of an activation's range."""
WEIGHT_FRACTIONS = np.linspace(1.0, 0.7, 31)
"""Of the largest magnitude that shares a scale."""


def choose_ranges(
    content: bytes, images: npt.NDArray[np.uint8], feed: Feed, progress: Progress = SILENT
) -> dict[int, tuple[float, float]]:
    """Choose the ranges of a float graph's activations, by tensor number.

    Args:
        content: the graph.
        images: uint8[n, H, W, 3], calibration images; `LOOKED_AT` of them are used.
        feed: makes the input tensor of one image.
        progress: where the bar goes.
    """
    rows = np.linspace(0, len(images) - 1, min(len(images), LOOKED_AT)).astype(np.int64)
    observers = open_observers(content, len(rows))
    tensors = activations(observers[0].model)
    random = np.random.default_rng(0)
    places = [random.choice(tensor.elements, min(SAMPLES, tensor.elements), replace=False) for tensor in tensors]
    values = [np.empty((len(rows), len(place) + 2), np.float32) for place in places]

    def run(observer: Observer, number: int) -> None:
        observer.run(feed(images[rows[number]]))
        for tensor, place, kept in zip(tensors, places, values, strict=True):
            flat = observer.view(tensor.index).reshape(-1)
            kept[number, :-2] = flat[place]
            kept[number, -2:] = flat.min(), flat.max()

    with progress.task("choosing ranges", len(rows)) as task:
        spread(run, observers, len(rows), task)
    return {
        tensor.index: best_range(kept[:, :-2].ravel(), float(kept[:, -2].min()), float(kept[:, -1].max()))
        for tensor, kept in zip(tensors, values, strict=True)
    }


def best_range(values: npt.NDArray[np.float32], low: float, high: float) -> tuple[float, float]:
    """Find the range within `low` to `high` whose 256 steps leave the least mean squared error.

    Both ends move together first, then each by itself.

    Args:
        values: float32[n].
        low: smallest value.
        high: largest.
    """

    def error(ends: tuple[float, float]) -> float:
        bottom, top = min(ends[0], 0.0), max(ends[1], 0.0)
        scale = max((top - bottom) / 255, 1e-30)
        zero = np.rint(-bottom / scale)
        rounded = (np.clip(np.rint(values / scale) + zero, 0, 255) - zero) * scale
        return float(np.square(values - rounded, dtype=np.float64).mean())

    best = min(((low * part, high * part) for part in FRACTIONS), key=error)
    best = min([best, *((low * part, best[1]) for part in FRACTIONS)], key=error)
    return min([best, *((best[0], high * part) for part in FRACTIONS)], key=error)


def clip_weights(editor: TfliteEditor, kept: Collection[str] = ()) -> None:
    """Clip the weights of a float graph where 255 steps between the ends leave less error than between the extremes.

    Convolutions have one scale an output channel, dense layers a single one.

    Args:
        editor: of the graph.
        kept: names of the tensors whose operators stay in float, with the weights that they have.
    """
    graph = editor.graph
    for index, axis in _weights(graph, kept).items():
        weights = np.asarray(graph.tensors[index].values(), np.float64)
        others = None if axis is None else tuple(i for i in range(weights.ndim) if i != axis)
        peaks = np.maximum(np.abs(weights).max(axis=others, keepdims=True), 1e-30)
        errors = []
        for part in WEIGHT_FRACTIONS:
            step = part * peaks / 127
            rounded = np.clip(np.rint(weights / step), -127, 127) * step
            errors.append(np.square(weights - rounded).sum(axis=others, keepdims=True))
        ends = peaks * WEIGHT_FRACTIONS[np.argmin(np.stack(errors), axis=0)]
        editor.set_constant(index, np.clip(weights, -ends, ends).astype("<f4"))


def _weights(graph: TfliteModel, kept: Collection[str]) -> dict[int, int | None]:
    """Return by number of weight tensor the axis of its scales; None: it has a single one."""
    axes = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": None}
    return {
        op.inputs[1]: axes[op.name]
        for op in graph.operators
        if op.name in WEIGHTED
        and graph.tensors[op.outputs[0]].name not in kept
        and graph.tensors[op.inputs[1]].values() is not None
    }
