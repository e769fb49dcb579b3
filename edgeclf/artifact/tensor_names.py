"""Changes the names of tensors: by them a tensor of one graph is found in another that was made of it."""

from __future__ import annotations

from typing import Any


def shorten_names(model: Any) -> None:
    """Keep, of the names of all operators fused into one, the first as its tensor's name, in an unpacked `ModelT`."""
    for tensor in model.subgraphs[0].tensors:
        tensor.name = (tensor.name or b"").split(b";")[0]
    distinguish_names(model)


def distinguish_names(model: Any) -> None:
    """Number the tensors of the main graph that have a name of one before them, or none, in an unpacked `ModelT`."""
    taken: set[bytes] = set()
    last: dict[bytes, int] = {}
    for tensor in model.subgraphs[0].tensors:
        plain = name = tensor.name or b"tensor"
        while name in taken:
            last[plain] = last.get(plain, 1) + 1
            name = b"%s_%d" % (plain, last[plain])
        taken.add(name)
        tensor.name = name
