"""What augmentation may and may not do to a batch."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("tensorflow")

from edgeclf.dataset.types import ImageView, Split
from edgeclf.training.augmentation import LEVELS, Augmentation, Batch, augment
from edgeclf.training.balancing import class_weights, epoch_order
from edgeclf.training.curriculum import augmentation_at
from edgeclf.training.pipeline import TrainingBatches, evaluation_batches
from edgeclf.training.soft_targets import SoftTargets


def batch(count: int = 6, side: int = 16) -> Batch:
    random = np.random.default_rng(7)
    images = random.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    targets = np.eye(3, dtype=np.float32)[random.integers(0, 3, count)]
    return Batch(images, targets, np.ones(count, np.float32))


@settings(max_examples=40, deadline=None)
@given(level=st.sampled_from(sorted(LEVELS)), seed=st.integers(0, 2**31), side=st.sampled_from([8, 16, 24]))
def test_shapes_types_and_total_target_stay(level: str, seed: int, side: int) -> None:
    given = batch(side=side)
    before = given.images.copy()
    made = augment(given, LEVELS[level], np.random.default_rng(seed))
    assert made.images.shape == given.images.shape
    assert made.images.dtype == np.uint8
    np.testing.assert_allclose(made.targets.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(made.weights, 1, atol=1e-5)
    np.testing.assert_array_equal(given.images, before)


@pytest.mark.parametrize("level", LEVELS)
def test_the_same_seed_gives_the_same_pixels(level: str) -> None:
    first, second = (augment(batch(), LEVELS[level], np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.targets, second.targets)


def test_no_augmentation_leaves_the_pixels_as_they_are() -> None:
    made = augment(batch(), LEVELS["none"], np.random.default_rng(0))
    np.testing.assert_array_equal(made.images, batch().images)


def test_colours_change_and_vanish() -> None:
    given = batch()
    gray = augment(given, Augmentation(grayscale=1.0), np.random.default_rng(0)).images
    assert (gray == gray[..., :1]).all()
    gains = augment(given, Augmentation(color=0.2), np.random.default_rng(0)).images / np.maximum(given.images, 1)
    found = np.median(gains.reshape(len(gains), -1, 3), axis=1)  # of each channel of each image
    assert 0.75 < found.min() < 0.95
    assert found.max() <= 1.2
    assert (np.ptp(found, axis=1) > 0.01).all()


@pytest.mark.parametrize("level", LEVELS)
def test_unaugmented_images_are_the_photos_or_their_mirror_images(level: str) -> None:
    given = batch()
    made = augment(given, LEVELS[level].flips_only(), np.random.default_rng(3))
    for image, result in zip(given.images, made.images, strict=True):
        assert any(np.array_equal(result, unaugmented) for unaugmented in (image, image[:, ::-1]))
    np.testing.assert_array_equal(made.targets, given.targets)


@pytest.mark.parametrize(
    ("epochs", "fraction", "last"), [(10, 0.2, 2), (60, 0.2, 12), (2, 0.2, 0), (5, 0, 0), (3, 1, 3)]
)
def test_the_last_epochs_are_unaugmented(epochs: int, fraction: float, last: int) -> None:
    seen = [augmentation_at(LEVELS["standard"], epoch, epochs, fraction) for epoch in range(epochs)]
    assert seen == [LEVELS["standard"]] * (epochs - last) + [Augmentation(flip=True)] * last


def test_shifted_images_have_mirrored_borders() -> None:
    images, recipe = batch(count=40).images, LEVELS["standard"]
    made = augment(batch(count=40), recipe, np.random.default_rng(5)).images
    random = np.random.default_rng(5)
    mirrored = random.random(40) < 0.5
    border = round(recipe.shift * 16)
    tops, lefts = random.integers(0, 2 * border + 1, 40), random.integers(0, 2 * border + 1, 40)
    padded = np.pad(images, ((0, 0), (border, border), (border, border), (0, 0)), mode="reflect")
    for index, (top, left) in enumerate(zip(tops, lefts, strict=True)):
        window = padded[index, top : top + 16, left : left + 16]
        np.testing.assert_array_equal(made[index], window[:, ::-1] if mirrored[index] else window)


def test_flip_mirrors_about_half_of_the_images() -> None:
    images = batch(count=400, side=8).images
    made = augment(batch(count=400, side=8), Augmentation(flip=True), np.random.default_rng(0)).images
    mirrored = (made == images[:, :, ::-1]).all((1, 2, 3))
    kept = (made == images).all((1, 2, 3))
    assert (mirrored ^ kept).all()
    assert 150 < mirrored.sum() < 250


BLACK_AND_WHITE = Batch(
    np.stack([np.full((16, 16, 3), value, np.uint8) for value in (0, 255)]),
    np.eye(2, dtype=np.float32),
    np.array([1, 5], np.float32),
)


EQUAL = dataclasses.replace(BLACK_AND_WHITE, weights=np.ones(2, np.float32))


def test_cutmix_targets_are_the_fractions_of_the_area() -> None:
    for seed in range(20):
        made = augment(EQUAL, Augmentation(cutmix=1.0), np.random.default_rng(seed))
        white = (made.images == 255).all(3).mean((1, 2))
        np.testing.assert_allclose(made.targets[:, 1], white, atol=1e-6)


@pytest.mark.parametrize("recipe", [Augmentation(mixup=1.0), Augmentation(cutmix=1.0)])
def test_targets_are_mixed_with_the_weights_of_their_classes(recipe: Augmentation) -> None:
    mixed = 0
    for seed in range(20):
        made, equal = (augment(one, recipe, np.random.default_rng(seed)) for one in (BLACK_AND_WHITE, EQUAL))
        # what an image adds to the loss for each class is the fraction of it that is seen, times the class's weight
        np.testing.assert_allclose(made.weights[:, None] * made.targets, equal.targets * [1, 5], rtol=1e-5)
        np.testing.assert_allclose(made.targets.sum(1), 1, rtol=1e-5)
        mixed += int((np.abs(made.weights - BLACK_AND_WHITE.weights) > 0.1).any())
    assert mixed > 3


@pytest.mark.parametrize("recipe", [Augmentation(mixup=1.0), Augmentation(cutmix=1.0)])
@pytest.mark.parametrize("teacher", [False, True])
def test_class_weights_balance_mixed_batches(recipe: Augmentation, teacher: bool) -> None:
    labels = np.array([0] * 90 + [1] * 10)
    split = Split(ImageView(np.zeros((100, 8, 8, 3), np.uint8), np.arange(100)), labels, ("",) * 100, ("",) * 100)
    # a teacher that predicts the labels is mixed as they are
    soft = SoftTargets(np.eye(2, dtype=np.float32)[labels], ("",) * 100) if teacher else None
    batches = TrainingBatches(split, 2, 50, recipe, "weights", 0, soft)
    shares = np.zeros(4 if teacher else 2)
    for epoch in range(4):
        for _, targets, weights in batches.epoch(epoch):
            shares += np.asarray(weights) @ np.asarray(targets)
    per_class = class_weights(labels, 2)
    assert (90 * per_class[0], 10 * per_class[1]) == pytest.approx((50, 50))
    np.testing.assert_allclose(shares, 200, rtol=1e-4)


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


def test_an_epoch_does_not_wait_for_a_tuning_thread() -> None:
    pixels = np.zeros((32, 8, 8, 3), np.uint8)
    split = Split(ImageView(pixels, np.arange(32)), np.zeros(32, np.int64), ("",) * 32, ("",) * 32)
    trained_on = TrainingBatches(split, 2, 16, Augmentation(), "none", 0).epoch(0)
    assert not trained_on.options().autotune.enabled
    assert not evaluation_batches(split.images).options().autotune.enabled
