"""What augmentation may and may not do to a batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("tensorflow")

from edgeclf.training.augmentation import LEVELS, Augmentation, augment
from edgeclf.training.balancing import class_weights, epoch_order
from edgeclf.training.curriculum import augmentation_at


def batch(count: int = 6, side: int = 16) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(7)
    images = random.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return images, np.eye(3, dtype=np.float32)[random.integers(0, 3, count)]


@settings(max_examples=40, deadline=None)
@given(level=st.sampled_from(sorted(LEVELS)), seed=st.integers(0, 2**31), side=st.sampled_from([8, 16, 24]))
def test_shapes_types_and_total_target_stay(level: str, seed: int, side: int) -> None:
    images, targets = batch(side=side)
    before = images.copy()
    made, mixed = augment(images, targets, LEVELS[level], np.random.default_rng(seed))
    assert made.shape == images.shape
    assert made.dtype == np.uint8
    np.testing.assert_allclose(mixed.sum(1), 1, atol=1e-5)
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("level", LEVELS)
def test_the_same_seed_gives_the_same_pixels(level: str) -> None:
    images, targets = batch()
    first, second = (augment(images, targets, LEVELS[level], np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_no_augmentation_leaves_the_pixels_as_they_are() -> None:
    images, targets = batch()
    made, _ = augment(images, targets, LEVELS["none"], np.random.default_rng(0))
    np.testing.assert_array_equal(made, images)


@pytest.mark.parametrize("level", LEVELS)
def test_settled_images_are_the_photos_or_their_mirror_images(level: str) -> None:
    images, targets = batch()
    made, mixed = augment(images, targets, LEVELS[level].settled(), np.random.default_rng(3))
    for image, result in zip(images, made, strict=True):
        assert any(np.array_equal(result, as_it_is) for as_it_is in (image, image[:, ::-1]))
    np.testing.assert_array_equal(mixed, targets)


@pytest.mark.parametrize(
    ("epochs", "settle", "settled"), [(10, 0.2, 2), (60, 0.2, 12), (2, 0.2, 0), (5, 0, 0), (3, 1, 3)]
)
def test_the_last_epochs_settle(epochs: int, settle: float, settled: int) -> None:
    seen = [augmentation_at(LEVELS["standard"], epoch, epochs, settle) for epoch in range(epochs)]
    assert seen == [LEVELS["standard"]] * (epochs - settled) + [Augmentation(flip=True)] * settled


def test_flip_mirrors_about_half_of_the_images() -> None:
    images, targets = batch(count=400, side=8)
    made, _ = augment(images, targets, Augmentation(flip=True), np.random.default_rng(0))
    mirrored = (made == images[:, :, ::-1]).all((1, 2, 3))
    kept = (made == images).all((1, 2, 3))
    assert (mirrored ^ kept).all()
    assert 150 < mirrored.sum() < 250


def test_cutmix_targets_are_the_shares_of_the_area() -> None:
    images = np.stack([np.full((16, 16, 3), value, np.uint8) for value in (0, 255)])
    targets = np.eye(2, dtype=np.float32)
    for seed in range(20):
        made, mixed = augment(images, targets, Augmentation(cutmix=1.0), np.random.default_rng(seed))
        white = (made == 255).all(3).mean((1, 2))
        np.testing.assert_allclose(mixed[:, 1], white, atol=1e-6)


def test_class_weights_make_every_class_count_the_same() -> None:
    labels = np.array([0] * 90 + [1] * 9 + [2])
    weights = class_weights(labels, 4)
    totals = np.bincount(labels, weights[labels])
    np.testing.assert_allclose(totals, totals[0])
    assert weights[labels].mean() == pytest.approx(1)
    assert weights[3] == 0


@pytest.mark.parametrize(("balance", "expected"), [("none", [90, 9, 1]), ("over", [90] * 3), ("under", [1] * 3)])
def test_epoch_order_draws_what_the_balance_says(balance: str, expected: list[int]) -> None:
    labels = np.array([0] * 90 + [1] * 9 + [2])
    order = epoch_order(labels, balance, [0, 1])
    assert np.bincount(labels[order]).tolist() == expected
    if balance == "over":
        assert set(order) == set(range(100))
