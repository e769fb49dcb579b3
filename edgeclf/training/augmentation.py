"""Augmentation: a frozen recipe a level, applied to batches on the host, never a part of the exported network.

All draws come from a generator that the caller seeds by (seed, epoch, step): the same step of the same run always sees
the same pixels, whatever thread prepares it and however often the run was interrupted.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from edgeclf.records import Record

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Augmentation(Record):
    """What may happen to a training image.

    Args:
        flip: mirror half of the images left to right.
        shift: largest shift, as a fraction of the side.
        rotate: largest rotation, degrees.
        zoom: largest change of scale, as a fraction.
        brightness: largest change of brightness and contrast, as a fraction.
        color: largest change of each colour channel's brightness, as a fraction.
        grayscale: fraction of the images that lose their colours.
        cutout: side of the erased square, as a fraction of the image's, in half of the images (DeVries and Taylor,
            2017).
        mixup: alpha of the Beta distribution (Zhang et al., 2018); 0: off.
        cutmix: alpha of the Beta distribution (Yun et al., 2019); 0: off. Batches alternate at random between the two.
    """

    flip: bool = False
    shift: float = 0.0
    rotate: float = 0.0
    zoom: float = 0.0
    brightness: float = 0.0
    color: float = 0.0
    grayscale: float = 0.0
    cutout: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def flips_only(self) -> Augmentation:
        """Return what remains at the end of training: the flips, whose results are photos like any other."""
        return Augmentation(flip=self.flip)

    def unmixed(self) -> Augmentation:
        """Return what happens to an image by itself: without mixup and cutmix."""
        return dataclasses.replace(self, mixup=0.0, cutmix=0.0)

    def mixing_only(self) -> Augmentation:
        """Return the mixing of images with each other: mixup and cutmix."""
        return Augmentation(mixup=self.mixup, cutmix=self.cutmix)

    @property
    def only_moves(self) -> bool:
        """Whether images are mirrored and shifted, and nothing else happens to them."""
        return self == Augmentation(flip=self.flip, shift=self.shift)


LEVELS: dict[str, Augmentation] = {
    "none": Augmentation(),
    "light": Augmentation(flip=True, shift=0.0625),
    "standard": Augmentation(flip=True, shift=0.125),
    "strong": Augmentation(flip=True, shift=0.125, rotate=15, zoom=0.2, brightness=0.25, cutout=0.25),
    "strongest": Augmentation(
        flip=True, shift=0.125, rotate=20, zoom=0.25, brightness=0.3, cutout=0.25, mixup=0.2, cutmix=1.0
    ),
    "views": Augmentation(
        flip=True, shift=0.2, rotate=10, zoom=0.6, brightness=0.4, color=0.2, grayscale=0.2, cutout=0.25
    ),
}
"""`views` is for pretraining without labels: two views of an image must not be alike by colour and place alone (Chen et
al., 2020, arXiv:2002.05709, section 3.1)."""


def choose_augmentation(level: str | None, *, flip: bool) -> Augmentation:
    """Return the changes of a level (None: `standard`), mirrored only where `flip` allows it."""
    recipe = LEVELS[level or "standard"]
    return dataclasses.replace(recipe, flip=recipe.flip and flip)


@dataclass(frozen=True)
class Batch:
    """Images to train on.

    Args:
        images: uint8[N, H, W, 3].
        targets: float32[N, C], one-hot, or mixed.
        weights: float32[N], of the loss.
    """

    images: Images
    targets: Floats
    weights: Floats


def augment(batch: Batch, recipe: Augmentation, random: np.random.Generator) -> Batch:
    """Augment a batch, which is not changed itself.

    Args:
        batch: images as they are in the data set.
        recipe: what may happen.
        random: generator of all draws.
    """
    images, count = batch.images, len(batch.images)
    height, width = images.shape[1:3]
    if recipe.rotate or recipe.zoom:
        images = _warp(images, _draw_mirrored(count, recipe, random), recipe, random)
    else:
        images = move(images, Moves.draw(count, (height, width), recipe, random))
    if recipe.brightness:
        contrast = random.uniform(1 - recipe.brightness, 1 + recipe.brightness, count)
        offset = random.uniform(-recipe.brightness, recipe.brightness, count) * 64
        images = np.stack([_change_contrast(i, c, o) for i, c, o in zip(images, contrast, offset, strict=True)])
    if recipe.color or recipe.grayscale:
        images = _change_colors(images, recipe, random)
    if recipe.cutout:
        side = max(1, round(recipe.cutout * min(height, width)))
        tops, lefts = random.integers(0, height - side + 1, count), random.integers(0, width - side + 1, count)
        for index in np.flatnonzero(random.random(count) < 0.5):
            images[index, tops[index] : tops[index] + side, lefts[index] : lefts[index] + side] = 128
    batch = dataclasses.replace(batch, images=images)
    return _mix(batch, recipe, random) if recipe.mixup or recipe.cutmix else batch


@dataclass(frozen=True)
class Moves:
    """How images are mirrored and shifted.

    Args:
        mirrored: bool[N], left to right.
        tops: int64[N], the first row that is seen of an image that was extended by `down` rows on both sides.
        lefts: int64[N], the first column, of one that was extended by `right`.
        down: largest shift, pixels.
        right: largest shift, pixels.
    """

    mirrored: Flags
    tops: npt.NDArray[np.int64]
    lefts: npt.NDArray[np.int64]
    down: int
    right: int

    @classmethod
    def draw(cls, count: int, size: tuple[int, int], recipe: Augmentation, random: np.random.Generator) -> Moves:
        """Draw those of `count` images of `size` (height, width)."""
        down, right = (round(recipe.shift * side) for side in size)
        mirrored = _draw_mirrored(count, recipe, random)
        tops, lefts = random.integers(0, 2 * down + 1, count), random.integers(0, 2 * right + 1, count)
        return cls(mirrored, tops, lefts, down, right)


def _draw_mirrored(count: int, recipe: Augmentation, random: np.random.Generator) -> Flags:
    return random.random(count) < 0.5 if recipe.flip else np.zeros(count, np.bool_)


def move(images: Images, moves: Moves) -> Images:
    """Mirror and shift images uint8[N, H, W, 3]."""
    height, width = images.shape[1:3]
    down, right = moves.down, moves.right
    result = np.empty_like(images)
    # OpenCV does this without Python's lock, so that several batches are prepared at a time.
    for index, image in enumerate(images):
        if down or right:
            # Mirrored rather than black: black borders shift the statistics of batch normalization away from those of
            # images that are never shifted, which is what a network meets in use.
            top, left = moves.tops[index], moves.lefts[index]
            padded = cv2.copyMakeBorder(image, down, down, right, right, cv2.BORDER_REFLECT_101)
            image = padded[top : top + height, left : left + width]
        if moves.mirrored[index]:
            cv2.flip(image, 1, result[index])
        else:
            result[index] = image
    return result


def _warp(images: Images, mirrored: Flags, recipe: Augmentation, random: np.random.Generator) -> Images:
    count, height, width, _ = images.shape
    angles = np.deg2rad(random.uniform(-recipe.rotate, recipe.rotate, count))
    scales = np.exp(random.uniform(-1, 1, count) * np.log1p(recipe.zoom))
    shifts = random.uniform(-recipe.shift, recipe.shift, (count, 2)) * (width, height)
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    result = np.empty_like(images)
    for index in range(count):
        cosine, sine = np.cos(angles[index]) * scales[index], np.sin(angles[index]) * scales[index]
        linear = np.array([[cosine, -sine], [sine, cosine]])
        if mirrored[index]:
            linear[:, 0] *= -1
        matrix = np.column_stack([linear, centre - linear @ centre + shifts[index]])
        result[index] = cv2.warpAffine(
            images[index], matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
    return result


def _change_contrast(image: Images, contrast: float, offset: float) -> Images:
    table = np.clip((np.arange(256) - 128) * contrast + 128 + offset, 0, 255).astype(np.uint8)
    return cast(Images, cv2.LUT(image, table))


def _change_colors(images: Images, recipe: Augmentation, random: np.random.Generator) -> Images:
    gains = random.uniform(1 - recipe.color, 1 + recipe.color, (len(images), 1, 3))
    tables = np.clip(np.arange(256)[:, None] * gains, 0, 255).astype(np.uint8)[:, :, None]
    result = np.stack([cv2.LUT(image, table) for image, table in zip(images, tables, strict=True)])
    for index in np.flatnonzero(random.random(len(images)) < recipe.grayscale):
        result[index] = cv2.cvtColor(result[index], cv2.COLOR_RGB2GRAY)[:, :, None]
    return result


def _mix(batch: Batch, recipe: Augmentation, random: np.random.Generator) -> Batch:
    """Mix each image with another one, and their weighted targets in the same proportion."""
    images = batch.images
    count, height, width, _ = images.shape
    partner = random.permutation(count)
    use_cutmix = recipe.cutmix > 0 and (recipe.mixup == 0 or random.random() < 0.5)
    alpha = recipe.cutmix if use_cutmix else recipe.mixup
    keep = random.beta(alpha, alpha)
    if use_cutmix:
        side = np.sqrt(1 - keep)
        tall, wide = round(side * height), round(side * width)
        top, left = random.integers(0, height - tall + 1), random.integers(0, width - wide + 1)
        mixed = images.copy()
        mixed[:, top : top + tall, left : left + wide] = images[partner, top : top + tall, left : left + wide]
        keep = 1 - tall * wide / (height * width)
    else:
        mixed = np.rint(keep * images + (1 - keep) * images[partner].astype(np.float32)).astype(np.uint8)

    def combine(values: Floats) -> Floats:
        return (keep * values + (1 - keep) * values[partner]).astype(np.float32)

    weights = combine(batch.weights)
    if np.ptp(batch.weights) == 0:
        return Batch(mixed, combine(batch.targets), weights)
    # A weight belongs to its class. Weights that multiply mixed targets would lend that of a rare class to its partner.
    return Batch(mixed, combine(batch.targets * batch.weights[:, None]) / weights[:, None], weights)
