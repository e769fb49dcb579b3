"""Turning, mirroring and cutting frames."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeclf.errors import InputError
from edgeclf.image.decoding import fit_image, resize
from edgeclf.image.shape import InputShape
from edgeclf.streaming.camera.frame import Frame
from edgeclf.streaming.loop.geometry import FLIPS, ROTATIONS, Geometry, Picture

TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
FLIP_CODES = {"horizontal": 1, "vertical": 0, "both": -1}


def noise(height: int = 12, width: int = 20) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("rotate", ROTATIONS)
@pytest.mark.parametrize("flip", FLIPS)
def test_turned_pictures_are_those_of_opencv(rotate: int, flip: str) -> None:
    pixels = noise()
    expected = cv2.rotate(pixels, TURNS[rotate]) if rotate else pixels
    expected = cv2.flip(expected, FLIP_CODES[flip]) if flip != "none" else expected
    picture = Picture(Frame(0, pixels, 0.0, 0.0), Geometry(rotate, flip))
    np.testing.assert_array_equal(picture.pixels(), expected)
    np.testing.assert_array_equal(picture.region(), expected)
    assert picture.box() is None


def test_a_region_in_shares_and_in_pixels() -> None:
    pixels = noise(100, 200)
    assert Geometry(roi=(0.25, 0.5, 0.5, 0.25)).box(100, 200) == (50, 50, 150, 75)
    assert Geometry(roi=(50, 50, 100, 25)).box(100, 200) == (50, 50, 150, 75)
    region = Geometry(roi=(50, 50, 100, 25)).region(pixels)
    np.testing.assert_array_equal(region, pixels[50:75, 50:150])


def test_the_centre_crop_is_the_middle_square() -> None:
    assert Geometry(center_crop=True).box(100, 200) == (50, 0, 150, 100)
    assert Geometry(center_crop=True, roi=(0, 0, 0.5, 1)).box(100, 200) == (0, 0, 100, 100)
    assert Geometry(center_crop=True).box(200, 100) == (0, 50, 100, 150)


@settings(max_examples=200, deadline=None)
@given(
    st.tuples(st.floats(0, 3000), st.floats(0, 3000), st.floats(0.001, 3000), st.floats(0.001, 3000)),
    st.integers(1, 2000),
    st.integers(1, 2000),
    st.booleans(),
)
def test_a_region_lies_in_the_picture_and_holds_a_pixel(
    roi: tuple[float, float, float, float], height: int, width: int, center: bool
) -> None:
    geometry_of = lambda: Geometry(roi=roi, center_crop=center).box(height, width)  # noqa: E731
    sides = (1, 1) if max(roi) <= 1 else (width, height)
    if roi[0] + roi[2] > sides[0] + 1e-6 or roi[1] + roi[3] > sides[1] + 1e-6:
        with pytest.raises(InputError, match="beyond the picture"):
            geometry_of()
        return
    left, top, right, bottom = geometry_of()
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height


@pytest.mark.parametrize(
    ("settings_", "words"),
    [
        ({"rotate": 45}, "rotate must be one of 0, 90, 180, 270, got 45"),
        ({"flip": "sideways"}, "flip must be one of none, horizontal, vertical, both, got 'sideways'"),
        ({"roi": (0, 0, 0, 1)}, "roi must be X,Y,WIDTH,HEIGHT"),
        ({"roi": (-1, 0, 1, 1)}, "roi must be X,Y,WIDTH,HEIGHT"),
        ({"roi": (0, 0, float("nan"), 1)}, "roi must be X,Y,WIDTH,HEIGHT"),
    ],
)
def test_impossible_geometries_are_refused(settings_: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Geometry(**settings_)  # type: ignore[arg-type]


def test_the_box_is_what_the_network_sees_of_the_region() -> None:
    frame = Frame(0, noise(100, 200), 0.0, 0.0)
    for fit, box in (("stretch", None), ("pad", None), ("crop", (50, 0, 150, 100))):
        picture = Picture(frame, Geometry(), InputShape(8, 8, fit))
        assert picture.box() == box
        np.testing.assert_array_equal(picture.region(), frame.pixels)  # what is collected, and fitted again in training
    # Of the region 50..150 x 20..60 the middle in the aspect of 24 x 8, which 100 x 33 pixels have.
    shape = InputShape(8, 24, "crop")
    assert Picture(frame, Geometry(roi=(50, 20, 100, 40)), shape).box() == (50, 23, 150, 56)
    left, top, right, bottom = 50, 23, 150, 56
    np.testing.assert_array_equal(
        fit_image(Geometry(roi=(50, 20, 100, 40)).region(frame.pixels, shape), shape),
        resize(frame.pixels[top:bottom, left:right], 8, 24),
    )


def test_the_centre_crop_has_the_aspect_of_the_input() -> None:
    frame = Frame(0, noise(100, 200), 0.0, 0.0)
    picture = Picture(frame, Geometry(center_crop=True), InputShape(8, 12))
    assert picture.box() == (25, 0, 175, 100)
    np.testing.assert_array_equal(picture.region(), frame.pixels[:, 25:175])
    assert Picture(frame, Geometry(center_crop=True), InputShape(16, 16, "pad")).box() == (50, 0, 150, 100)
