"""Names what a file is that is called like an image and is none, with what to do about it."""

from __future__ import annotations

_UNKNOWN = "its content is of no known format (JPEG, PNG, GIF, BMP, WebP, TIFF, HEIC, AVIF)"
_SAVE = "; save it as PNG or JPEG"

_OBJECT = "it is a point cloud or mesh, which a model sees that was trained on such (train --views)"

# place, first bytes there, and what that is
_KINDS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"version https://git-lfs", "it is the pointer of a file that Git LFS keeps; run: git lfs pull"),
    (0, b"%PDF", "it is a PDF; export its pictures as PNG"),
    (0, b"\x89HDF", "it is an HDF5 file"),
    (0, b"8BPS", f"it is a Photoshop file{_SAVE}"),
    (0, b"\0\0\1\0", f"it is a Windows icon{_SAVE}"),
    (0, b"\xff\x0a", f"it is a JPEG XL{_SAVE}"),
    (0, b"\0\0\0\x0cJXL ", f"it is a JPEG XL{_SAVE}"),
    (0, b"\0\0\0\x0cjP  ", f"it is a JPEG 2000{_SAVE}"),
    (0, b"\xff\x4f\xff\x51", f"it is a JPEG 2000{_SAVE}"),
    (0, b"(\0\0\0", f"it is a bitmap without the header of a file{_SAVE}"),
    (0, b"PK\3\4", "it is an archive; unpack it"),
    (0, b"\x1f\x8b", "it is compressed by gzip; unpack it"),
    (0, b"ID3", "it is a sound file (MP3)"),
    (0, b"fLaC", "it is a sound file (FLAC)"),
    (0, b"OggS", "it is a sound file or a video (Ogg)"),
    (8, b"WAVE", "it is a sound file (WAV)"),
    (8, b"AVI ", "it is a video (AVI)"),
    (0, b"\x1aE\xdf\xa3", "it is a video (Matroska, WebM)"),
    (4, b"ftypM4A", "it is a sound file (M4A)"),
    (4, b"ftypcrx", f"it is a camera's raw picture (CR3){_SAVE}"),
    (4, b"ftyp", "its content is a video or of another kind"),
    (0, b"ply\n", _OBJECT),
    (0, b"ply\r", _OBJECT),
    (0, b"OFF", _OBJECT),
    (0, b"COFF", _OBJECT),
    (0, b"solid ", _OBJECT),
    (0, b"\x93NUMPY", _OBJECT),
    (0, b"<svg", f"it is a vector drawing (SVG){_SAVE}"),
    (0, b"<?xml", f"it is XML, perhaps a vector drawing (SVG){_SAVE}"),
    (0, b"<!doctype html", "it is a web page, as servers give where a picture is gone; fetch it again"),
    (0, b"<html", "it is a web page, as servers give where a picture is gone; fetch it again"),
)


def describe_other(content: bytes) -> str:
    """Describe in a few words what a file with this content is, which is no image that can be decoded."""
    start = content[:64].removeprefix(b"\xef\xbb\xbf").lstrip(b" \r\n\t").lower()
    for place, mark, words in _KINDS:
        if content[place : place + len(mark)] == mark or (mark.startswith(b"<") and start.startswith(mark)):
            return words
    return _UNKNOWN


def is_sound(content: bytes) -> bool:
    """Return whether a file that begins so holds sound and no picture."""
    if content[:2] in (b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xf1", b"\xff\xf9"):  # MP3, AAC without a header
        return True
    return "sound file (" in describe_other(content)
