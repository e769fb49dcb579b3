"""Finds out which operators of a graph the runtime's delegate (XNNPACK) computes."""

from __future__ import annotations

from collections.abc import Sequence

from edgeclf.artifact.tflite import TfliteModel
from edgeclf.inference.tflite_session import PlannedOperator

DELEGATE = "DELEGATE"
"""What the runtime calls a part of the graph that it handed to a delegate."""


def find_delegated(graph: TfliteModel, planned: Sequence[PlannedOperator]) -> frozenset[int]:
    """Find the operators that a delegate computes, by their number in the graph.

    A delegated part is known by the tensors that it reads and writes; what lies between them is in it.

    Args:
        graph: of the file.
        planned: what the interpreter has made of it.
    """
    producers = {tensor: number for number, op in enumerate(graph.operators) for tensor in op.outputs}
    found: set[int] = set()
    for name, reads, writes in planned[len(graph.operators) :]:
        if name != DELEGATE:
            continue
        waiting, seen = list(writes), set(reads)
        while waiting:
            tensor = waiting.pop()
            if tensor in seen or tensor not in producers:
                continue
            seen.add(tensor)
            found.add(producers[tensor])
            waiting.extend(graph.operators[producers[tensor]].inputs)
    return frozenset(found)


def is_integer(graph: TfliteModel, number: int) -> bool:
    """Return whether an operator has quantized weights, or computes on quantized tensors."""
    operator = graph.operators[number]
    tensors = [graph.tensors[t] for t in operator.inputs if t >= 0]
    return operator.name not in ("QUANTIZE", "DEQUANTIZE") and any(len(tensor.scales) for tensor in tensors)
