"""Reads FlatBuffers with `struct` alone, every access checked against the end of the file.

The layout is that of https://flatbuffers.dev/internals: a table starts with the signed distance to its vtable, which
lists where each field lies. Offsets are unsigned and point forward, so a chain of them always ends.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.errors import DamagedModelError

DAMAGED = "the model file is cut or damaged: "
_TEXTS = 8  # bytes of texts that may be read for each byte of the file
_MOST_TABLES = 100_000
"""Tables in lists that are read of a file: each takes some 40 microseconds. Large networks have a few thousand."""


class Reader:
    """The bytes of one FlatBuffer.

    A damaged count can make a small file claim thousands of tables with the same thousands of children; the budget
    of elements, one for each byte of the file, ends such a reading. Texts have a budget of their own, since writers may
    keep equal ones once.
    """

    def __init__(self, content: bytes | memoryview) -> None:
        self.content = memoryview(content)
        self._budget = len(content)
        self._text_budget = _TEXTS * len(content)
        self._tables = 0

    def number(self, position: int, code: str) -> int | float:
        """Read the little-endian number with `struct` code `code` at `position`."""
        try:
            value: int | float = struct.unpack_from("<" + code, self.content, position)[0]
        except struct.error:
            raise damage_error(f"it points to byte {position} and has {len(self.content)}") from None
        return value

    def integer(self, position: int, code: str) -> int:
        """Read a number with one of the integer codes."""
        return int(self.number(position, code))

    def span(self, start: int, size: int) -> memoryview:
        """Return `size` bytes from `start`."""
        if start < 0 or size < 0 or start + size > len(self.content):
            raise damage_error(f"bytes {start} to {start + size} are missing, it has {len(self.content)}")
        return self.content[start : start + size]

    def spend(self, elements: int) -> None:
        """Count `elements` as read.

        Raises:
            DamagedModelError: the budget is used up.
        """
        self._budget -= elements
        if self._budget < 0:
            raise damage_error("it claims more parts than it has bytes")

    def spend_tables(self, count: int) -> None:
        """Count tables of a list as read.

        Raises:
            DamagedModelError: the file has more of them than any network.
        """
        self._tables += count
        if self._tables > _MOST_TABLES:
            raise damage_error(f"it claims more than {_MOST_TABLES:,} parts")

    def spend_text(self, size: int) -> None:
        """Count a text of `size` bytes as read.

        Raises:
            DamagedModelError: its budget is used up.
        """
        self._text_budget -= size
        if self._text_budget < 0:
            raise damage_error("it claims more text than it has bytes")

    def root(self) -> Table:
        """Find the outermost table."""
        return Table(self, self.integer(0, "I"))


class Table:
    """One table of a FlatBuffer; a slot is the number of a field in the schema, counted from zero."""

    def __init__(self, reader: Reader, position: int) -> None:
        self.reader = reader
        self.position = position
        self._vtable = position - reader.integer(position, "i")
        if self._vtable < 0:
            raise damage_error(f"the table at byte {position} has no field list")
        self._vtable_size = reader.integer(self._vtable, "H")
        self._size = reader.integer(self._vtable + 2, "H")
        if self._vtable_size < 4 or self._vtable_size % 2 or self._size < 4:
            raise damage_error(f"the table at byte {position} has a broken field list")
        reader.span(self._vtable, self._vtable_size)
        reader.span(position, self._size)

    def field(self, slot: int, size: int) -> int | None:
        """Find where a field of `size` bytes lies in the file; None: the table leaves it out."""
        entry = 4 + 2 * slot
        if entry + 2 > self._vtable_size:
            return None
        offset = self.reader.integer(self._vtable + entry, "H")
        if offset == 0:
            return None
        if offset < 4 or offset + size > self._size:
            raise damage_error(f"field {slot} of the table at byte {self.position} lies outside of it")
        return self.position + offset

    def integer(self, slot: int, code: str, default: int = 0) -> int:
        """Read a field that is a number."""
        position = self.field(slot, struct.calcsize("<" + code))
        return default if position is None else self.reader.integer(position, code)

    def _target(self, slot: int) -> int | None:
        position = self.field(slot, 4)
        if position is None:
            return None
        return position + self.reader.integer(position, "I")

    def table(self, slot: int) -> Table | None:
        """Read a field that is a table."""
        target = self._target(slot)
        return None if target is None else Table(self.reader, target)

    def _vector(self, slot: int, size: int) -> tuple[int, int]:
        target = self._target(slot)
        if target is None:
            return 0, 0
        count = self.reader.integer(target, "I")
        self.reader.span(target + 4, count * size)
        return target + 4, count

    def tables(self, slot: int) -> list[Table]:
        """Read a field that is a vector of tables."""
        return [Table(self.reader, position) for position in self.table_positions(slot)]

    def table_positions(self, slot: int) -> list[int]:
        """Find where the tables of a vector lie in the file."""
        start, count = self._vector(slot, 4)
        self.reader.spend(count)
        self.reader.spend_tables(count)
        places = range(start, start + 4 * count, 4)
        return [place + self.reader.integer(place, "I") for place in places]

    def data(self, slot: int) -> memoryview | None:
        """Read a field that is a vector of bytes."""
        if self._target(slot) is None:
            return None
        start, count = self._vector(slot, 1)
        return self.reader.span(start, count)

    def data_position(self, slot: int) -> int | None:
        """Find where the bytes of a non-empty vector begin; None: it is empty."""
        start, count = self._vector(slot, 1)
        return start if count else None

    def numbers(self, slot: int, dtype: str) -> npt.NDArray[Any]:
        """Read a field that is a vector of numbers of the NumPy type `dtype`."""
        width = np.dtype(dtype).itemsize
        start, count = self._vector(slot, width)
        self.reader.spend(count)
        return np.frombuffer(self.reader.span(start, count * width), np.dtype(dtype).newbyteorder("<"))

    def integers(self, slot: int, dtype: str = "i4") -> tuple[int, ...]:
        """Read numbers as Python integers."""
        return tuple(int(value) for value in self.numbers(slot, dtype))

    def text(self, slot: int) -> str:
        """Read a field that is a string; empty where it is left out."""
        data = self.data(slot)
        if data is None:
            return ""
        self.reader.spend_text(len(data))
        try:
            return bytes(data).decode()
        except UnicodeDecodeError:
            raise damage_error(f"the text in field {slot} of the table at byte {self.position} is not UTF-8") from None


def damage_error(what: str) -> DamagedModelError:
    """Make the error for a file whose structure does not hold together."""
    return DamagedModelError(f"{DAMAGED}{what}; copy it again from where it was made")
