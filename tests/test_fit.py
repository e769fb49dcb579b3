"""How pictures of another shape come to the input of a network: stretched, cropped or padded, everywhere alike."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeclf.cli.values import parse_image_size
from edgeclf.dataset import load_dataset
from edgeclf.errors import InputError, UnknownNameError
from edgeclf.image.decoding import decode, fit_image, load_image, resize
from edgeclf.image.shape import FITS, PAD_GRAY, InputShape, central_region, check_image_size
from edgeclf.training.config import TrainConfig
from edgeclf.training.curriculum import image_size_at
from edgeclf.training.remarks import describe_network

SIDES = st.integers(1, 400)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_each_fit_by_hand() -> None:
    # 40 x 100: the middle 40 x 60 has the aspect of 32 x 48; padded, 100 columns become 48, and 40 rows 19 (19.2).
    picture = noise(40, 100)
    crop, pad = InputShape(32, 48, "crop"), InputShape(32, 48, "pad")
    np.testing.assert_array_equal(fit_image(picture, InputShape(32, 48)), resize(picture, 32, 48))
    np.testing.assert_array_equal(fit_image(picture, crop), resize(picture[:, 20:80], 32, 48))
    padded = fit_image(picture, pad)
    np.testing.assert_array_equal(padded[6:25], resize(picture, 19, 48))
    assert (padded[:6] == PAD_GRAY).all()
    assert (padded[25:] == PAD_GRAY).all()
    # 100 x 40 in a square: 40 x 40 from the middle; 32 x 13 (12.8) in the middle.
    tall = noise(100, 40)
    np.testing.assert_array_equal(fit_image(tall, InputShape(32, 32, "crop")), resize(tall[30:70], 32, 32))
    np.testing.assert_array_equal(fit_image(tall, InputShape(32, 32, "pad"))[:, 9:22], resize(tall, 32, 13))


@settings(deadline=None)
@given(SIDES, SIDES, SIDES, SIDES)
def test_a_crop_is_central_as_large_as_can_be_and_of_the_inputs_aspect(h: int, w: int, tall: int, wide: int) -> None:
    left, top, right, bottom = central_region(h, w, (tall, wide))
    assert 0 <= left < right <= w
    assert 0 <= top < bottom <= h
    assert bottom - top == h or right - left == w, "it touches two edges"
    assert abs(left - (w - right)) <= 1
    assert abs(top - (h - bottom)) <= 1
    exact = min(h, w * tall / wide), min(w, h * wide / tall)
    assert abs(bottom - top - exact[0]) <= 0.5 or bottom - top == 1
    assert abs(right - left - exact[1]) <= 0.5 or right - left == 1


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from(FITS))
def test_pictures_of_the_inputs_shape_are_taken_as_they_are(height: int, width: int, fit: str) -> None:
    picture = noise(height, width)
    np.testing.assert_array_equal(fit_image(picture, InputShape(height, width, fit)), picture)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("shape", [(1, 300), (300, 1), (7, 5)])
def test_extreme_pictures_fit(fit: str, shape: tuple[int, int]) -> None:
    gray = noise(*shape)[..., 0]
    fitted = fit_image(gray, InputShape(16, 24, fit))
    assert fitted.shape == (16, 24, 3)
    assert fitted.flags.c_contiguous


def test_what_is_no_shape_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="letterbox.*did you mean 'pad'"):
        InputShape(8, 8, "letterbox")
    with pytest.raises(UnknownNameError, match="centre-crop.*did you mean 'crop'"):
        InputShape(8, 8, "centre-crop")
    with pytest.raises(InputError, match="at least 1 x 1 pixels, got 0 x 8"):
        InputShape(0, 8)
    with pytest.raises(InputError, match=r"image_size must be a whole number of pixels or \(height, width\), got '9x8"):
        check_image_size("9x8")


def photos(folder: Path) -> Path:
    for seed, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True)
        for number in range(4):
            picture = noise(20 + number, 60 + 10 * number, seed)
            cv2.imwrite(str(folder / name / f"{number}.png"), picture[..., ::-1])
    return folder


def test_the_cache_holds_each_fit_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECLF_CACHE", str(tmp_path / "cache"))
    source = photos(tmp_path / "photos")
    for fit in (*FITS, *FITS):
        data = load_dataset(source, image_size=(16, 24), fit=fit)
        assert data.shape == InputShape(16, 24, fit)
        for split in data.splits.values():
            for path, image in zip(split.paths, split.images, strict=True):
                np.testing.assert_array_equal(image, load_image(path, 16, 24, fit))
                np.testing.assert_array_equal(image, fit_image(decode(path), data.shape))
    assert data.load.images_decoded == 0, "the second time they are known"
    with pytest.raises(UnknownNameError, match="fit"):
        load_dataset(source, image_size=16, fit="fill")


def test_input_sizes_are_one_number_or_two() -> None:
    assert TrainConfig(image_size=(96, 96)).image_size == 96
    wide = TrainConfig(image_size=(96, 160), fit="pad")
    assert wide.to_dict()["image_size"] == [96, 160]
    assert TrainConfig.from_json(wide.to_json()) == wide
    assert wide.input_shape == InputShape(96, 160, "pad")
    for given_, message in (
        ((96, 100), r"must be a multiple of 8, got 100×96 \(width × height\)"),
        ((96, 2048), "must be between 8 and 1024, got 2048"),
        (30, "must be a multiple of 8, got 30"),
        ("160x96", r"must be a whole number of pixels or \(height, width\), got '160x96'"),
        ((96, 96, 3), "must be a whole number"),
    ):
        with pytest.raises(InputError, match=f"image_size {message}"):
            TrainConfig(image_size=given_)  # type: ignore[arg-type]


def test_input_sizes_are_typed_width_first() -> None:
    assert parse_image_size("96", "--image-size") == 96
    assert parse_image_size("160x96", "--image-size") == (96, 160)
    assert parse_image_size("96X96", "--image-size") == 96
    for text in ("160,96", "x", "160x", "-8", "1e2", "²"):
        with pytest.raises(InputError, match="--image-size takes PIXELS or WIDTHxHEIGHT, such as 96 or 160x96, got"):
            parse_image_size(text, "--image-size")


def test_smaller_images_of_the_first_epochs_keep_the_aspect() -> None:
    config = TrainConfig(image_size=(96, 160), epochs=20, progressive=True)
    sizes = [image_size_at(config, epoch) for epoch in range(20)]
    assert sizes == [(48, 80)] * 5 + [(72, 120)] * 7 + [(96, 160)] * 8
    assert {image_size_at(TrainConfig(image_size=64, epochs=4), epoch) for epoch in range(4)} == {(64, 64)}
    for epochs, expected in ((1, [64]), (2, [32, 64]), (3, [32, 48, 64])):
        few = TrainConfig(image_size=64, epochs=epochs, progressive=True)
        assert [image_size_at(few, epoch)[0] for epoch in range(epochs)] == expected, "the last epoch is whole"


def test_training_names_the_input_and_the_fit() -> None:
    wide = TrainConfig(model="resnet8", image_size=(96, 160), fit="crop")
    shown = "input 160×96 pixels (crop: the largest central region of the input's aspect ratio), starts from scratch"
    assert shown in describe_network(wide, 1000, "")
    assert "input 96×96 pixels, starts" in describe_network(TrainConfig(model="resnet8", image_size=96), 1000, "")
