"""Finds, in a classifier's graph, the last feature map and the weights of the classes on its channels.

Where global average pooling and one fully connected layer follow the map, the logit of a class is the mean over all
places of what each place adds to it: its class activation map (Zhou et al., 2016, arXiv:1512.04150). The map takes no
gradient, so that a device draws it from a quantized file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.classifier_shape import find_behind
from edgeclf.artifact.float_twin import real_values
from edgeclf.artifact.inner_scores import NUMBERS, find_inner_scores
from edgeclf.artifact.tflite import OperatorInfo, TensorInfo, TfliteModel
from edgeclf.errors import ModelError

Floats = npt.NDArray[np.float32]

EXPECTED = (
    "a class activation map needs global average pooling and one fully connected layer behind the last feature map"
)
MOST_VALUES = 1 << 24
"""Numbers of a feature map, and weights of a head, that are read."""
_LAST, _FIRST = (1, 2), (2, 3)


@dataclass(frozen=True)
class MapHead:
    """The part of a graph that class activation maps are computed from.

    Attributes:
        tensor: number of the feature map in the main graph.
        size: height and width of the map, in places.
        channels_first: the map is [1, C, h, w].
        weights: float32[outputs, C]; a single output is the logit of the second of two classes.
    """

    tensor: int
    size: tuple[int, int]
    channels_first: bool
    weights: Floats = field(repr=False)

    def class_map(self, features: Floats, index: int) -> Floats:
        """Compute what each place adds to the logit of a class; the mean over the places is the logit less its bias.

        Args:
            features: the real values of the feature map, in its shape.
            index: of the class.

        Returns:
            float32[h, w].
        """
        row = self.weights[index] if len(self.weights) > 1 else self.weights[0] * (1.0 if index else -1.0)
        height, width = self.size
        if self.channels_first:
            return np.asarray((row @ features.reshape(len(row), -1)).reshape(height, width), np.float32)
        return np.asarray((features.reshape(-1, len(row)) @ row).reshape(height, width), np.float32)


def find_map_head(graph: TfliteModel) -> MapHead:
    """Find the feature map and the head of a classifier.

    Raises:
        ModelError: it is no image classifier, or its head is another; the message names what was expected.
    """
    inner = find_inner_scores(graph)
    if inner is None:
        raise ModelError(f"{EXPECTED}, and a softmax at the end; its scores come from something else")
    producers = {tensor: operator for operator in graph.operators for tensor in operator.outputs}
    head = find_behind(producers, inner.logits)
    if inner.features is None or head is None or len(head.inputs) < 2:
        raise ModelError(f"{EXPECTED}; its logits come from {'nothing' if head is None else head.name}")
    pooling = find_behind(producers, inner.features)
    found = None if pooling is None else _pooled_map(graph, pooling)
    found = None if found is None or found[0].index not in producers else found
    if found is None:
        raise ModelError(f"{EXPECTED}; its last layer reads {'the image' if pooling is None else pooling.name}")
    tensor, channels_first = found
    channels, *size = tensor.shape[1:] if channels_first else (tensor.shape[3], *tensor.shape[1:3])
    weights = _read_weights(graph, producers, head.inputs[1])
    outputs = graph.tensors[inner.logits].elements
    sizes, expected = weights.shape, (outputs, channels, outputs * channels)
    if weights.ndim < 2 or (sizes[0], sizes[-1], weights.size) != expected:
        raise ModelError(f"{EXPECTED}; its weights are {list(sizes)}, for {outputs} logits of {channels} channels")
    return MapHead(tensor.index, (size[0], size[1]), channels_first, weights.reshape(outputs, channels))


def _pooled_map(graph: TfliteModel, pooling: OperatorInfo) -> tuple[TensorInfo, bool] | None:
    """Return the feature map that an operator averages over all places, and whether its channels come first."""
    if len(pooling.inputs) < 1 or min(pooling.inputs) < 0:
        return None
    source = graph.tensors[pooling.inputs[0]]
    if len(source.shape) != 4 or source.shape[0] != 1 or not _is_readable(source):
        return None
    if pooling.name == "AVERAGE_POOL_2D":
        window = (pooling.options["filter_h"], pooling.options["filter_w"])
        whole = window == source.shape[1:3] and graph.tensors[pooling.outputs[0]].elements == source.shape[3]
        return (source, False) if whole else None
    axes = graph.tensors[pooling.inputs[1]].values() if pooling.name == "MEAN" and len(pooling.inputs) > 1 else None
    if axes is None or axes.dtype.kind != "i" or axes.size != len(_LAST):
        return None
    places = tuple(sorted(int(axis) % 4 for axis in axes.reshape(-1)))
    return (source, places == _FIRST) if places in (_LAST, _FIRST) else None


def _is_readable(tensor: TensorInfo) -> bool:
    computed = tensor.data is None and all(size > 0 for size in (*tensor.shape, *tensor.signature[1:]))
    real = tensor.dtype == "float32" or (tensor.dtype in NUMBERS and tensor.scale > 0)
    return computed and real and tensor.elements <= MOST_VALUES


def _read_weights(graph: TfliteModel, producers: Mapping[int, OperatorInfo], index: int) -> Floats:
    """Read the real values of a constant, which may be stored in half precision and widened in the graph."""
    if not 0 <= index < len(graph.tensors):
        raise ModelError(f"{EXPECTED}; its last layer has no weights")
    tensor = graph.tensors[index]
    widened = producers.get(index)
    if tensor.data is None and widened is not None and widened.name == "DEQUANTIZE":
        tensor = graph.tensors[widened.inputs[0]]
    if tensor.elements > MOST_VALUES:
        raise ModelError(
            f"{EXPECTED}; its weights are {tensor.elements:,} numbers, of which at most {MOST_VALUES:,} are read"
        )
    if len(tensor.scales):
        return real_values(tensor)
    values = tensor.values()
    if values is None or values.dtype not in (np.float16, np.float32):
        raise ModelError(f"{EXPECTED}; its weights are no constant numbers")
    return values.astype(np.float32)
