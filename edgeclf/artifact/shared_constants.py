"""Lets tensors with equal constants share one buffer, so that a file holds them once."""

from __future__ import annotations

from typing import Any

import numpy as np

LEAST_BYTES = 64
"""Of a constant that is worth it."""


def share_constants(model: Any) -> None:
    """Let tensors whose constants have the same bytes name the same buffer, in an unpacked `ModelT`."""
    kept: dict[bytes, int] = {}
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            data = model.buffers[tensor.buffer].data
            if data is None or len(data) < LEAST_BYTES:
                continue
            tensor.buffer = kept.setdefault(np.asarray(data, np.uint8).tobytes(), tensor.buffer)
    named = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}
    named |= {row.buffer for row in model.metadata or []}
    for number, buffer in enumerate(model.buffers):
        if number not in named:
            buffer.data = None  # its number stays taken: tensors name theirs by number
