"""Reads how films (ISO/IEC 14496-12: MP4, MOV) and AVIF pictures (ISO/IEC 23008-12) are to be turned.

Both consist of boxes: a size, a kind of four letters, and a body that may hold boxes again. Bodies are skipped unless
they are looked for, so that a film of gigabytes costs some short reads.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from edgeclf.image.orientation import Matrix, multiply, orientation_of_matrix

_MOST_BOXES = 4096
_MOST_PROPERTIES_BYTES = 1 << 20
_PLAIN: Matrix = (1, 0, 0, 1)
# anticlockwise by a quarter; up and down exchanged; left and right exchanged
_QUARTER: Matrix = (0, -1, 1, 0)
_FLIPS: dict[int, Matrix] = {0: (1, 0, 0, -1), 1: (-1, 0, 0, 1)}


class Box(NamedTuple):
    """Kind of a box, and where its body starts and ends in the file."""

    kind: bytes
    start: int
    end: int


class PictureProperties(NamedTuple):
    """Height and width in pixels as stored, and EXIF orientation, of the primary picture of a file."""

    height: int
    width: int
    orientation: int


def read_film_orientation(path: str | Path) -> int | None:
    """Return the EXIF orientation, 1 to 8, of the first film track of an MP4 or MOV file; None where there is none.

    It is that of the display matrix of the track (box `tkhd`), and of the whole film (`mvhd`).
    """
    try:
        with open(path, "rb") as stream:
            if stream.read(8)[4:] not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
                return None
            end = stream.seek(0, io.SEEK_END)
            for box in _boxes(stream, 0, end):
                if box.kind == b"moov":
                    return _film_orientation(stream, box)
    except (OSError, struct.error, ValueError):
        pass
    return None


def read_picture_properties(content: bytes) -> PictureProperties | None:
    """Return size and orientation of the primary picture of an AVIF; None where they are not stated."""
    stream = io.BytesIO(content)
    try:
        meta = next((box for box in _boxes(stream, 0, len(content)) if box.kind == b"meta"), None)
        return None if meta is None else _picture_properties(stream, meta)
    except (struct.error, ValueError, IndexError):
        return None


def _boxes(stream: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """List the boxes between two places, as far as they are whole."""
    for _ in range(_MOST_BOXES):
        if start + 8 > end:
            return
        stream.seek(start)
        size, kind = struct.unpack(">I4s", stream.read(8))
        body = start + 8
        if size == 1:
            size = struct.unpack(">Q", stream.read(8))[0]
            body += 8
        stop = end if size == 0 else start + size
        if stop < body or stop > end:
            return
        yield Box(kind, body, stop)
        start = stop


def _film_orientation(stream: BinaryIO, moov: Box) -> int | None:
    whole = _PLAIN
    for box in _boxes(stream, moov.start, moov.end):
        if box.kind == b"mvhd":
            whole = _matrix(stream, box, skipped=(16, 28), then=16)
        if box.kind == b"trak":
            inner = {one.kind: one for one in _boxes(stream, box.start, box.end)}
            if b"tkhd" in inner and b"mdia" in inner and _shows_film(stream, inner[b"mdia"]):
                own = _matrix(stream, inner[b"tkhd"], skipped=(20, 32), then=16)
                return orientation_of_matrix(multiply(own, whole))
    return None


def _shows_film(stream: BinaryIO, mdia: Box) -> bool:
    handler = next((box for box in _boxes(stream, mdia.start, mdia.end) if box.kind == b"hdlr"), None)
    if handler is None:
        return False
    stream.seek(handler.start + 8)
    return stream.read(4) == b"vide"


def _matrix(stream: BinaryIO, box: Box, skipped: tuple[int, int], then: int) -> Matrix:
    """Read (a, b, c, d) of a matrix behind times and numbers, which take more bytes in version 1."""
    stream.seek(box.start)
    version = stream.read(4)[0]
    stream.seek(box.start + 4 + skipped[1 if version else 0] + then)
    a, b, _, c, d = struct.unpack(">5i", stream.read(20))
    return a >> 8, b >> 8, c >> 8, d >> 8


def _picture_properties(stream: BinaryIO, meta: Box) -> PictureProperties | None:
    inner = {box.kind: box for box in _boxes(stream, meta.start + 4, meta.end)}
    if b"pitm" not in inner or b"iprp" not in inner:
        return None
    stream.seek(inner[b"pitm"].start)
    version = stream.read(4)[0]
    primary = struct.unpack(">I" if version else ">H", stream.read(4 if version else 2))[0]
    properties: list[Box] = []
    chosen: list[int] = []
    for box in _boxes(stream, inner[b"iprp"].start, inner[b"iprp"].end):
        if box.kind == b"ipco":
            properties = list(_boxes(stream, box.start, box.end))
        if box.kind == b"ipma" and box.end - box.start <= _MOST_PROPERTIES_BYTES:
            stream.seek(box.start)
            chosen = chosen or _associated(stream.read(box.end - box.start), primary)
    height = width = 0
    matrix = _PLAIN
    for number in chosen:
        if not 1 <= number <= len(properties):
            continue
        box = properties[number - 1]
        stream.seek(box.start)
        if box.kind == b"ispe":
            width, height = struct.unpack(">4xII", stream.read(12))
        if box.kind == b"irot":
            for _ in range(stream.read(1)[0] & 3):
                matrix = multiply(matrix, _QUARTER)
        if box.kind == b"imir":
            matrix = multiply(matrix, _FLIPS[stream.read(1)[0] & 1])
    return PictureProperties(height, width, orientation_of_matrix(matrix))


def _associated(body: bytes, item: int) -> list[int]:
    """List the numbers of an item's properties, from 1, in the order in which they apply (box `ipma`)."""
    wide = bool(body[3] & 1)
    count, place = struct.unpack_from(">I", body, 4)[0], 8
    for _ in range(count):
        form = ">IB" if body[0] else ">HB"
        number, associations = struct.unpack_from(form, body, place)
        place += struct.calcsize(form)
        size = 2 if wide else 1
        entries = [
            int.from_bytes(body[at : at + size], "big") for at in range(place, place + size * associations, size)
        ]
        if number == item:
            return [entry & (0x7FFF if wide else 0x7F) for entry in entries]
        place += size * associations
    return []
