"""Removes the tensors that nothing in a graph names: old runtimes for microcontrollers refuse a graph with some."""

from __future__ import annotations

from typing import Any

import numpy as np


def remove_unused_tensors(model: Any) -> None:
    """Remove the tensors that nothing names from the main graph of an unpacked model (`ModelT`).

    The others get new numbers. Constants of those that go are emptied where no other tensor has the same.
    """
    graph = model.subgraphs[0]
    lists = [(graph, "inputs"), (graph, "outputs")]
    lists += [(op, key) for op in graph.operators for key in ("inputs", "outputs", "intermediates")]
    rows = [
        row
        for signature in model.signatureDefs or []
        if signature.subgraphIndex == 0
        for row in (*(signature.inputs or []), *(signature.outputs or []))
    ]
    named = {int(index) for owner, key in lists for index in _numbers(owner, key)}
    named |= {int(row.tensorIndex) for row in rows}
    kept = [index for index in range(len(graph.tensors)) if index in named]
    moved = {before: after for after, before in enumerate(kept)} | {-1: -1}
    removed = [tensor for index, tensor in enumerate(graph.tensors) if index not in named]
    graph.tensors = [graph.tensors[index] for index in kept]
    for owner, key in lists:
        if getattr(owner, key, None) is not None:
            setattr(owner, key, np.asarray([moved[int(index)] for index in _numbers(owner, key)], np.int32))
    for row in rows:
        row.tensorIndex = moved[int(row.tensorIndex)]
    held = {tensor.buffer for each in model.subgraphs for tensor in each.tensors}
    for tensor in removed:
        if tensor.buffer not in held:
            model.buffers[tensor.buffer].data = None


def _numbers(owner: Any, key: str) -> list[int]:
    found = getattr(owner, key, None)
    return [] if found is None else [int(index) for index in found]
