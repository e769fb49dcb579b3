"""Checks that a graph is an image classifier, and describes its input and output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.label_bounds import MOST_CLASSES
from edgeclf.artifact.pixels import INPUT_TYPES
from edgeclf.artifact.tflite import OperatorInfo, TensorInfo, TfliteModel
from edgeclf.errors import ModelError

OUTPUT_TYPES = ("uint8", "int8", "int16", "float32")
_ROUNDING = 0.01
# operators that pass scores on without changing their order or meaning
PASSING = ("QUANTIZE", "DEQUANTIZE", "RESHAPE", "SQUEEZE", "CAST")
_HEADS = {"SOFTMAX": "probabilities", "LOGISTIC": "probabilities", "LOG_SOFTMAX": "log probabilities"}
_AVERAGES = ("MEAN", "AVERAGE_POOL_2D")
_SUMS = ("ADD", "ADD_N", "MUL", "DIV")
_MOST_SUMMED = 100


@dataclass(frozen=True)
class ClassifierShape:
    """Input and output of an image classifier.

    Sizes are in pixels; `dtype`, `scale` and `zero_point` are the input's.

    `scores` is what the output holds: `probabilities`, `log probabilities` or `logits`, read from the graph's last
    operators. `outputs` is the number of its values: that of the classes, or 1 for two classes, of which it is the
    second one's score. `channels_first`: the input is [1, channels, height, width], as PyTorch has it.
    """

    height: int
    width: int
    channels: int
    classes: int
    dtype: str
    scale: float
    zero_point: int
    scores: str
    outputs: int
    channels_first: bool = False

    def arrange(self, images: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Bring the channels of images `[N, H, W, channels]` to where the input has them."""
        return np.ascontiguousarray(np.moveaxis(images, -1, 1)) if self.channels_first else images


def classifier_shape(model: TfliteModel) -> ClassifierShape:
    """Check that `model` takes one image and gives one score a class, or one score for two classes.

    Raises:
        ModelError: it does not; the message names what was expected and what it has.
    """
    refusal = "not an image classifier: expected"
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ModelError(f"{refusal} one input and one output, got {len(model.inputs)} and {len(model.outputs)}")
    image, scores = model.inputs[0], model.outputs[0]
    shown = _shown(image)
    if len(image.shape) != 4:
        raise ModelError(f"{refusal} an input of shape [1, height, width, channels], got {shown}")
    batch, height, width, channels = image.shape
    if any(size == -1 for size in image.signature[1:]):
        raise ModelError(f"{refusal} an input of fixed size, got {shown}")
    channels_first = channels not in (1, 3) and height in (1, 3)
    if channels_first:
        height, width, channels = width, channels, height
    if channels not in (1, 3):
        raise ModelError(f"{refusal} an input with 1 or 3 channels at its end, got {shown}")
    if batch != 1 or height < 1 or width < 1:
        raise ModelError(f"{refusal} an input for one image, got {shown}")
    if image.dtype not in INPUT_TYPES:
        raise ModelError(f"{refusal} an input of {', '.join(INPUT_TYPES)}, got {image.dtype}")
    if scores.dtype not in OUTPUT_TYPES:
        raise ModelError(f"{refusal} an output of {', '.join(OUTPUT_TYPES)}, got {scores.dtype}")
    count = scores.elements
    if count != 1 and (len(scores.shape) < 2 or count != scores.shape[-1]):
        raise ModelError(f"{refusal} an output of shape [1, classes], got {_shown(scores)}")
    if count > MOST_CLASSES:
        raise ModelError(f"{refusal} at most {MOST_CLASSES:,} classes, got {count:,}")
    if count < 1:
        raise ModelError(f"{refusal} one score for each class, got {_shown(scores)}")
    kind = _scores(model, model.output_indices[0])
    if count == 1 and _within_one(scores):
        kind = "probabilities"
    return ClassifierShape(
        height,
        width,
        channels,
        max(count, 2),
        image.dtype,
        image.scale,
        image.zero_point,
        kind,
        count,
        channels_first,
    )


def _scores(model: TfliteModel, tensor: int) -> str:
    producers = {made: operator for operator in reversed(model.operators) for made in operator.outputs}
    head = find_behind(producers, tensor)
    if head is not None and head.name == "CONCATENATION":
        # a sigmoid, and beside it what is left to 1
        parts = [find_behind(producers, each) for each in head.inputs]
        return "probabilities" if any(part is not None and part.name == "LOGISTIC" for part in parts) else "logits"
    if head is not None and head.name in _AVERAGES and head.inputs:
        averaged = find_behind(producers, head.inputs[0])
        return "probabilities" if averaged is not None and averaged.name in ("SOFTMAX", "LOGISTIC") else "logits"
    if head is not None and head.name in _SUMS:
        total = _add_weights(model, producers, tensor, {})
        return "probabilities" if total is not None and abs(total - 1) < _ROUNDING else "logits"
    return "logits" if head is None else _HEADS.get(head.name, "logits")


def _add_weights(
    model: TfliteModel, producers: Mapping[int, OperatorInfo], tensor: int, known: dict[int, float | None]
) -> float | None:
    """Add up the weights of the probabilities that a tensor is the sum of; None: it is no such sum.

    The average of two softmaxes is an addition and a multiplication by a half. `known` are the tensors met before; it
    bounds how far a file made to be deep is followed.
    """
    if tensor in known or len(known) > _MOST_SUMMED:
        return known.get(tensor)
    known[tensor] = None
    head = find_behind(producers, tensor)
    if head is None:
        return None
    if head.name in ("SOFTMAX", "LOGISTIC"):
        known[tensor] = 1.0
    elif head.name in ("ADD", "ADD_N"):
        parts = [_add_weights(model, producers, each, known) for each in head.inputs]
        known[tensor] = None if None in parts else sum(part for part in parts if part is not None)
    elif head.name in ("MUL", "DIV") and len(head.inputs) == 2:
        term, constant = head.inputs
        factor = _read_number(model, producers, constant)
        if factor is None and head.name == "MUL":
            term, factor = constant, _read_number(model, producers, term)
        scaled = None if factor is None else _add_weights(model, producers, term, known)
        if scaled is not None and factor is not None:
            known[tensor] = scaled * factor if head.name == "MUL" else scaled / factor
    return known[tensor]


def _read_number(model: TfliteModel, producers: Mapping[int, OperatorInfo], index: int) -> float | None:
    """Return the one number that a constant holds, also one in float16 or 8 bits, if it is above 0."""
    maker = producers.get(index)
    if maker is not None and maker.name == "DEQUANTIZE" and maker.inputs:
        index = maker.inputs[0]
    if index < 0 or model.tensors[index].elements != 1:
        return None
    tensor = model.tensors[index]
    values = tensor.values()
    if values is None or values.size != 1 or values.dtype.kind not in "fiu":
        return None
    number = float(values.item())
    if tensor.scale:
        number = (number - tensor.zero_point) * tensor.scale
    return number if 0 < number < np.inf else None


def find_behind(producers: Mapping[int, OperatorInfo], tensor: int) -> OperatorInfo | None:
    """Find the operator that computes a tensor, looking through those that pass scores on."""
    operator = producers.get(tensor)
    for _ in producers:  # a damaged graph may run in a circle
        if operator is None or not operator.inputs or operator.name not in PASSING:
            break
        operator = producers.get(operator.inputs[0])
    return operator


def _within_one(tensor: TensorInfo) -> bool:
    """Return whether the numbers of an 8-bit tensor stand for values from 0 to 1, as those of a sigmoid do."""
    if tensor.dtype not in ("uint8", "int8") or not tensor.scale:
        return False
    limits = (0, 255) if tensor.dtype == "uint8" else (-128, 127)
    low, high = ((limit - tensor.zero_point) * tensor.scale for limit in limits)
    return low >= -_ROUNDING and high <= 1 + _ROUNDING


def _shown(tensor: TensorInfo) -> str:
    return str([*tensor.signature])
