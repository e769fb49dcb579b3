"""Reads the first directory of a TIFF file, which is also what EXIF is made of (TIFF 6.0, section 2)."""

from __future__ import annotations

import struct

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _OFFSETS, _ORIENTATION, _SAMPLES, _COUNTS = 256, 257, 258, 262, 273, 274, 277, 279
_TILE_OFFSETS, _TILE_COUNTS, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 324, 325, 338, 339
_KINDS = {1: "B", 3: "H", 4: "I"}
_MOST_VALUES = 1 << 20


class TiffDirectory:
    """The whole numbers of a directory, by tag.

    Attributes:
        values: of the tags with whole numbers.
        more: whether another directory (another page) follows.

    Raises:
        ValueError: it is no TIFF structure, or it is cut.
    """

    def __init__(self, content: bytes) -> None:
        if content[:2] not in (b"II", b"MM"):
            raise ValueError("no TIFF byte order")
        self._order = "<" if content[:2] == b"II" else ">"
        self._content = content
        magic, start = self._unpack("HI", 2)
        if magic != 42:
            raise ValueError("not TIFF version 42")
        count = self._unpack("H", start)[0]
        self.values: dict[int, tuple[int, ...]] = {}
        for place in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, number = self._unpack("HHI", place)
            if kind in _KINDS and number <= _MOST_VALUES:
                code = f"{number}{_KINDS[kind]}"
                size = struct.calcsize(self._order + code)
                at = place + 8 if size <= 4 else self._unpack("I", place + 8)[0]
                self.values[tag] = self._unpack(code, at)
        following = self._unpack("I", start + 2 + 12 * count)[0]
        self.more = following != 0
        self._next_end = following + 6 if following else 0

    def _unpack(self, code: str, place: int) -> tuple[int, ...]:
        try:
            return struct.unpack_from(self._order + code, self._content, place)
        except struct.error:
            raise ValueError("cut inside its directory") from None

    def first(self, tag: int, default: int) -> int:
        """Return the first number of a tag."""
        found = self.values.get(tag)
        return found[0] if found else default

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.first(_HEIGHT, 0), self.first(_WIDTH, 0)

    @property
    def bits(self) -> int:
        """Bits of the widest sample."""
        return max(self.values.get(_BITS, (1,)))

    @property
    def floating(self) -> bool:
        """Whether samples are floating-point numbers."""
        return self.first(_SAMPLE_FORMAT, 1) == 3

    @property
    def mode(self) -> str:
        """Kind of pixels: `gray`, `RGB`, `RGBA`, `palette`, `CMYK` or `other`."""
        names = {0: "gray", 1: "gray", 2: "RGB", 3: "palette", 5: "CMYK"}
        mode = names.get(self.first(_PHOTOMETRIC, 2), "other")
        return "RGBA" if mode == "RGB" and self.first(_SAMPLES, 3) > 3 else mode

    @property
    def orientation(self) -> int:
        """EXIF orientation, 1 to 8."""
        found = self.first(_ORIENTATION, 1)
        return found if 1 <= found <= 8 else 1

    @property
    def end(self) -> int:
        """Where the last strip or tile of pixels ends in the file, or the next page starts."""
        starts = self.values.get(_OFFSETS) or self.values.get(_TILE_OFFSETS) or ()
        sizes = self.values.get(_COUNTS) or self.values.get(_TILE_COUNTS) or ()
        pixels = max((start + size for start, size in zip(starts, sizes, strict=False)), default=0)
        return max(pixels, self._next_end)


def exif_orientation(exif: bytes) -> int:
    """Read the orientation, 1 to 8, from an EXIF block that starts with its TIFF header; 1 where there is none.

    Of a block that is cut or damaged elsewhere it is read all the same: cameras and editors leave such blocks.
    """
    found = _find_orientation(exif)
    return found[2] if found and 1 <= found[2] <= 8 else 1


def without_orientation(content: bytes) -> bytes:
    """Return a TIFF that states orientation 1, and is the same otherwise."""
    found = _find_orientation(content)
    if found is None:
        return content
    place, code, _ = found
    changed = bytearray(content)
    struct.pack_into(code, changed, place, 1)
    return bytes(changed)


def _find_orientation(content: bytes) -> tuple[int, str, int] | None:
    """Find place, format and value of the first orientation in the first directory."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(content[:4])
    if order is None:
        return None
    try:
        start = struct.unpack_from(order + "I", content, 4)[0]
        count = struct.unpack_from(order + "H", content, start)[0]
        for place in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(order + "HH", content, place)
            if tag == _ORIENTATION and kind in _KINDS:
                code = order + _KINDS[kind]
                return place + 8, code, int(struct.unpack_from(code, content, place + 8)[0])
    except struct.error:
        pass
    return None
