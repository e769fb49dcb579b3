"""Files as PyTorch wrote them before version 1.6, assembled by hand: pickle instructions, and storages behind them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
NONE, TRUE, FALSE, EMPTY_TUPLE, CALL, REFERENCE = b"N", b"\x88", b"\x89", b")", b"R", b"Q"


def number(value: int) -> bytes:
    if 0 <= value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    wide = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(wide)]) + wide


def text(value: str) -> bytes:
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def row(*values: bytes) -> bytes:
    """A tuple."""
    return b"(" + b"".join(values) + b"t"


def table(values: Mapping[str, bytes]) -> bytes:
    """An ordered dict."""
    items = b"".join(text(key) + value for key, value in values.items())
    return name("collections", "OrderedDict") + EMPTY_TUPLE + CALL + b"(" + items + b"u"


def pickle(value: bytes) -> bytes:
    return b"\x80\x02" + value + b"."


def storage(key: str, count: int, kind: str = "FloatStorage") -> bytes:
    return row(text("storage"), name("torch", kind), text(key), text("cpu"), number(count), NONE) + REFERENCE


def tensor(stored: bytes, offset: int, size: Sequence[int], strides: Sequence[int]) -> bytes:
    hooks = name("collections", "OrderedDict") + EMPTY_TUPLE + CALL
    view = (number(offset), row(*map(number, size)), row(*map(number, strides)))
    return name("torch._utils", "_rebuild_tensor_v2") + row(stored, *view, FALSE, hooks) + CALL


def file(state: bytes, storages: Mapping[str, npt.NDArray[np.generic]]) -> bytes:
    machine = b"}(" + text("protocol_version") + number(PROTOCOL) + text("little_endian") + TRUE + b"u"
    keys = b"](" + b"".join(map(text, storages)) + b"e"
    data = b"".join(struct.pack("<q", values.size) + values.tobytes() for values in storages.values())
    head = (number(MAGIC), number(PROTOCOL), machine, state, keys)
    return b"".join(map(pickle, head)) + data


def state_file(tensors: Mapping[str, npt.NDArray[np.generic]]) -> bytes:
    """A state dict of contiguous tensors, a storage each."""
    state, storages = {}, {}
    for number_, (key, values) in enumerate(tensors.items()):
        kind = "LongStorage" if values.dtype == np.int64 else "FloatStorage"
        strides = [step // values.itemsize for step in np.ascontiguousarray(values).strides] if values.ndim else []
        state[key] = tensor(storage(str(number_), values.size, kind), 0, values.shape, strides)
        storages[str(number_)] = values
    return file(table(state), storages)
