"""Finds the logits of a classifier, and the pooled features in front of its last layer, inside of the graph."""

from __future__ import annotations

from dataclasses import dataclass

from edgeclf.artifact.classifier_shape import classifier_shape, find_behind
from edgeclf.artifact.operators import TYPE_BITS
from edgeclf.artifact.tflite import TensorInfo, TfliteModel
from edgeclf.errors import ModelError

NUMBERS = ("uint8", "int8", "int16", "float32")
"""Types of tensors that are read from inside a graph."""
_HEADS = ("SOFTMAX", "LOGISTIC")


@dataclass(frozen=True)
class InnerScores:
    """Numbers of tensors of the main graph.

    Attributes:
        logits: the input of the softmax, or of the sigmoid of a single output.
        features: the vector that the last layer takes; None: there is none that can be read.
    """

    logits: int
    features: int | None = None

    @property
    def tensors(self) -> tuple[int, ...]:
        """Both numbers, or the one there is."""
        return (self.logits,) if self.features is None else (self.logits, self.features)


def find_inner_scores(graph: TfliteModel) -> InnerScores | None:
    """Find the logits and features of a classifier; None: its probabilities come from no softmax that is known here.

    A graph that ends in logits is read at its output.

    Raises:
        ModelError: it is no image classifier.
    """
    shape = classifier_shape(graph)
    producers = {tensor: operator for operator in graph.operators for tensor in operator.outputs}
    output = graph.output_indices[0]
    head = find_behind(producers, output)
    if head is None or not head.inputs:
        return None
    if head.name in _HEADS:
        if head.name == "LOGISTIC" and shape.outputs > 1:
            return None
        logits = head.inputs[0]
    elif shape.scores == "logits" and head.name in ("FULLY_CONNECTED", "CONV_2D"):
        logits = output
    else:
        return None
    if not is_readable(graph, logits, shape.outputs):
        return None
    last = find_behind(producers, logits)
    if last is None or not last.inputs or last.name not in ("FULLY_CONNECTED", "CONV_2D"):
        return InnerScores(logits)
    features = last.inputs[0]
    size = vector_size(graph.tensors[features])
    if size is None or not is_readable(graph, features, size):
        return InnerScores(logits)
    return InnerScores(logits, features)


def is_readable(graph: TfliteModel, tensor: int, size: int) -> bool:
    """Return whether a tensor is computed, and is a vector of `size` numbers of a type that is known here."""
    if not 0 <= tensor < len(graph.tensors):
        return False
    found = graph.tensors[tensor]
    computed = found.data is None and any(tensor in operator.outputs for operator in graph.operators)
    known = found.dtype in NUMBERS and TYPE_BITS.get(found.dtype) is not None
    quantized = found.dtype == "float32" or found.scale > 0
    return computed and known and quantized and vector_size(found) == size


def vector_size(tensor: TensorInfo) -> int | None:
    """Return the length of a tensor that is one vector: all but one of its sizes are 1; None: it is none."""
    if any(size < 1 for size in (*tensor.shape, *tensor.signature[1:])):
        return None
    longest = max(tensor.shape, default=1)
    return longest if tensor.elements == longest else None


def describe_missing(graph: TfliteModel) -> str:
    """Describe why probabilities of a graph cannot be fitted; empty: they can be."""
    try:
        found = find_inner_scores(graph)
    except ModelError as error:
        return str(error)
    return "" if found is not None else "the graph ends in no softmax, so that its probabilities stay as they are"
