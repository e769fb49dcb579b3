"""Films are shown as their display matrix asks for, whatever OpenCV does by itself."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from live_cards import all_shots

from edgeclf.image.iso_boxes import read_film_orientation
from edgeclf.streaming.camera.sources.registry import choose_source

Picture = npt.NDArray[np.uint8]
# (a, b, c, d) of the display matrix, the EXIF orientation that means the same, and the turn in NumPy's words
MATRICES: dict[str, tuple[tuple[int, int, int, int], int, Callable[[Picture], Picture]]] = {
    "plain": ((1, 0, 0, 1), 1, lambda picture: picture),
    "quarter": ((0, 1, -1, 0), 6, lambda picture: np.rot90(picture, -1)),
    "half": ((-1, 0, 0, -1), 3, lambda picture: np.rot90(picture, 2)),
    "three quarters": ((0, -1, 1, 0), 8, lambda picture: np.rot90(picture)),
    "mirrored": ((-1, 0, 0, 1), 2, lambda picture: np.fliplr(picture)),
    "upside down": ((1, 0, 0, -1), 4, lambda picture: np.flipud(picture)),
    "transposed": ((0, 1, 1, 0), 5, lambda picture: np.swapaxes(picture, 0, 1)),
}


def write_film(path: Path, matrix: tuple[int, int, int, int], box: bytes = b"tkhd") -> Path:
    """Write four colours, one a quarter, as a film of three frames that is to be shown by `matrix`."""
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :32], picture[:24, 32:], picture[24:, :32] = (0, 0, 255), (0, 255, 0), (255, 0, 0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    for _ in range(3):
        writer.write(picture)
    writer.release()
    content = bytearray(path.read_bytes())
    # behind the kind: version and flags, times and numbers, reserved and more numbers
    place = content.index(box) + 4 + 4 + (20 if box == b"tkhd" else 16) + 16
    a, b, c, d = (value << 16 for value in matrix)
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def quarters(picture: Picture) -> Picture:
    """The colours of the four quarters, uint8[2, 2, 3], 0 or 255."""
    height, width = picture.shape[:2]
    found = picture[height // 4 :: height // 2, width // 4 :: width // 2][:2, :2]
    return np.asarray(np.where(found > 127, 255, 0), np.uint8)


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("name", MATRICES)
def test_a_film_is_turned_by_its_display_matrix(name: str, suffix: str, tmp_path: Path) -> None:
    matrix, orientation, turn = MATRICES[name]
    plain = all_shots(choose_source(str(write_film(tmp_path / f"plain{suffix}", (1, 0, 0, 1))), every_frame=True))
    film = write_film(tmp_path / f"film{suffix}", matrix)
    assert read_film_orientation(film) == orientation
    shots = all_shots(choose_source(str(film), every_frame=True))
    assert len(shots) == len(plain) == 3
    for shot, unturned in zip(shots, plain, strict=True):
        assert np.array_equal(shot.pixels, turn(unturned.pixels))
    assert quarters(plain[0].pixels).tolist() == [[[0, 0, 255], [0, 255, 0]], [[255, 0, 0], [0, 0, 0]]]


def test_the_matrix_of_the_whole_film_counts_too(tmp_path: Path) -> None:
    assert read_film_orientation(write_film(tmp_path / "film.mp4", (0, 1, -1, 0), b"mvhd")) == 6


def test_files_without_a_matrix_have_none_and_damage_ends_in_no_error(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", (0, 1, -1, 0))
    content = film.read_bytes()
    for name, changed in {
        "cut": content[: len(content) // 2],
        "empty": b"",
        "text": b"# no film",
        "endless": struct.pack(">I4sQ", 1, b"moov", 0) + content,
        "huge": struct.pack(">I4sQ", 1, b"ftyp", 1 << 63) + content,
        "noise": content[:4] + b"ftyp" + np.random.default_rng(0).bytes(3000),
    }.items():
        (tmp_path / name).write_bytes(changed)
        assert read_film_orientation(tmp_path / name) is None, name
    for place in range(content.index(b"moov"), len(content), 7):
        (tmp_path / "changed").write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        assert read_film_orientation(tmp_path / "changed") in (None, *range(1, 9))
