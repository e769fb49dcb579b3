"""Adds metadata buffers to a finished TFLite file without touching a byte of its graph.

FlatBuffer offsets point forward only, so the new parts go in front of the old file: a new root table that points to the
old graph, a longer list of buffers, a longer list of metadata. Weights keep their 16-byte alignment because what goes
in front is a multiple of 64 bytes long.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from edgeclf.artifact.flatbuffer_reader import Reader, Table
from edgeclf.artifact.tflite import IDENTIFIER
from edgeclf.errors import ModelError

_ALIGNMENT = 64
# fields of the schema's Model table
_VERSION, _CODES, _GRAPHS, _DESCRIPTION, _BUFFERS, _OLD_METADATA, _METADATA, _SIGNATURES = range(8)
_ROOT_AT = 32
_ROOT_SIZE = 4 + 4 * 8


def add_metadata(flat: bytes, entries: Mapping[str, bytes], description: str) -> bytes:
    """A file with the same graph, and with `entries` as metadata buffers; one of the same name is replaced.

    Args:
        flat: a TFLite file; what follows its FlatBuffer (an appended zip) must have been cut off.
        entries: buffer by name.
        description: the file's own short text.

    Raises:
        ModelError: it is no TFLite file, or keeps its weights behind the FlatBuffer (files over 2 GB).
    """
    root = Reader(flat).root()
    if any(table.integer(1, "Q") > 1 for table in root.tables(_BUFFERS)):
        raise ModelError("models that keep their weights outside of the FlatBuffer (over 2 GB) cannot be extended")
    kept = [t for t in root.tables(_METADATA) if t.text(0) not in entries]
    old_buffers = root.table_positions(_BUFFERS)
    layout = _Layout(_ROOT_AT + _ROOT_SIZE)
    # whatever points comes before what it points to
    buffer_list = layout.add_vector(len(old_buffers) + len(entries))
    metadata_list = layout.add_vector(len(kept) + len(entries))
    buffers = [layout.add_table([0]) for _ in entries]
    rows = [layout.add_table([0, len(old_buffers) + i]) for i in range(len(entries))]
    text = layout.add_text(description)
    names = [layout.add_text(name) for name in entries]
    data = [layout.add_bytes(content) for content in entries.values()]
    layout.pad(_ALIGNMENT)

    shift = layout.size
    for buffer, place in zip(buffers, data, strict=True):
        layout.point(buffer + 4, place)
    for row, name in zip(rows, names, strict=True):
        layout.point(row + 4, name)
    _fill(layout, buffer_list, [p + shift for p in old_buffers] + buffers)
    _fill(layout, metadata_list, [t.position + shift for t in kept] + rows)
    _write_root(layout, root, shift, {_DESCRIPTION: text, _BUFFERS: buffer_list, _METADATA: metadata_list})
    return bytes(layout.content) + flat


def _write_root(layout: _Layout, root: Table, shift: int, new: Mapping[int, int]) -> None:
    targets = dict(new)
    for slot in (_CODES, _GRAPHS, _OLD_METADATA, _SIGNATURES):
        position = root.field(slot, 4)
        if position is not None:
            targets[slot] = position + root.reader.integer(position, "I") + shift
    struct.pack_into("<I4s", layout.content, 0, _ROOT_AT, IDENTIFIER)
    vtable = [4 + 4 * slot if slot == _VERSION or slot in targets else 0 for slot in range(8)]
    struct.pack_into("<HH8H", layout.content, 8, 20, _ROOT_SIZE, *vtable)
    struct.pack_into("<iI", layout.content, _ROOT_AT, _ROOT_AT - 8, root.integer(_VERSION, "I", 3))
    for slot, target in targets.items():
        layout.point(_ROOT_AT + 4 + 4 * slot, target)


def _fill(layout: _Layout, vector: int, targets: list[int]) -> None:
    for i, target in enumerate(targets):
        layout.point(vector + 4 + 4 * i, target)


class _Layout:
    """Bytes that grow at the end; each method returns where its part begins."""

    def __init__(self, reserved: int) -> None:
        self.content = bytearray(reserved)

    @property
    def size(self) -> int:
        return len(self.content)

    def pad(self, alignment: int, before: int = 0) -> None:
        """Fill up so that the byte after the next `before` bytes is aligned."""
        self.content.extend(bytes(-(self.size + before) % alignment))

    def add_bytes(self, data: bytes) -> int:
        self.pad(16, before=4)
        start = self.size
        self.content += struct.pack("<I", len(data)) + data
        return start

    def add_text(self, text: str) -> int:
        encoded = text.encode()
        self.pad(4)
        start = self.size
        self.content += struct.pack("<I", len(encoded)) + encoded + b"\0"
        return start

    def add_table(self, fields: list[int]) -> int:
        """A table of 4-byte numbers or offsets, its vtable in front of it."""
        self.pad(4)
        size = 4 + 2 * len(fields)
        self.content += struct.pack(f"<HH{len(fields)}H", size, 4 + 4 * len(fields), *range(4, 4 + 4 * len(fields), 4))
        self.pad(4)
        start = self.size
        self.content += struct.pack("<i", size + size % 4)  # distance back to the vtable
        self.content += struct.pack(f"<{len(fields)}I", *fields)
        return start

    def add_vector(self, count: int) -> int:
        """A vector of offsets, to be pointed later."""
        self.pad(4)
        start = self.size
        self.content += struct.pack("<I", count) + bytes(4 * count)
        return start

    def point(self, position: int, target: int) -> None:
        struct.pack_into("<I", self.content, position, target - position)
