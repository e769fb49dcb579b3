"""Reads what an image file is from its first bytes, and whether its end is there, without decoding a pixel.

Decoders are lenient: OpenCV returns the upper half of a cut JPEG as if it were complete. So each format's own end is
looked for.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass

from edgeclf.errors import ImageError
from edgeclf.image.bitmap import ALPHA_MASKS, MASKS, PLAIN
from edgeclf.image.file_kinds import describe_other
from edgeclf.image.iso_boxes import read_picture_properties
from edgeclf.image.tiff_header import TiffDirectory, exif_orientation


@dataclass(frozen=True)
class ImageHeader:
    """What the header of an image file contains.

    Attributes:
        format: `JPEG`, `PNG`, `GIF`, `BMP`, `WebP`, `TIFF`, `HEIC` or `AVIF`.
        height: pixels as stored, before EXIF rotation; 0 where the header does not state it (HEIC, some AVIF).
        width: likewise.
        mode: `RGB`, `RGBA`, `gray`, `gray+alpha`, `palette`, `CMYK` or `other`.
        bits: of one channel.
        orientation: EXIF, 1 to 8; of AVIF what its container states in other terms; of HEIC 1, since it is turned when
            it is decoded.
        animated: more than one frame or page.
        damage: what is missing or damaged; None: nothing.
    """

    format: str
    height: int
    width: int
    mode: str = "RGB"
    bits: int = 8
    orientation: int = 1
    animated: bool = False
    damage: str | None = None

    @property
    def shown_size(self) -> tuple[int, int]:
        """Height and width after EXIF rotation."""
        return (self.width, self.height) if self.orientation >= 5 else (self.height, self.width)


SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"), "PNG": (".png", ".apng"), "GIF": (".gif",), "BMP": (".bmp", ".dib"),
    "WebP": (".webp",), "TIFF": (".tif", ".tiff"), "HEIC": (".heic", ".heif", ".hif"), "AVIF": (".avif",),
}  # fmt: skip
"""Usual file name endings of each format."""

_BMP_OTHERS = {4: "JPEG", 5: "PNG"}
CUT_JPEG = "the file is cut: the JPEG's end marker is missing"
"""`ImageHeader.damage` of a JPEG that may be complete but for that."""

_START_OF_FRAME = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_START_OF_SCAN, _PROGRESSIVE = 0xDA, 0xC2
# Whatever else looks like a marker within the pixels is a changed byte, which decoders ignore.
_BETWEEN_SCANS = {0xC4, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)}
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def read_header(content: bytes) -> ImageHeader:
    """Read what the file with this content is.

    Raises:
        ImageError: it is empty, of no known format, or cut within its header.
    """
    if not content:
        raise ImageError("the file is empty (zero bytes)")
    try:
        if content[:3] == b"\xff\xd8\xff":
            return _jpeg(content)
        if content[:8] == b"\x89PNG\r\n\x1a\n":
            return _png(content)
        if content[:6] in (b"GIF87a", b"GIF89a"):
            return _gif(content)
        if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
            return _webp(content)
        if content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return _tiff(content)
        if content[:2] == b"BM" and len(content) > 26:
            return _bmp(content)
        if content[4:8] == b"ftyp":
            return _boxed(content)
    except ImageError:
        raise
    except (struct.error, IndexError, ValueError) as error:
        raise ImageError("the file is cut within its header") from error
    if not any(content[:4096]):
        raise ImageError("not an image: the file holds nothing but zeros")
    raise ImageError(f"not an image: {describe_other(content)}")


def _jpeg(content: bytes) -> ImageHeader:
    """Read a JPEG (ITU-T T.81, annex B): segments up to its end marker; thumbnails inside have their own."""
    height = width = bits = components = 0
    orientation, position = 0, 2
    damage: str | None = CUT_JPEG
    scanned = progressive = False
    while True:
        found = _MARKER.search(content, position)
        if found is None:
            break
        marker, position = content[found.start() + 1], found.end()
        if marker == 0xD9:
            damage = None
            break
        if marker in (0x01, 0xD8) or (scanned and marker not in _BETWEEN_SCANS):
            continue
        if position + 2 > len(content):
            break
        size = struct.unpack_from(">H", content, position)[0]
        segment = content[position + 2 : position + size]
        scanned = scanned or marker == _START_OF_SCAN
        progressive = progressive or marker == _PROGRESSIVE
        if marker in _START_OF_FRAME and len(segment) >= 6:
            bits, height, width, components = struct.unpack_from(">BHHB", segment)
        if marker == 0xE1 and segment[:6] == b"Exif\0\0" and not orientation:  # of several blocks the first counts
            orientation = exif_orientation(segment[6:])
        position += max(size, 2)
    if damage and progressive:
        damage += ", and of a progressive one scans may be missing"
    if not width:
        raise ImageError(damage or "the JPEG has no picture in it")
    mode = {1: "gray", 3: "RGB", 4: "CMYK"}.get(components, "other")
    return ImageHeader("JPEG", height, width, mode, bits, orientation or 1, False, damage)


def _png(content: bytes) -> ImageHeader:
    """Read a PNG (Portable Network Graphics, 3rd edition): chunks with a checksum each, IEND at the end."""
    width, height, bits, colour = struct.unpack_from(">IIBB", content, 16)
    mode = {0: "gray", 2: "RGB", 3: "palette", 4: "gray+alpha", 6: "RGBA"}.get(colour, "other")
    orientation, animated, position = 1, False, 8
    damage: str | None = "the file is cut: the PNG's last chunk is missing"
    while position + 12 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, position)
        end = position + 12 + size
        if end > len(content):
            break
        body = memoryview(content)[position + 4 : end - 4]
        needed = not kind[0] & 0x20  # decoders leave out other chunks where their checksum is wrong
        if zlib.crc32(body) != struct.unpack_from(">I", content, end - 4)[0]:
            if not needed:
                position = end
                continue
            damage = f"the file is damaged: the checksum of its {kind.decode('latin-1')} chunk does not fit"
            break
        if kind == b"IEND":
            damage = None
            break
        if kind == b"acTL":
            animated = struct.unpack_from(">I", body, 4)[0] > 1
        if kind == b"eXIf":
            orientation = exif_orientation(bytes(body[4:]).removeprefix(b"Exif\0\0"))
        if kind == b"tRNS" and mode == "RGB":
            mode = "RGBA"
        position = end
    return ImageHeader("PNG", height, width, mode, bits, orientation, animated, damage)


def without_animation(content: bytes) -> bytes:
    """Return an animated PNG that is whole as the still one that viewers without animation show."""
    pieces, position = [content[:8]], 8
    while position + 12 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, position)
        if kind not in (b"acTL", b"fcTL", b"fdAT"):
            pieces.append(content[position : position + 12 + size])
        position += 12 + size
    return b"".join(pieces)


def _gif(content: bytes) -> ImageHeader:
    """Read a GIF (GIF89a): blocks up to the trailer 0x3B.

    Many lack the trailer, or have something else in its place. That is no damage where the first frame is complete.
    """
    width, height, packed = struct.unpack_from("<HHB", content, 6)
    position = 13 + (3 << (packed & 7) + 1 if packed & 0x80 else 0)
    frames, damage = 0, None
    while position < len(content):
        kind = content[position]
        if kind == 0x3B or kind not in (0x21, 0x2C):
            break
        if kind == 0x2C:
            frames += 1
            local = content[position + 9] if position + 9 < len(content) else 0
            position += 11 + (3 << (local & 7) + 1 if local & 0x80 else 0)
        else:
            position += 2
        while position < len(content) and content[position]:
            position += content[position] + 1
        position += 1
    if position > len(content):
        damage = "the file is cut: the GIF ends within a block"
    elif not frames:
        damage = "the file is cut or damaged: the GIF has no whole picture in it"
    return ImageHeader("GIF", height, width, "palette", animated=frames > 1, damage=damage)


def _webp(content: bytes) -> ImageHeader:
    """Read a WebP (RFC 9649): a RIFF container with VP8, VP8L or VP8X."""
    expected = struct.unpack_from("<I", content, 4)[0] + 8
    damage = None if len(content) >= expected else f"the file is cut: {len(content)} of {expected} bytes are there"
    kind, orientation, animated, mode = content[12:16], 1, False, "RGB"
    if kind == b"VP8X":
        flags = content[20]
        width = int.from_bytes(content[24:27], "little") + 1
        height = int.from_bytes(content[27:30], "little") + 1
        animated, mode = bool(flags & 0x02), "RGBA" if flags & 0x10 else "RGB"
        orientation = exif_orientation(_webp_chunk(content, b"EXIF").removeprefix(b"Exif\0\0"))
    elif kind == b"VP8L":
        packed = struct.unpack_from("<I", content, 21)[0]
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
        mode = "RGBA" if packed >> 28 & 1 else "RGB"
    else:
        width, height = (value & 0x3FFF for value in struct.unpack_from("<HH", content, 26))
    return ImageHeader("WebP", height, width, mode, 8, orientation, animated, damage)


def _webp_chunk(content: bytes, kind: bytes) -> bytes:
    """Find the content of the first chunk of this kind; empty: there is none."""
    position = 12
    while position + 8 <= len(content):
        size = int(struct.unpack_from("<I", content, position + 4)[0])
        if content[position : position + 4] == kind:
            return content[position + 8 : position + 8 + size]
        position += 8 + size + size % 2
    return b""


def _tiff(content: bytes) -> ImageHeader:
    directory = TiffDirectory(content)
    height, width = directory.size
    damage = None
    if directory.end > len(content):
        damage = f"the file is cut: {len(content)} of at least {directory.end} bytes are there"
    elif directory.floating:
        damage = "a TIFF of floating-point numbers has no brightness of its own; save it with 8 or 16 bits"
    elif directory.signed:
        damage = "a TIFF of numbers below and above zero has no brightness of its own; save it with 8 or 16 bits"
    return ImageHeader(
        "TIFF", height, width, directory.mode, directory.bits, directory.orientation, directory.more, damage
    )


def _bmp(content: bytes) -> ImageHeader:
    """Read a BMP: a file header of 14 bytes, and an information header, of each version another size.

    12 bytes: OS/2, with sides of 16 bits and colours of 3 bytes; from 40 on Windows', of which V4 (108) and V5 (124)
    begin alike; 16 and 64: OS/2 2, likewise. A negative height means that the upper row comes first.
    """
    start, size = struct.unpack_from("<II", content, 10)
    packing = 0
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", content, 18)
    elif size >= 16:
        width, height, _, bits = struct.unpack_from("<iiHH", content, 18)
        packing = struct.unpack_from("<I", content, 30)[0] if size >= 20 else 0
    else:
        raise ImageError(f"a BMP with a header of {size} bytes, which no version has; save it again")
    height, width = abs(height), abs(width)
    expected = start
    if packing in (PLAIN, MASKS, ALPHA_MASKS):
        expected += (bits * width + 31) // 32 * 4 * height
    damage = None if len(content) >= expected else f"the file is cut: {len(content)} of {expected} bytes are there"
    if packing in _BMP_OTHERS and size >= 40:
        damage = (
            f"a BMP that holds a {_BMP_OTHERS[packing]}, which OpenCV does not read; save it as {_BMP_OTHERS[packing]}"
        )
    mode = {32: "RGBA", 24: "RGB", 16: "RGB"}.get(bits, "palette")
    return ImageHeader("BMP", height, width, mode, damage=damage)


def _boxed(content: bytes) -> ImageHeader:
    """Read the brand of a HEIC or AVIF (ISO/IEC 23008-12)."""
    size = struct.unpack_from(">I", content)[0]
    brands = content[8 : max(size, 16)]
    if b"avif" in brands or b"avis" in brands:
        stated = read_picture_properties(content)
        return ImageHeader("AVIF", *stated[:2], orientation=stated.orientation) if stated else ImageHeader("AVIF", 0, 0)
    if any(brand in brands for brand in (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"heim", b"heis")):
        return ImageHeader("HEIC", 0, 0)
    raise ImageError(f"not an image: {describe_other(content)}")
