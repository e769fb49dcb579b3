"""Finds the layer with which a graph scales its input, and the quantization of an 8-bit input that does without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.tflite import OperatorInfo, TfliteModel

WHOLE = 1e-3
"""Distance from a whole number of steps that counts as none."""
_EQUAL = 1e-5
"""Relative difference between the numbers of channels that count as one."""
_PADDING = ("PAD", "MIRROR_PAD")
_MOST_PADDINGS = 8  # in a row


@dataclass(frozen=True)
class EntryScaling:
    """The layer at the front of a graph that scales what enters.

    Attributes:
        place: number of its operator.
        result: number of the tensor that it makes.
        constant: number of the tensor of its offsets.
        scales: float64[C], what each channel is multiplied by.
        offsets: float64[C], what is added to it after that.
        subtracts: whether the constant is what is subtracted instead.
    """

    place: int
    result: int
    constant: int
    scales: npt.NDArray[np.float64]
    offsets: npt.NDArray[np.float64]
    subtracts: bool = False

    def whole_steps(self, step: float) -> tuple[float, int] | None:
        """Return the step behind the scaling, and the number of steps in front of it that stands nearest to 0 there."""
        return whole_steps(self.scales, self.offsets, step)

    def is_whole(self, step: float) -> bool:
        """Return whether the offset is a whole number of steps."""
        found = self.whole_steps(step)
        return found is not None and abs(float(self.offsets[0]) / found[0] + found[1]) <= WHOLE


def find_entry_scaling(graph: TfliteModel, entry: int) -> EntryScaling | None:
    """Find the 1x1 depthwise convolution, or the addition or subtraction of a constant, that alone reads a tensor.

    Args:
        graph: float or int8.
        entry: number of the tensor.

    Returns:
        None: there is none. Whether an activation function is fused into it, the caller has to look.
    """
    readers, shape = graph.consumers(entry), graph.tensors[entry].shape
    if len(readers) != 1 or len(shape) != 4 or set(readers[0].outputs[:1]) <= set(graph.output_indices):
        return None
    (op,) = readers
    place = graph.operators.index(op)
    constants = [index for index in op.inputs if index >= 0 and graph.tensors[index].values() is not None]
    numbers = [np.asarray(graph.tensors[index].real_values()) for index in constants]
    if op.name == "DEPTHWISE_CONV_2D" and len(numbers) == 2 and numbers[0].shape == (1, 1, 1, shape[-1]):
        if (op.options["stride_h"], op.options["stride_w"]) != (1, 1):
            return None
        return EntryScaling(place, op.outputs[0], constants[1], numbers[0].reshape(-1), numbers[1])
    subtracts = op.name == "SUB"
    if (op.name == "ADD" or (subtracts and op.inputs[0] == entry)) and len(numbers) == 1 and numbers[0].size == 1:
        offsets = numbers[0].reshape(-1) * (-1 if subtracts else 1)
        return EntryScaling(place, op.outputs[0], constants[0], np.ones(1), offsets, subtracts)
    return None


def whole_steps(
    scales: npt.NDArray[np.floating[Any]], offsets: npt.NDArray[np.floating[Any]], step: float
) -> tuple[float, int] | None:
    """Return the step of a pixel value behind a scaling, and the number of steps in front that stands nearest to 0.

    They are the quantization of an 8-bit input that needs no such layer; its offset is then a whole number of steps.

    Args:
        scales: float[C], what each channel is multiplied by.
        offsets: float[C], what is added to it after that.
        step: of a pixel value in front of the scaling.

    Returns:
        None: it is no scaling by one positive number for all channels.
    """
    behind, offset = float(scales[0]) * step, float(offsets[0])
    if not (np.isfinite(behind) and behind > 0 and np.isfinite(offsets).all()):
        return None
    if not (np.allclose(scales, scales[0], _EQUAL, 0) and np.allclose(offsets, offset, _EQUAL, 0)):
        return None
    return behind, round(-offset / behind)


def find_shiftable(graph: TfliteModel, tensor: int) -> list[OperatorInfo] | None:
    """Find the convolutions that read a tensor, through padding or not, and can take a change of it into their biases.

    Args:
        graph: float or int8.
        tensor: its number.

    Returns:
        None: something else reads it, or a weight or bias is computed, missing or shared.
    """
    found: list[OperatorInfo] = []
    waiting = [tensor]
    for _ in range(_MOST_PADDINGS + 1):
        if not waiting:
            return found
        readers = [op for index in waiting for op in graph.consumers(index)]
        if set(waiting) & set(graph.output_indices):
            return None
        waiting = []
        for op in readers:
            if op.name in _PADDING and op.outputs:
                waiting.append(op.outputs[0])
            elif _has_own_bias(graph, op):
                found.append(op)
            else:
                return None
    return None


def _has_own_bias(graph: TfliteModel, op: OperatorInfo) -> bool:
    if op.name not in ("CONV_2D", "DEPTHWISE_CONV_2D") or len(op.inputs) < 3 or op.inputs[2] < 0:
        return False
    known = all(graph.tensors[index].values() is not None for index in op.inputs[1:3])
    return known and len(graph.consumers(op.inputs[2])) == 1
