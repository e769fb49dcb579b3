"""Memory while pictures are decoded in several threads."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import cv2
import numpy as np
import pytest

from edgeclf.dataset import load_dataset, reading
from edgeclf.dataset.pixel_budget import UNKNOWN, PixelBudget
from edgeclf.image.decoding import MAX_PIXELS


class Counted:
    """Counts the pixels that are decoded at once."""

    def __init__(self) -> None:
        self.now, self.most, self._lock = 0, 0, threading.Lock()

    @contextmanager
    def decode(self, pixels: int):
        with self._lock:
            self.now += pixels
            self.most = max(self.most, self.now)
        hashlib.blake2b(bytes(2_000_000)).digest()  # lets the other threads run, as a decoder does
        yield
        with self._lock:
            self.now -= pixels


@pytest.mark.parametrize(
    ("pictures", "least", "most"),
    [([40, 30, 70, 10, 100, 1], 40, 100), ([150, 50], 150, 150)],
    ids=["within", "one that is larger is decoded alone"],
)
def test_no_more_pixels_at_once_than_there_are(pictures: list[int], least: int, most: int):
    budget, counted = PixelBudget(100), Counted()

    def decode(pixels: int) -> None:
        with budget.take(pixels), counted.decode(pixels):
            pass

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(decode, pictures * 10))
    assert least <= counted.most <= most


def test_what_fits_is_decoded_at_once():
    budget, both = PixelBudget(100), threading.Barrier(2)

    def decode(pixels: int) -> None:
        with budget.take(pixels):
            both.wait(timeout=60)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(decode, [60, 40]))


def test_a_failure_gives_its_pixels_back():
    budget = PixelBudget(100)
    with pytest.raises(ValueError, match="damaged"), budget.take(100):
        raise ValueError("damaged")
    with budget.take(100):
        pass


def test_photos_count_by_their_headers(tmp_path, monkeypatch):
    taken: list[int] = []

    class Noted(PixelBudget):
        def take(self, pixels: int):
            taken.append(pixels)
            return super().take(pixels)

    monkeypatch.setattr(reading, "PixelBudget", Noted)
    for name, side in (("cats", 64), ("dogs", 96)):
        (tmp_path / name).mkdir()
        for number in range(4):
            content = np.full((side, 2 * side, 3), 20 * number + side, np.uint8)
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), content)
    load_dataset(tmp_path, image_size=16)
    assert sorted(taken) == 4 * [64 * 128] + 4 * [96 * 192]
    assert UNKNOWN <= MAX_PIXELS
