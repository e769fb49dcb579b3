"""The calibration draw: balanced, repeatable, linted."""

from __future__ import annotations

import numpy as np
import pytest

from edgeclf.compression.export.calibration import compare_halves, describe_draw, draw_indices, full_range
from edgeclf.errors import InputError

LABELS = np.repeat([0, 1, 2], [100, 40, 5])
NAMES = ("a", "b", "c")


def test_classes_take_turns_until_they_run_out() -> None:
    drawn = draw_indices(LABELS, 35, seed=0)
    assert np.bincount(LABELS[drawn]).tolist() == [15, 15, 5]
    assert len(set(drawn.tolist())) == 35


def test_all_images_where_there_are_fewer() -> None:
    assert draw_indices(LABELS, 1000, seed=0).tolist() == list(range(145))


def test_the_seed_decides() -> None:
    first = draw_indices(LABELS, 30, seed=1)
    assert first.tolist() == draw_indices(LABELS, 30, seed=1).tolist()
    assert first.tolist() != draw_indices(LABELS, 30, seed=2).tolist()
    assert np.bincount(LABELS[draw_indices(LABELS, 4, seed=3)], minlength=3).max() == 2


def test_no_image_is_no_calibration() -> None:
    with pytest.raises(InputError, match="calibration must be at least 1 image, got 0"):
        draw_indices(LABELS, 0, seed=0)


def test_lint_names_missing_classes_few_images_and_low_contrast() -> None:
    gray = np.full((2, 4, 4, 3), 120, np.uint8)
    findings = describe_draw(gray, LABELS, np.array([0, 101]), NAMES, seed=0).findings
    assert any("no image of c" in line for line in findings)
    assert any("2 calibration images are few" in line for line in findings)
    assert any("from 120 to 120 only" in line for line in findings)


def test_lint_is_silent_about_a_good_draw() -> None:
    labels = np.repeat([0, 1, 2], 100)
    drawn = draw_indices(labels, 150, seed=0)
    noise = np.random.default_rng(0).integers(0, 256, (150, 4, 4, 3), dtype=np.uint8)
    report = describe_draw(noise, labels, drawn, NAMES, seed=0)
    assert report.findings == ()
    assert report.per_class == {"a": 50, "b": 50, "c": 50}
    assert report.indices == tuple(drawn.tolist())


def test_the_input_spans_all_values_after_at_most_two_were_moved() -> None:
    images = np.random.default_rng(0).integers(10, 240, (3, 8, 8, 3), dtype=np.uint8)
    spanning = full_range(images)
    assert (spanning.min(), spanning.max()) == (0, 255)
    assert (spanning != images).sum() == 2
    assert full_range(spanning) is spanning


def test_halves_that_disagree_are_reported() -> None:
    lows = np.zeros((6, 2), np.float32)
    highs = np.tile(np.array([[1.0, 2.0], [1.0, 6.0]], np.float32), (3, 1))
    worst, where, findings = compare_halves(("x", "y"), lows, highs)
    assert (worst, where) == (3.0, "y")
    assert "disagree by a factor of 3.0" in findings[0]
    assert compare_halves(("x",), lows[:, :1], highs[:, :1])[2] == ()


def test_one_odd_image_among_many_does_not_make_the_halves_disagree() -> None:
    """Ranges are set without the most extreme 1 % of the images, and halves compared so."""
    lows, highs = np.zeros((400, 1), np.float32), np.ones((400, 1), np.float32)
    highs[7] = 50.0
    assert compare_halves(("x",), lows, highs) == (1.0, "x", ())
    assert compare_halves(("x",), lows[:150], highs[:150]) == (1.0, "x", ())
    assert compare_halves(("x",), lows[:60], highs[:60])[0] == 50.0
    highs[1::2] = 2.0
    assert compare_halves(("x",), lows, highs)[0] == 2.0
