"""Checks that a graph is an image classifier, and describes its input and output."""

from __future__ import annotations

from dataclasses import dataclass

from edgeclf.artifact.label_bounds import MOST_CLASSES
from edgeclf.artifact.pixels import INPUT_TYPES
from edgeclf.artifact.tflite import TensorInfo, TfliteModel
from edgeclf.errors import ModelError

OUTPUT_TYPES = ("uint8", "int8", "int16", "float32")
# operators that pass scores on without changing their order or meaning
_TRANSPARENT = ("QUANTIZE", "DEQUANTIZE", "RESHAPE", "SQUEEZE", "CAST")
_HEADS = {"SOFTMAX": "probabilities", "LOGISTIC": "probabilities", "LOG_SOFTMAX": "log probabilities"}


@dataclass(frozen=True)
class ClassifierShape:
    """Input and output of an image classifier.

    Sizes are in pixels; `dtype`, `scale` and `zero_point` are the input's.

    `scores` is what the output holds: `probabilities`, `log probabilities` or `logits`, read from the graph's last
    operator.
    """

    height: int
    width: int
    channels: int
    classes: int
    dtype: str
    scale: float
    zero_point: int
    scores: str


def classifier_shape(model: TfliteModel) -> ClassifierShape:
    """Check that `model` takes one image and gives one score a class.

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
    if channels not in (1, 3):
        hint = "; it seems to be channels first, convert it to channels last" if height in (1, 3) else ""
        raise ModelError(f"{refusal} an input with 1 or 3 channels at its end, got {shown}{hint}")
    if batch != 1 or height < 1 or width < 1:
        raise ModelError(f"{refusal} an input for one image, got {shown}")
    if image.dtype not in INPUT_TYPES:
        raise ModelError(f"{refusal} an input of {', '.join(INPUT_TYPES)}, got {image.dtype}")
    if scores.dtype not in OUTPUT_TYPES:
        raise ModelError(f"{refusal} an output of {', '.join(OUTPUT_TYPES)}, got {scores.dtype}")
    if len(scores.shape) < 2 or scores.elements != scores.shape[-1]:
        raise ModelError(f"{refusal} an output of shape [1, classes], got {_shown(scores)}")
    if scores.elements > MOST_CLASSES:
        raise ModelError(f"{refusal} at most {MOST_CLASSES:,} classes, got {scores.elements:,}")
    if scores.elements < 2:
        raise ModelError(f"{refusal} one score for each of at least 2 classes, got {_shown(scores)}")
    kind = _scores(model)
    return ClassifierShape(height, width, channels, scores.elements, image.dtype, image.scale, image.zero_point, kind)


def _scores(model: TfliteModel) -> str:
    tensor = model.output_indices[0]
    producers = {made: operator for operator in reversed(model.operators) for made in operator.outputs}
    for _ in model.operators:  # a damaged graph may run in a circle
        operator = producers.get(tensor)
        if operator is None or not operator.inputs:
            break
        if operator.name in _HEADS:
            return _HEADS[operator.name]
        if operator.name not in _TRANSPARENT:
            break
        tensor = operator.inputs[0]
    return "logits"


def _shown(tensor: TensorInfo) -> str:
    return str([*tensor.signature])
