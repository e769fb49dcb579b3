"""What a graph takes to run, as far as that can be known before it runs: memory, and whether it is sure to end."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

from edgeclf.artifact.macs import count_macs
from edgeclf.artifact.operators import LARGEST_RANK, OPERATORS, TYPE_BITS
from edgeclf.artifact.tflite import OperatorInfo, TfliteModel

Shapes = Mapping[int, tuple[int, ...]]
Step = tuple[Sequence[int], Sequence[int]]
"""The numbers of the tensors that an operator reads, and of those that it writes."""

_LARGEST_UNKNOWN = 128  # bits of an element whose type has no fixed size
_MOST_MACS = 50_000_000_000
_MOST_VALUES = 2_000_000_000
# Loops, branches, calls, state, and what no runtime computes by itself: how long these take, the graph does not say.
_OPEN_ENDED = frozenset(
    """
    CALL CALL_ONCE CUSTOM DELEGATE IF PLACEHOLDER WHILE HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE
    VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE RANGE SEGMENT_SUM WHERE UNIQUE NON_MAX_SUPPRESSION_V4
    NON_MAX_SUPPRESSION_V5
    """.split()  # noqa: SIM905
)
# The input that holds the size of the output, where it need not be that of another input: known if it is a constant.
_SIZE_INPUT = {
    "FILL": 0, "TILE": 1, "BROADCAST_TO": 1, "PAD": 1, "PADV2": 1, "MIRROR_PAD": 1, "RESIZE_BILINEAR": 1,
    "RESIZE_NEAREST_NEIGHBOR": 1, "TRANSPOSE_CONV": 0, "CONV_3D_TRANSPOSE": 0, "ONE_HOT": 1, "SPARSE_TO_DENSE": 1,
    "SCATTER_ND": 2, "BATCH_TO_SPACE_ND": 2, "SPACE_TO_BATCH_ND": 2, "RANDOM_UNIFORM": 0, "RANDOM_STANDARD_NORMAL": 0,
    "MULTINOMIAL": 1, "UNSORTED_SEGMENT_PROD": 2, "UNSORTED_SEGMENT_MAX": 2, "UNSORTED_SEGMENT_MIN": 2,
    "UNSORTED_SEGMENT_SUM": 2, "RFFT2D": 1,
}  # fmt: skip
_PREDICTABLE = frozenset(name for name in OPERATORS if not name.startswith("STABLEHLO")) - _OPEN_ENDED
"""Operators of which the time and memory follow from the sizes of their tensors."""


def peak_bytes(model: TfliteModel, shapes: Shapes) -> int:
    """Compute the memory of the values that are needed at the same time, at its peak; constants are not counted.

    Args:
        model: the graph.
        shapes: of tensors by number, where they differ from those in the file.
    """
    living = [
        ([tensor for tensor in operator.inputs if tensor >= 0 and model.tensors[tensor].data is None], operator.outputs)
        for operator in model.operators
    ]
    used = {*model.input_indices, *(tensor for reads, writes in living for tensor in (*reads, *writes))}
    sizes = {tensor: tensor_bytes(model, tensor, shapes) for tensor in used}
    return peak_of_steps([((), model.input_indices), *living], sizes, model.output_indices)


def peak_of_steps(steps: Sequence[Step], sizes: Mapping[int, int], kept: Iterable[int] = ()) -> int:
    """Compute the largest sum of the tensors that are alive at the same time.

    A tensor lives from the operator that writes it to the last one that reads it; while an operator runs, what it reads
    and what it writes are alive. For 8-bit tensors this is a lower bound of the arena of TensorFlow Lite for
    Microcontrollers, which adds gaps, scratch buffers and its own records.

    Args:
        steps: in the order of execution.
        sizes: bytes of each tensor.
        kept: tensors that live to the end, such as the outputs.
    """
    first_use: dict[int, int] = {}
    last_use: dict[int, int] = {}
    for position, (reads, writes) in enumerate(steps):
        for tensor in (*reads, *writes):
            first_use.setdefault(tensor, position)
            last_use[tensor] = position
    last_use |= {tensor: len(steps) - 1 for tensor in kept if tensor in first_use}
    changes = [0] * (len(steps) + 1)
    for tensor, position in first_use.items():
        changes[position] += sizes[tensor]
        changes[last_use[tensor] + 1] -= sizes[tensor]
    return max(itertools.accumulate(changes), default=0)


def tensor_bytes(model: TfliteModel, index: int, shapes: Shapes) -> int:
    """Compute the bytes of one tensor; arguments as `peak_bytes`."""
    tensor = model.tensors[index]
    bits = TYPE_BITS.get(tensor.dtype) or _LARGEST_UNKNOWN
    return (math.prod(shapes.get(index, tensor.shape)) * bits + 7) // 8


def is_predictable(model: TfliteModel) -> bool:
    """Return whether the graph is sure to end soon, and its tensors are as large as they are when it is opened.

    Not so where it has operators that are not known to (loops, calls, whatever is newer than this list), sizes that are
    computed from the image, or more work than any usual classifier, which has below 50 G multiply-accumulates.
    """
    if model.subgraphs > 1 or not all(_has_fixed_size(model, operator) for operator in model.operators):
        return False
    values = sum(model.tensors[tensor].elements for operator in model.operators for tensor in operator.outputs)
    return values <= _MOST_VALUES and count_macs(model) <= _MOST_MACS


def _has_fixed_size(model: TfliteModel, operator: OperatorInfo) -> bool:
    if operator.name not in _PREDICTABLE:
        return False
    place = _SIZE_INPUT.get(operator.name)
    if place is None or place >= len(operator.inputs):
        return True
    return operator.inputs[place] >= 0 and model.tensors[operator.inputs[place]].data is not None


_COMPUTED_AT_RUN = _OPEN_ENDED - {"RANGE", "WHERE"}


def largest_folded_constant(model: TfliteModel) -> float:
    """Bound the elements of what is computed from constants alone, which a runtime does when it opens the file.

    The shapes that a file claims for such tensors mean nothing. Infinite where no bound is known.
    """
    counts: dict[int, float] = {t.index: float(t.elements) for t in model.tensors if t.data is not None}
    largest = 0.0
    for operator in model.operators:
        read = [tensor for tensor in operator.inputs if tensor >= 0]
        if not read or operator.name in _COMPUTED_AT_RUN or not all(tensor in counts for tensor in read):
            continue
        size = _folded_size(model, operator, [counts[tensor] for tensor in read])
        counts |= dict.fromkeys(operator.outputs, size)
        largest = max(largest, size)
    return largest


def _folded_size(model: TfliteModel, operator: OperatorInfo, sizes: list[float]) -> float:
    """Bound the elements of an output of an operator of which all inputs are constants with `sizes` elements."""
    match operator.name, [_literal(model, tensor) for tensor in operator.inputs]:
        case "RANGE", [[start], [limit], [step]]:
            count = abs((limit - start) / step) + 1 if step else math.inf
            return count if count >= 1 else math.inf
        case (("FILL" | "RANDOM_UNIFORM" | "RANDOM_STANDARD_NORMAL"), [[*shape], *_]):
            return math.prod(map(abs, shape))
        case "BROADCAST_TO", [_, [*shape]]:
            return math.prod(map(abs, shape))
        case "TILE", [_, [*times]]:
            return sizes[0] * math.prod(map(abs, times))
        case (("CONCATENATION" | "PACK"), _):
            return sum(sizes)
        case (("WHERE" | "MATRIX_DIAG" | "MATRIX_SET_DIAG"), _):
            # multiplied rather than squared: a power of large numbers is an error, their product is infinite
            return LARGEST_RANK * math.prod(sizes) * math.prod(sizes)
    if operator.name in _SIZE_INPUT or operator.name == "RANGE":
        return math.inf
    # As large as its largest input, or, with broadcasting, as all of them multiplied.
    return math.prod(sizes)


def _literal(model: TfliteModel, tensor: int) -> list[float] | None:
    """Return the values of a constant, if they are few; None: it is none, or has many."""
    if tensor < 0 or model.tensors[tensor].elements > LARGEST_RANK:
        return None
    values = model.tensors[tensor].values()
    return None if values is None else [float(value) for value in values.reshape(-1)]
