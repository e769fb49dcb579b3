"""The one preprocessing: every kind of picture becomes RGB as Pillow shows it, and what is not whole is refused."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageOps

from edgeclf.errors import ImageError
from edgeclf.image import decoding
from edgeclf.image.decoding import (
    IMAGE_SUFFIXES,
    MAX_PIXELS,
    decode,
    decode_bytes,
    describe_irregularities,
    image_size,
    load_image,
    resize,
)
from edgeclf.image.header import read_header

HEIGHT, WIDTH = 60, 90


def _picture(height: int = HEIGHT, width: int = WIDTH) -> npt.NDArray[np.uint8]:
    cells = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    return cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)


RGB = _picture()
PICTURE = Image.fromarray(RGB)
OTHER = PICTURE.rotate(180)
WITH_ALPHA = Image.fromarray(np.dstack([RGB, np.tile(np.arange(WIDTH, dtype=np.uint8), (HEIGHT, 1))]))


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


# name: (content, irregularities)
PICTURES: dict[str, tuple[bytes, str | None]] = {
    "photo.jpg": (_saved(PICTURE, "JPEG"), None),
    "progressive.jpeg": (_saved(PICTURE, "JPEG", progressive=True), None),
    "plain.png": (_saved(PICTURE, "PNG"), None),
    "plain.bmp": (_saved(PICTURE, "BMP"), None),
    "lossy.webp": (_saved(PICTURE, "WEBP"), None),
    "plain.gif": (_saved(PICTURE, "GIF"), None),
    "plain.tif": (_saved(PICTURE, "TIFF"), None),
    "packed.tiff": (_saved(PICTURE, "TIFF", compression="tiff_lzw"), None),
    "gray.jpg": (_saved(PICTURE.convert("L"), "JPEG"), "grayscale"),
    "cmyk.jpg": (_saved(PICTURE.convert("CMYK"), "JPEG"), "CMYK"),
    "alpha.png": (_saved(WITH_ALPHA, "PNG"), "alpha channel"),
    "alpha.webp": (_saved(WITH_ALPHA, "WEBP", lossless=True, exact=True), "alpha channel"),
    "alpha.tiff": (_saved(WITH_ALPHA, "TIFF"), "alpha channel"),  # which says that colors are not multiplied with it
    "gray-alpha.png": (_saved(PICTURE.convert("LA"), "PNG"), "alpha channel"),
    "palette.png": (_saved(PICTURE.quantize(32), "PNG"), "palette"),
    "palette-clear.png": (_saved(PICTURE.quantize(32), "PNG", transparency=3), "palette"),
    "two-tone.png": (_saved(PICTURE.convert("1"), "PNG"), "grayscale"),
    "moving.gif": (_saved(PICTURE, "GIF", save_all=True, append_images=[OTHER]), "animated"),
    "moving.webp": (_saved(PICTURE, "WEBP", save_all=True, append_images=[OTHER], lossless=True), "animated"),
    "moving.png": (_saved(PICTURE, "PNG", save_all=True, append_images=[OTHER]), "animated"),
    "pages.tif": (_saved(PICTURE, "TIFF", save_all=True, append_images=[OTHER]), "several pages"),
    "photo.png": (_saved(PICTURE, "JPEG"), "is JPEG but named .png"),
    "photo": (_saved(PICTURE, "PNG"), "is PNG but named without an ending"),
    **{f"turned{o}.jpg": (_saved(PICTURE, "JPEG", exif=_exif(o)), f"EXIF orientation {o}") for o in range(2, 9)},
    "turned.webp": (_saved(PICTURE, "WEBP", exif=_exif(6)), "EXIF orientation 6"),
    "turned.png": (_saved(PICTURE, "PNG", exif=_exif(8)), "EXIF orientation 8"),
    "turned-as-in-jpeg.png": (_saved(PICTURE, "PNG", exif=b"Exif\0\0" + _exif(6)), "EXIF orientation 6"),
    "turned.tif": (_saved(PICTURE, "TIFF", tiffinfo={274: 6}), "EXIF orientation 6"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, (content, _) in PICTURES.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.mark.parametrize("name", PICTURES)
def test_pixels_are_those_that_pillow_shows(name: str, folder: Path) -> None:
    shown = np.asarray(ImageOps.exif_transpose(Image.open(folder / name)).convert("RGB"))
    pixels = decode(folder / name)
    assert pixels.dtype == np.uint8
    assert pixels.shape == shown.shape
    assert np.abs(pixels.astype(int) - shown).max() <= 1  # CMYK is rounded in another order
    assert image_size(folder / name) == shown.shape[:2]


@pytest.mark.parametrize("name", PICTURES)
def test_irregularities_are_named(name: str, folder: Path) -> None:
    assert describe_irregularities(read_header((folder / name).read_bytes()), name) == PICTURES[name][1]


def _turned_by_hand(stored: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """EXIF 2.3, table 6, in NumPy's words."""
    turned = {
        1: stored,
        2: np.fliplr(stored),
        3: np.rot90(stored, 2),
        4: np.flipud(stored),
        5: np.swapaxes(stored, 0, 1),
        6: np.rot90(stored, -1),
        7: np.rot90(np.swapaxes(stored, 0, 1), 2),
        8: np.rot90(stored, 1),
    }
    return turned[orientation]


def _opencv_reads_avif() -> bool:
    content = np.frombuffer(_saved(PICTURE, "AVIF"), np.uint8)
    return cv2.imdecode(content, cv2.IMREAD_COLOR) is not None


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_of_any_kind_is_turned_once(orientation: int, bits: int, order: str) -> None:
    """OpenCV turns those of 8 bits, whatever it is asked."""
    stored = RGB.astype(np.uint16) * 257 if bits == 16 else RGB
    samples = stored.astype(f"{order}u{bits // 8}").tobytes()
    tags = [(256, 4, 1, WIDTH), (257, 4, 1, HEIGHT), (258, 3, 1, bits), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 8),
            (274, 3, 1, orientation), (277, 3, 1, 3), (278, 4, 1, HEIGHT), (279, 4, 1, len(samples))]  # fmt: skip
    mark, at = (b"II*\0" if order == "<" else b"MM\0*"), 8 + len(samples)
    entries = b"".join(
        struct.pack(f"{order}HHI", tag, kind, count)
        + struct.pack(f"{order}{'I' if kind == 4 else 'HH'}", *((value,) if kind == 4 else (value, 0)))
        for tag, kind, count, value in tags
    )
    content = mark + struct.pack(f"{order}I", at) + samples + struct.pack(f"{order}H", len(tags)) + entries + bytes(4)
    assert np.array_equal(decode_bytes(content), _turned_by_hand(RGB, orientation))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_heic_is_turned_once(orientation: int) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    stream = io.BytesIO()
    picture = pillow_heif.from_pillow(PICTURE)
    picture.info["exif"] = _exif(orientation)
    picture.save(stream, quality=100, chroma=444)
    assert orientation == 1 or b"irot" in stream.getvalue() or b"imir" in stream.getvalue()
    pixels = decode_bytes(stream.getvalue())
    shown = _turned_by_hand(RGB, orientation)
    assert pixels.shape == shown.shape
    assert np.abs(pixels.astype(int) - shown).mean() < 8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_every_orientation_is_turned_here(kind: str, orientation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the version of OpenCV turns by itself: it is asked not to, and of a TIFF is not shown that it should."""
    if kind == "AVIF" and not _opencv_reads_avif():
        pytest.skip("this OpenCV does not read AVIF")
    tagged = {"tiffinfo": {274: orientation}} if kind == "TIFF" else {"exif": _exif(orientation)}
    content = _saved(PICTURE, kind, **tagged)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB"))
    asked: list[int] = []
    real = cv2.imdecode

    def imdecode(buffer: npt.NDArray[np.uint8], flags: int) -> object:
        asked.append(flags)
        return real(buffer, flags)

    monkeypatch.setattr(cv2, "imdecode", imdecode)
    pixels = decode_bytes(content)
    assert pixels.shape == shown.shape
    limit = 1 if kind != "AVIF" else 12  # two decoders of a lossy picture
    assert np.abs(pixels.astype(int) - shown).max() <= limit
    header = read_header(content)
    assert (header.orientation, header.shown_size) == (orientation, shown.shape[:2])
    if kind != "AVIF":  # by hand: the unturned picture, turned
        unturned = decode_bytes(_saved(PICTURE, kind))
        assert np.array_equal(pixels, _turned_by_hand(unturned, orientation))
    assert all(flags & cv2.IMREAD_IGNORE_ORIENTATION for flags in asked)


def test_a_turned_webp_of_a_stranger_is_turned(shared_data: Path) -> None:
    path = shared_data.parent / "faults" / "orientation6.webp"
    with Image.open(path) as image:
        assert image.size == (120, 60)
        shown = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert np.abs(decode(path).astype(int) - shown).max() <= 1
    assert image_size(path) == (120, 60)


def _segment(body: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def _block(orientation: int, after: bytes = bytes(4)) -> bytes:
    """An EXIF block with one tag; `after` is where the next directory would be named."""
    return b"Exif\0\0" + struct.pack("<2sHIHHHIHH", b"II", 42, 8, 1, 274, 3, 1, orientation, 0) + after


@pytest.mark.parametrize(
    ("segments", "orientation"),
    [
        ((b"http://ns.adobe.com/xap/1.0/\0<x/>", _block(6)), 6),
        ((_block(6), _block(3)), 6),
        ((_block(1), _block(6)), 1),
        ((_block(6, after=b""),), 6),
        ((_block(6)[:-12],), 1),
        ((_block(9),), 1),
    ],
)
def test_the_first_exif_block_of_a_photo_counts(segments: tuple[bytes, ...], orientation: int) -> None:
    photo = _saved(PICTURE, "JPEG")
    turned = photo[:2] + b"".join(map(_segment, segments)) + photo[2:]
    assert read_header(turned).orientation == orientation
    expected = decode_bytes(photo)
    assert np.array_equal(decode_bytes(turned), np.rot90(expected, 3) if orientation == 6 else expected)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_become_eight(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"deep{suffix}"
    path.write_bytes(cv2.imencode(suffix, RGB[..., ::-1].astype(np.uint16) * 257)[1].tobytes())
    assert np.array_equal(decode(path), RGB)
    assert describe_irregularities(read_header(path.read_bytes()), path.name) == "16 bits a channel"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_large_pictures_give_the_same_pixels(orientation: int, kind: str, tmp_path: Path) -> None:
    """They take a way of their own that needs half the memory."""
    path = tmp_path / "größe.bin"
    path.write_bytes(_saved(Image.fromarray(_picture(1200, 1600)), kind, exif=_exif(orientation)))
    pixels = decode(path)
    assert np.array_equal(pixels, decode_bytes(path.read_bytes()))
    shown = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    assert np.abs(pixels.astype(int) - shown).max() <= 1


@pytest.mark.parametrize("name", [n for n in PICTURES if n != "pages.tif"])
@pytest.mark.parametrize("share", [0.1, 0.33, 0.5, 0.9, 0.99])
def test_cut_files_are_refused(name: str, share: float, tmp_path: Path) -> None:
    content = PICTURES[name][0]
    path = tmp_path / name
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ImageError, match="cut|damaged"):
        decode(path)


def test_a_cut_photo_with_a_thumbnail_is_refused() -> None:
    """The thumbnail in the EXIF block has an end marker of its own."""
    thumbnail = _saved(PICTURE.resize((30, 20)), "JPEG")
    block = b"Exif\0\0" + struct.pack("<2sHIHI", b"II", 42, 8, 0, 0) + thumbnail
    photo = _saved(PICTURE, "JPEG", quality=95)
    whole = photo[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + photo[2:]
    assert np.array_equal(decode_bytes(whole), decode_bytes(photo))
    with pytest.raises(ImageError, match="the file is cut: the JPEG's end marker is missing"):
        decode_bytes(whole[:-200])


def test_something_behind_the_end_of_a_photo_does_no_harm() -> None:
    photo = _saved(PICTURE, "JPEG")
    assert np.array_equal(decode_bytes(photo + b"SEFT" + bytes(1000)), decode_bytes(photo))


def test_a_changed_byte_in_a_png_is_noticed() -> None:
    content = bytearray(_saved(PICTURE, "PNG"))
    content[len(content) // 2] ^= 1
    with pytest.raises(ImageError, match="the checksum of its IDAT chunk does not fit"):
        decode_bytes(bytes(content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty (zero bytes)"),
        (bytes(5000), "not an image: the file holds nothing but zeros"),
        (b"# my notes\nno picture here", "not an image: its content is of no known format"),
        (b"\xff\xd8\xff", "the file is cut: the JPEG's end marker is missing"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "not an image: its content is a video or of another kind"),
    ],
)
def test_what_is_no_image_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(ImageError) as caught:
        decode_bytes(content)
    assert str(caught.value).startswith(message)


def test_what_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="^no such file or directory$"):
        decode(tmp_path / "gone.jpg")
    with pytest.raises(ImageError, match="^it is a folder$"):
        decode(tmp_path)
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageError, match="^not a regular file: a pipe$"):
        decode(tmp_path / "pipe.jpg")


def _bmp(header: bytes, rows: npt.NDArray[np.uint8], palette: bytes = b"") -> bytes:
    """A BMP of BGR or palette rows, lowest first, each filled up to 4 bytes."""
    start = 14 + len(header) + len(palette)
    pixels = b"".join(row.tobytes() + bytes(-row.nbytes % 4) for row in rows)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + header + palette + pixels


_BGR = RGB[::-1, :, ::-1]
_COUNTED = np.tile(np.arange(WIDTH, dtype=np.uint8), (HEIGHT, 1))
_WINDOWS = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 24, 0, 0, 0, 0, 0, 0)
_V4 = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0) + b"BGRs" + bytes(48)
_GRAYS = bytes(np.repeat(np.arange(256, dtype=np.uint8), 3))
BITMAPS = {
    "windows": _bmp(_WINDOWS, _BGR),
    "upper row first": _bmp(_WINDOWS[:8] + struct.pack("<i", -HEIGHT) + _WINDOWS[12:], RGB[:, :, ::-1]),
    "V4": _bmp(struct.pack("<I", 108) + _WINDOWS[4:] + _V4, _BGR),
    "V5": _bmp(struct.pack("<I", 124) + _WINDOWS[4:] + _V4 + bytes(16), _BGR),
    "OS/2": _bmp(struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, 24), _BGR),
    "OS/2 palette": _bmp(struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, 8), _COUNTED[::-1], _GRAYS),
}


@pytest.mark.parametrize("name", BITMAPS)
def test_bitmaps_of_every_header_are_read_rightly(name: str) -> None:
    content = BITMAPS[name]
    header = read_header(content)
    assert (header.height, header.width, header.damage) == (HEIGHT, WIDTH, None)
    expected = np.dstack([_COUNTED] * 3) if "palette" in name else RGB
    assert np.array_equal(decode_bytes(content), expected)
    with pytest.raises(ImageError, match=r"the file is cut: \d+ of \d+ bytes are there"):
        decode_bytes(content[:-200])


def test_a_bitmap_with_a_png_inside_is_refused_with_a_remedy() -> None:
    header = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 0, 5, 0, 0, 0, 0, 0)
    with pytest.raises(ImageError, match="a BMP that holds a PNG, which OpenCV does not read; save it as PNG"):
        decode_bytes(_bmp(header, np.frombuffer(_png_of(4, 4), np.uint8)[None]))


def _png_of(width: int, height: int) -> bytes:
    """A few bytes that claim to be huge."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_huge_pictures_are_refused_before_memory_is_taken() -> None:
    side = 50_000
    with pytest.raises(ImageError, match=r"50000 x 50000 pixels are too many \(limit 268,435,456\)"):
        decode_bytes(_png_of(side, side))
    assert side * side > MAX_PIXELS
    with pytest.raises(ImageError, match="the PNG claims to have 0 x 5 pixels"):
        decode_bytes(_png_of(5, 0))


def test_an_avif_with_an_alpha_channel_keeps_its_colors(tmp_path: Path) -> None:
    if not _opencv_reads_avif():
        pytest.skip("this OpenCV reads no AVIF")
    for name, picture in (("alpha.avif", WITH_ALPHA), ("plain.avif", PICTURE)):
        picture.save(tmp_path / name, quality=100, subsampling="4:4:4")
        shown = np.asarray(Image.open(tmp_path / name).convert("RGB")).astype(int)
        assert np.abs(decode(tmp_path / name) - shown).mean() < 2, name


def test_missing_memory_is_no_fault_of_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacks(*arguments: object) -> None:
        raise MemoryError

    def lacks_as_opencv(*arguments: object) -> None:
        cv2.resize(RGB, (1 << 30, 1 << 14))  # what OpenCV raises where it has none

    large = _picture(1200, 1500)
    Image.fromarray(large).save(tmp_path / "large.jpg", exif=_exif(6))
    (tmp_path / "small.jpg").write_bytes(PICTURES["turned6.jpg"][0])
    for name, size in (("large.jpg", "1200 x 1500"), ("small.jpg", f"{HEIGHT} x {WIDTH}")):
        for what in (lacks, lacks_as_opencv):
            with monkeypatch.context() as patched:
                patched.setattr(decoding, "turn_upright", what)
                with pytest.raises(ImageError, match=f"^not enough memory for {size} pixels$") as raised:
                    decode(tmp_path / name)
            assert isinstance(raised.value.__cause__, MemoryError)


def test_a_tiff_of_signed_numbers_is_refused() -> None:
    stream = io.BytesIO()
    Image.fromarray(RGB[..., 0]).save(stream, "TIFF", tiffinfo={339: 2})
    with pytest.raises(ImageError, match="a TIFF of numbers below and above zero has no brightness of its own"):
        decode_bytes(stream.getvalue())


def test_a_tiff_of_floating_point_numbers_is_refused() -> None:
    content = cv2.imencode(".tiff", RGB.astype(np.float32))[1].tobytes()
    with pytest.raises(ImageError, match="a TIFF of floating-point numbers has no brightness of its own"):
        decode_bytes(content)


def test_heic_is_read_where_the_extra_is_installed() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    stream = io.BytesIO()
    pillow_heif.from_pillow(PICTURE).save(stream, quality=95)
    pixels = decode_bytes(stream.getvalue())
    assert pixels.shape == RGB.shape
    assert np.abs(pixels.astype(int) - RGB).mean() < 8
    with pytest.raises(ImageError, match=r"^the HEIC cannot be decoded \(.*\)$"):
        decode_bytes(stream.getvalue()[:400])


def test_heic_without_the_extra_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImageError, match=r'HEIC, which OpenCV cannot read; run: pip install "edgeclf\[heic\]"'):
        decode_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    assert {".heic", ".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"} <= IMAGE_SUFFIXES


def test_nothing_is_written_to_stderr_about_cut_files(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name, (content, _) in PICTURES.items():
        (folder / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(ImageError):
            decode(folder / name) if name != "pages.tif" else decode(folder / "gone")
    assert capfd.readouterr().err == ""


def test_shrinking_averages_areas() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2, :2] = 200
    image[0, 0] = 100
    small = resize(image, 2, 2)
    assert small[0, 0].tolist() == [175, 175, 175]  # (100 + 3 * 200) / 4
    assert small[1, 1].tolist() == [0, 0, 0]


def test_growing_interpolates_and_the_aspect_ratio_is_not_kept() -> None:
    image = np.array([[[0, 0, 0], [200, 100, 50]]], np.uint8)
    grown = resize(image, 3, 4)
    assert grown.shape == (3, 4, 3)
    assert grown[0, :, 0].tolist() == [0, 50, 150, 200]
    assert np.array_equal(grown[0], grown[2])


def test_one_side_may_shrink_while_the_other_grows() -> None:
    image = np.repeat(np.arange(0, 240, 30, dtype=np.uint8)[:, None, None], 3, axis=2)  # 8 x 1
    result = resize(image, 4, 5)
    assert result.shape == (4, 5, 3)
    assert result[:, 2, 0].tolist() == [15, 75, 135, 195]


@pytest.mark.parametrize("shape", [(8, 6), (8, 6, 1), (8, 6, 4)])
def test_gray_and_alpha_arrays_become_rgb(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    result = resize(image, 8, 6)
    assert result.shape == (8, 6, 3)
    assert np.array_equal(result, image[..., :3] if shape[-1] == 4 else np.stack([image.reshape(8, 6)] * 3, axis=-1))


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4, 3)), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4, 3), np.uint8), np.zeros(4, np.uint8)]
)
def test_arrays_that_are_no_pictures_are_refused(image: npt.NDArray[np.uint8]) -> None:
    with pytest.raises(ImageError, match=r"expected uint8\[H, W, 3\] RGB pixels, got"):
        resize(image, 4, 4)


def test_load_image_is_decode_and_resize(folder: Path) -> None:
    path = folder / "turned6.jpg"
    assert np.array_equal(load_image(path, 16, 24), resize(decode(path), 16, 24))


def test_a_picture_of_the_right_size_is_not_touched() -> None:
    assert np.array_equal(resize(RGB, HEIGHT, WIDTH), RGB)


def test_headers_of_noise_never_end_in_another_error() -> None:
    noise = np.random.default_rng(2)
    for name, (content, _) in PICTURES.items():
        for _ in range(40):
            changed = bytearray(content)
            for place in noise.integers(0, min(len(changed), 400), 3):
                changed[place] = noise.integers(0, 256)
            try:
                read_header(bytes(changed))
            except ImageError:
                continue
            except Exception as error:  # noqa: BLE001
                pytest.fail(f"{name}: {error!r}")


@pytest.mark.parametrize("bits", [16, 32])
def test_a_masked_bitmap_without_its_masks_is_cut(bits: int) -> None:
    pixels = bytes(4)
    head = b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, 54)
    content = head + struct.pack("<IiiHHIIiiII", 40, 1, 1, 1, bits, 3, 0, 0, 0, 0, 0) + pixels
    with pytest.raises(ImageError, match="the BMP ends before its masks"):
        decode_bytes(content)


def test_a_large_picture_may_have_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    """OpenCV crashes on such names, which old archives hold."""
    picture = _picture(1200, 1800)
    content = cv2.imencode(".png", picture)[1].tobytes()
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    path.write_bytes(content)
    np.testing.assert_array_equal(decode(path), picture[..., ::-1])
