"""Turns a quantized graph into its float twin: the same operators on float32, constants as what they stand for.

The float twin has the rounding of the weights and not that of the activations. It is for measuring: what integers gain
in time, and what ranges of activations cost.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.tflite import TensorInfo
from edgeclf.errors import ModelError

HAS_TWIN = frozenset(
    """
    ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEQUANTIZE FULLY_CONNECTED HARD_SWISH LEAKY_RELU
    LOGISTIC MAXIMUM MAX_POOL_2D MEAN MINIMUM MUL PAD PADV2 PRELU QUANTIZE RELU RELU6 RESHAPE RESIZE_BILINEAR
    RESIZE_NEAREST_NEIGHBOR SHAPE SOFTMAX SQUEEZE STRIDED_SLICE SUB TANH TRANSPOSE TRANSPOSE_CONV
    """.split()  # noqa: SIM905
)
"""Operators that the runtimes have for integers and for float32, with the same options."""
_FLOAT32 = 0  # of the schema's TensorType
_LARGEST = 1 << 28  # elements of a constant that is turned into float


def make_float(model: Any, tensors: Sequence[TensorInfo], names: Sequence[str]) -> None:
    """Turn the one graph of an unpacked model (`ModelT` of the schema) into its float twin.

    Args:
        model: changed in place; its tensors and buffers are its own.
        tensors: its tensors as they were read, in order.
        names: of its operators, in order.

    Raises:
        ModelError: an operator has no twin, or a constant cannot be read.
    """
    graph = model.subgraphs[0]
    missing = sorted(set(names) - HAS_TWIN)
    if missing:
        raise ModelError(f"no float twin of {', '.join(missing)} is known")
    for new, info in zip(graph.tensors, tensors, strict=True):
        if len(info.scales) == 0:
            continue
        new.type, new.quantization = _FLOAT32, None
        if info.data is not None:
            # tensors that share a buffer may have different scales
            buffer = copy.copy(model.buffers[new.buffer])
            buffer.data = np.frombuffer(real_values(info).tobytes(), np.uint8)
            new.buffer = len(model.buffers)
            model.buffers.append(buffer)
    _drop_unused(model)
    _drop_conversions(graph, names)


def _drop_unused(model: Any) -> None:
    used = {tensor.buffer for tensor in model.subgraphs[0].tensors}
    for number, buffer in enumerate(model.buffers):
        if number not in used:
            buffer.data = None


def real_values(tensor: TensorInfo) -> npt.NDArray[np.float32]:
    """Compute what the integers of a quantized constant stand for: float32 of its shape.

    Raises:
        ModelError: its numbers cannot be read, or there are too many.
    """
    values = tensor.real_values() if tensor.elements <= _LARGEST else None
    if values is None:
        raise ModelError(f"the constant {tensor.name} of {tensor.dtype} cannot be turned into float32")
    return values.astype(np.float32)


def _drop_conversions(graph: Any, names: Sequence[str]) -> None:
    """Remove the operators that only change the type, where what reads them can read their input."""
    instead: dict[int, int] = {}
    kept = []
    outputs = {int(tensor) for tensor in graph.outputs}
    for operator, name in zip(graph.operators, names, strict=True):
        operator.inputs = [instead.get(int(t), int(t)) for t in operator.inputs]
        source, result = int(operator.inputs[0]) if len(operator.inputs) else -1, int(operator.outputs[0])
        both_float = name in ("QUANTIZE", "DEQUANTIZE") and graph.tensors[source].type == _FLOAT32
        if both_float and not (result in outputs and source in [int(t) for t in graph.inputs]):
            instead[result] = source
        else:
            kept.append(operator)
    graph.operators = kept
    graph.outputs = [instead.get(int(t), int(t)) for t in graph.outputs]
