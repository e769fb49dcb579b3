"""Files that are whole, though not as the textbook has them, are no damaged ones; what is no image is named."""

from __future__ import annotations

import io
import struct
import wave
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from edgeclf.errors import ImageError, InputError
from edgeclf.image.decoding import decode, decode_bytes, describe_irregularities
from edgeclf.image.header import read_header
from edgeclf.streaming.camera.sources.registry import choose_source

HEIGHT, WIDTH = 60, 90
_CELLS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
RGB = np.asarray(cv2.resize(_CELLS, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8)
PICTURE = Image.fromarray(RGB)


def saved(kind: str, image: Image.Image = PICTURE, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def chunk(kind: bytes, body: bytes, checksum: int | None = None) -> bytes:
    checksum = zlib.crc32(kind + body) if checksum is None else checksum
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", checksum)


def test_a_jpeg_without_its_end_marker_is_whole_and_named() -> None:
    photo = saved("JPEG", quality=95)
    assert photo[-2:] == b"\xff\xd9"
    assert np.array_equal(decode_bytes(photo[:-2]), decode_bytes(photo))
    assert describe_irregularities(read_header(photo[:-2]), "a.jpg") == "no end marker"


def test_a_jpeg_with_a_cut_scan_is_cut(tmp_path: Path) -> None:
    for progressive in (False, True):
        photo = saved("JPEG", quality=95, progressive=progressive)
        for left_out in (20, 100, 1000):
            (tmp_path / "cut.jpg").write_bytes(photo[:-left_out])
            with pytest.raises(ImageError, match="the file is cut: the JPEG's end marker is missing"):
                decode(tmp_path / "cut.jpg")


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_is_cut_within_a_marker_is_cut(progressive: bool) -> None:
    """Or whose rest is what erased flash memory holds."""
    photo = saved("JPEG", quality=95, progressive=progressive)
    places = [place for place in range(len(photo) // 2, len(photo) - 1000) if photo[place] == 0xFF]
    assert places
    for place in places[:3]:
        for rest in (b"", b"\xff" * 500):
            with pytest.raises(ImageError, match="the file is cut"):
                decode_bytes(photo[: place + 1] + rest)


def test_a_changed_byte_among_the_pixels_of_a_jpeg_hides_no_end() -> None:
    """It looks like a segment of 60 kB there."""
    photo = bytearray(saved("JPEG", quality=95))
    place = len(photo) // 2
    photo[place : place + 4] = b"\xff\x02\xf0\x00"
    assert read_header(bytes(photo)).damage is None


def test_a_gif_without_trailer_or_with_something_in_its_place_is_whole() -> None:
    still = saved("GIF")
    assert still[-1:] == b"\x3b"
    for content in (still[:-1], still[:-1] + b"\x80\x03\x0b\x1e;", still + b"\0\0"):
        assert read_header(content).damage is None
    if cv2.imdecode(np.frombuffer(still, np.uint8), cv2.IMREAD_COLOR) is not None:
        assert np.array_equal(decode_bytes(still[:-1]), decode_bytes(still))


def test_a_png_with_a_wrong_checksum_where_decoders_do_not_look_is_whole() -> None:
    photo = saved("PNG")
    comment = chunk(b"tEXt", b"Comment\0hello", checksum=1)
    assert np.array_equal(decode_bytes(photo[:33] + comment + photo[33:]), RGB)


@pytest.mark.parametrize("big", [False, True])
def test_a_tiff_that_states_more_bytes_than_its_pixels_take_and_a_big_one(big: bool) -> None:
    content = bytearray(saved("TIFF", big_tiff=big))
    assert np.array_equal(decode_bytes(bytes(content)), RGB)
    assert read_header(bytes(content)).shown_size == (HEIGHT, WIDTH)
    if not big:
        stated = content.index(struct.pack("<HHI", 279, 4, 1)) + 8
        struct.pack_into("<I", content, stated, 1 << 25)
        assert read_header(bytes(content)).damage is None
        assert read_header(bytes(content[: len(content) // 2])).damage


def test_a_big_tiff_is_turned() -> None:
    content = saved("TIFF", big_tiff=True, tiffinfo={274: 6})
    assert read_header(content).orientation == 6
    assert np.array_equal(decode_bytes(content), np.rot90(RGB, -1))


def test_of_a_moving_png_the_still_one_is_taken() -> None:
    """Versions of OpenCV take another frame, and some mix it with the one before."""
    green = Image.new("RGBA", (WIDTH, HEIGHT), (0, 255, 0, 255))
    frames = [Image.new("RGBA", (WIDTH, HEIGHT), color) for color in ((255, 0, 0, 255), (0, 0, 255, 127))]
    for default in (True, False):
        content = saved("PNG", green, save_all=True, append_images=frames, default_image=default)
        assert read_header(content).animated
        assert (decode_bytes(content) == (0, 255, 0)).all()


def masked(masks: tuple[int, int, int], bits: int, size: int = 40, packing: int = 3) -> bytes:
    """A bitmap of `RGB` whose colours are packed by masks, highest row last."""
    packed = np.zeros((HEIGHT, WIDTH), np.uint64)
    for channel, mask in enumerate(masks):
        shift = (mask & -mask).bit_length() - 1
        top = mask >> shift
        packed |= (RGB[..., channel].astype(np.uint64) * np.uint64(top) + np.uint64(127)) // np.uint64(
            255
        ) << np.uint64(shift)
    stride = (bits * WIDTH + 31) // 32 * 4
    rows = b"".join(row.tobytes().ljust(stride, b"\0") for row in packed[::-1].astype(f"<u{bits // 8}"))
    header = struct.pack("<IiiHHIIiiII", size, WIDTH, HEIGHT, 1, bits, packing, 0, 0, 0, 0, 0) + struct.pack(
        "<3I", *masks
    )
    header = header.ljust(max(size, 40 + 12 + 4 * (packing == 6)), b"\0")
    start = 14 + len(header)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + header + rows


@pytest.mark.parametrize(
    ("masks", "bits", "size", "packing", "coarse"),
    [
        ((0xFF0000, 0xFF00, 0xFF), 32, 40, 3, 0),
        ((0xFF, 0xFF00, 0xFF0000), 32, 40, 3, 0),
        ((0xFF000000, 0xFF0000, 0xFF00), 32, 40, 3, 0),
        ((0xFF000000, 0xFF0000, 0xFF00), 32, 52, 3, 0),
        ((0xFF0000, 0xFF00, 0xFF), 32, 40, 6, 0),
        ((0xFFE00000, 0x1FFC00, 0x3FF), 32, 40, 3, 0),
        ((0xF00, 0xF0, 0xF), 16, 124, 3, 9),
        ((0xF800, 0x7E0, 0x1F), 16, 40, 3, 10),
    ],
)
def test_a_bitmap_of_any_masks_has_the_right_colours(
    masks: tuple[int, int, int], bits: int, size: int, packing: int, coarse: int
) -> None:
    content = masked(masks, bits, size, packing)
    assert np.abs(decode_bytes(content).astype(int) - RGB).max() <= coarse
    with pytest.raises(ImageError, match="the file is cut"):
        decode_bytes(content[:-300])


def test_a_bitmap_with_masks_that_are_none_is_refused() -> None:
    content = bytearray(masked((0xFF0000, 0xFF00, 0xFF), 32))
    for mask in (0, 0b101):
        struct.pack_into("<I", content, 54, mask)
        with pytest.raises(ImageError, match="whose colours have the mask .*, which is none"):
            decode_bytes(bytes(content))


def a_sound(path: Path) -> bytes:
    with wave.open(str(path), "wb") as stream:
        stream.setparams((1, 2, 8000, 0, "NONE", "NONE"))
        stream.writeframes(bytes(4000))
    return path.read_bytes()


def test_what_is_no_image_is_named_with_a_remedy(tmp_path: Path) -> None:
    for content, words in {
        a_sound(tmp_path / "sound.wav"): "it is a sound file (WAV)",
        b"version https://git-lfs.github.com/spec/v1\noid": "it is the pointer of a file that Git LFS keeps",
        b"\n<!DOCTYPE html><html>": "it is a web page, as servers give where a picture is gone; fetch it again",
        b"%PDF-1.7": "it is a PDF",
        b"8BPS\0\1": "it is a Photoshop file; save it as PNG or JPEG",
        b"\0\0\0\x20ftypM4A \0\0": "it is a sound file (M4A)",
        b"\0\0\0\x18ftypmp42": "its content is a video or of another kind",
    }.items():
        with pytest.raises(ImageError) as caught:
            decode_bytes(content)
        assert str(caught.value).startswith(f"not an image: {words}")


def test_what_opencv_does_not_read_is_not_called_damaged_first() -> None:
    tags = ((256, WIDTH), (257, HEIGHT), (258, 4), (259, 1), (262, 1), (273, 8), (277, 1), (279, HEIGHT * WIDTH // 2))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    pixels = bytes(HEIGHT * WIDTH // 2)
    content = b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + struct.pack("<H", len(tags)) + entries + bytes(4)
    with pytest.raises(
        ImageError, match="it is of a kind that OpenCV does not read, or damaged.; save it as PNG or JPEG"
    ):
        decode_bytes(content)


@pytest.mark.parametrize("start", [b"", b"ID3\4\0\0", b"\xff\xfb\x90\x64", b"fLaC"])
def test_a_sound_file_as_a_camera_is_named_and_not_called_damaged(start: bytes, tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    path.write_bytes(start + bytes(3000) if start else a_sound(path))
    with pytest.raises(InputError, match=r"song\.mp4: holds sound and no picture; expected a video or an image"):
        choose_source(str(path)).open()
