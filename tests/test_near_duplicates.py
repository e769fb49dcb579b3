from __future__ import annotations

import time

import cv2
import numpy as np
import pytest
from photo_folders import photo

from edgeclf.dataset.near_duplicates import SIDE, group_pairs, near_pairs


def small(image):
    return cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


CHANGES = {
    "saved as a poor JPEG": lambda image: cv2.imdecode(
        cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 50])[1], 1
    ),
    "half the size": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "brighter": lambda image: cv2.convertScaleAbs(image, alpha=0.85, beta=20),
    "cut at the rim": lambda image: image[2:-2, 3:-3],
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found_and_nothing_else(change):
    originals = [photo(seed, 240, 320) for seed in range(100)]
    images = np.stack([small(image) for image in originals] + [small(CHANGES[change](image)) for image in originals])
    pairs = {tuple(pair) for pair in near_pairs(images).tolist()}
    expected = {(number, number + 100) for number in range(100)}
    assert not pairs - expected
    assert len(pairs) >= 95


def test_real_photos_saved_again_are_found(clothing_folder):
    paths = sorted(clothing_folder.glob("train/*/*.jpg"))
    originals = [cv2.imread(str(path)) for path in paths]
    again = [CHANGES["half the size"](image) for image in originals]
    pairs = near_pairs(np.stack([small(image) for image in originals + again]))
    found = {tuple(pair) for pair in pairs.tolist()}
    assert all((number, number + len(paths)) in found for number in range(len(paths)))
    assert len(found) < 1.1 * len(paths)


def test_flat_images_are_in_no_pair():
    images = np.stack([np.full((SIDE, SIDE, 3), level, np.uint8) for level in range(0, 250, 10)])
    assert len(near_pairs(images)) == 0
    assert near_pairs(np.empty((0, SIDE, SIDE, 3), np.uint8)).shape == (0, 2)


def test_pairs_become_groups():
    pairs = np.array([[5, 9], [1, 2], [2, 3], [3, 8], [7, 9]])
    assert group_pairs(pairs, 10) == [[1, 2, 3, 8], [5, 7, 9]]
    assert group_pairs(np.empty((0, 2), np.int64), 10) == []
    chain = np.stack([np.arange(999), np.arange(1, 1000)], axis=1)
    assert group_pairs(chain, 1000) == [list(range(1000))]


@pytest.mark.slow
def test_thirty_thousand_images_take_seconds():
    images = np.random.default_rng(0).integers(0, 256, (30_000, 4, 4, 3), dtype=np.uint8)
    images = np.repeat(np.repeat(images, 8, axis=1), 8, axis=2)
    images[1::1000] = images[::1000]
    started = time.process_time()
    assert len(near_pairs(images)) == 30
    assert time.process_time() - started < 20  # all pairs of 60,000 would be four times as many
