"""Computes how much memory the tensors of one inference need, from the order in which they are computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from edgeclf.artifact.operators import TYPE_BITS
from edgeclf.artifact.tflite import TensorInfo, TfliteModel

Step = tuple[Sequence[int], Sequence[int]]
"""The numbers of the tensors that an operator reads, and of those that it writes."""


def peak_bytes(steps: Sequence[Step], sizes: Mapping[int, int], kept: Iterable[int] = ()) -> int:
    """Compute the largest sum of the tensors that are alive at the same time.

    A tensor lives from the operator that writes it to the last one that reads it; while an operator runs, what it reads
    and what it writes are alive. No allocation can need less without computing in place, so this is a lower bound of
    the arena of TensorFlow Lite for Microcontrollers, which adds gaps, scratch buffers and its own records.

    Args:
        steps: in the order of execution.
        sizes: bytes of each tensor that takes memory; others, such as constants, are not counted.
        kept: tensors that live to the end, such as the outputs.

    Returns:
        bytes; 0 without steps.
    """
    written: dict[int, int] = {}
    last_read: dict[int, int] = {}
    for place, (reads, writes) in enumerate(steps):
        for tensor in reads:
            written.setdefault(tensor, 0)
            last_read[tensor] = place
        for tensor in writes:
            written.setdefault(tensor, place)
            last_read.setdefault(tensor, place)
    last_read.update(dict.fromkeys((tensor for tensor in kept if tensor in written), len(steps) - 1))
    change = [0] * (len(steps) + 1)
    for tensor, first in written.items():
        change[first] += sizes.get(tensor, 0)
        change[last_read[tensor] + 1] -= sizes.get(tensor, 0)
    peak = alive = 0
    for step in change:
        alive += step
        peak = max(peak, alive)
    return peak


def activation_bytes(model: TfliteModel) -> int | None:
    """Compute the memory of the tensors that come in or are computed (see `peak_bytes`).

    Returns:
        bytes; None where the file leaves a size open, or an element type is not known.
    """
    living = [tensor for tensor in model.tensors if tensor.data is None]
    used = {index for operator in model.operators for index in (*operator.inputs, *operator.outputs)}
    sizes: dict[int, int] = {}
    for tensor in living:
        taken = _bytes_of(tensor)
        if taken is None and tensor.index in used:
            return None
        sizes[tensor.index] = taken or 0
    steps = [([i for i in op.inputs if i >= 0], op.outputs) for op in model.operators]
    return peak_bytes(steps, sizes, model.output_indices)


def _bytes_of(tensor: TensorInfo) -> int | None:
    bits = TYPE_BITS.get(tensor.dtype)
    return None if bits is None or min(tensor.signature, default=1) < 0 else (tensor.elements * bits + 7) // 8
