"""Reads the first directory of a TIFF file, which is also what EXIF is made of (TIFF 6.0, section 2; BigTIFF)."""

from __future__ import annotations

import struct

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _OFFSETS, _ORIENTATION, _SAMPLES, _COUNTS = 256, 257, 258, 262, 273, 274, 277, 279
_TILE_OFFSETS, _TILE_COUNTS, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 324, 325, 338, 339
_MULTIPLIED, _UNMULTIPLIED = 1, 2
"""Alpha that colors are multiplied with already, and alpha that they are not (section 18)."""
_SIGNED, _FLOATING = 2, 3
_COMPRESSION, _UNCOMPRESSED = 259, 1
_KINDS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_MOST_TAGS = 4096
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
        magic = self._unpack("H", 2)[0]
        if magic not in (42, 43):
            raise ValueError("not TIFF version 42 or 43")
        # BigTIFF is the same with numbers of 8 bytes.
        wide = magic == 43
        word, entry, inline = ("Q", 20, 8) if wide else ("I", 12, 4)
        start = self._unpack(word, 8 if wide else 4)[0]
        count = self._unpack("Q" if wide else "H", start)[0]
        if count > _MOST_TAGS:
            raise ValueError("no TIFF directory")
        first = start + (8 if wide else 2)
        self.values: dict[int, tuple[int, ...]] = {}
        for place in range(first, first + entry * count, entry):
            tag, kind, number = self._unpack(f"HH{word}", place)
            if kind in _KINDS and number <= _MOST_VALUES:
                code = f"{number}{_KINDS[kind]}"
                at = place + entry - inline
                if struct.calcsize(self._order + code) > inline:
                    at = self._unpack(word, at)[0]
                self.values[tag] = self._unpack(code, at)
        self.more = self._unpack(word, first + entry * count)[0] != 0

    def _unpack(self, code: str, place: int) -> tuple[int, ...]:
        try:
            return struct.unpack_from(self._order + code, self._content, place)
        except (struct.error, OverflowError):
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
        return self.first(_SAMPLE_FORMAT, 1) == _FLOATING

    @property
    def signed(self) -> bool:
        """Whether samples are whole numbers below and above zero."""
        return self.first(_SAMPLE_FORMAT, 1) == _SIGNED

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
        """Where the last strip or tile of pixels ends in the file."""
        starts = self.values.get(_OFFSETS) or self.values.get(_TILE_OFFSETS) or ()
        sizes = self.values.get(_COUNTS) or self.values.get(_TILE_COUNTS) or ()
        largest = 1 << 62
        if self.compression == _UNCOMPRESSED and _OFFSETS in self.values:  # some writers state too much
            bits = sum(self.values.get(_BITS, (1,)))
            largest = self.size[0] * (-(-self.size[1] * bits // 8))
        return max((start + min(size, largest) for start, size in zip(starts, sizes, strict=False)), default=0)

    @property
    def compression(self) -> int:
        """Number of the compression (TIFF 6.0, section 3, and later ones)."""
        return self.first(_COMPRESSION, _UNCOMPRESSED)


def exif_orientation(exif: bytes) -> int:
    """Read the orientation, 1 to 8, from an EXIF block that starts with its TIFF header; 1 where there is none.

    Of a block that is cut or damaged elsewhere it is read all the same: cameras and editors leave such blocks.
    """
    found = _find_first(exif, _ORIENTATION)
    return found[2] if found and 1 <= found[2] <= 8 else 1


def as_read_by_libtiff(content: bytes) -> bytes:
    """Return a TIFF of which libtiff, as OpenCV calls it, gives the colors as they are stored.

    It would turn the picture whatever it is asked for, so that the orientation becomes 1, and darken colors by an alpha
    channel that they were not multiplied with, so that this becomes one that they were.
    """
    for tag, wrong, right in ((_ORIENTATION, range(2, 9), 1), (_EXTRA_SAMPLES, [_UNMULTIPLIED], _MULTIPLIED)):
        found = _find_first(content, tag)
        if found is not None and found[2] in wrong:
            place, code, _ = found
            content = content[:place] + struct.pack(code, right) + content[place + struct.calcsize(code) :]
    return content


def _find_first(content: bytes, wanted: int) -> tuple[int, str, int] | None:
    """Find place, format and value of a tag with one number in the first directory."""
    order = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}.get(content[:4])
    if order is None:
        return None
    wide = b"+" in content[:4]
    word, entry = ("Q", 20) if wide else ("I", 12)
    try:
        start = struct.unpack_from(order + word, content, 8 if wide else 4)[0]
        count = struct.unpack_from(order + ("Q" if wide else "H"), content, start)[0]
        first = start + (8 if wide else 2)
        for place in range(first, first + entry * min(count, _MOST_TAGS), entry):
            tag, kind, number = struct.unpack_from(f"{order}HH{word}", content, place)
            if tag == wanted and kind in _KINDS and number == 1:
                code, at = order + _KINDS[kind], place + (12 if wide else 8)
                return at, code, int(struct.unpack_from(code, content, at)[0])
    except (struct.error, OverflowError):
        pass
    return None
