"""Refuses SavedModels whose constants take far more memory than the file that holds them.

A constant may be written as one number and a shape; TensorFlow fills the shape as soon as the graph is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from edgeclf.errors import ModelError

MOST_FILLED = 1 << 26
"""Numbers of all constants together that the file does not hold itself: 256 MB as float32."""


def check_constants(stored: Any, file: str) -> None:
    """Add up the numbers that constants would be filled with.

    Args:
        stored: the parsed `saved_model.pb`.
        file: its name, for the message.

    Raises:
        ModelError: they are too many, or a size is below zero.
    """
    filled = 0
    for tensor in _constants(stored):
        sizes = [int(dimension.size) for dimension in tensor.tensor_shape.dim]
        if min(sizes, default=0) < 0:
            raise ModelError(f"{file}: a constant has the shape {sizes}; it is damaged, export it again")
        written = sum(len(value) for field, value in tensor.ListFields() if field.name.endswith("_val"))
        filled += 0 if tensor.tensor_content else max(0, math.prod(sizes) - written)
        if filled > MOST_FILLED:
            raise ModelError(
                f"{file}: its constants are filled with {filled:,} numbers that it does not hold, expected at most "
                f"{MOST_FILLED:,}; export the network again"
            )


def _constants(stored: Any) -> Iterator[Any]:
    for graph in stored.meta_graphs:
        functions = (node for function in graph.graph_def.library.function for node in function.node_def)
        for nodes in (graph.graph_def.node, functions):
            for node in nodes:
                for value in node.attr.values():
                    if value.HasField("tensor"):
                        yield value.tensor
                    yield from value.list.tensor
