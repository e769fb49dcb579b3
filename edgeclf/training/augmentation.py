"""Augmentation: a frozen recipe a level, applied to batches on the host, never a part of the exported network.

All draws come from a generator that the caller seeds by (seed, epoch, step): the same step of the same run always sees
the same pixels, whatever thread prepares it and however often the run was interrupted.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edgeclf.records import Record


@dataclass(frozen=True)
class Augmentation(Record):
    """What may happen to a training image.

    Args:
        flip: mirror half of the images left to right.
        shift: largest shift, as a share of the side.
        rotate: largest rotation, degrees.
        zoom: largest change of scale, as a share.
        brightness: largest change of brightness and contrast, as a share.
        cutout: side of the erased square, as a share of the image's (DeVries and Taylor, 2017); in half of the images.
        mixup: alpha of the Beta distribution (Zhang et al., 2018); 0: off.
        cutmix: alpha of the Beta distribution (Yun et al., 2019); 0: off. Batches alternate at random between the two.
    """

    flip: bool = False
    shift: float = 0.0
    rotate: float = 0.0
    zoom: float = 0.0
    brightness: float = 0.0
    cutout: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def settled(self) -> Augmentation:
        """What is left of it at the end of training: the flips, whose results are photos like any other."""
        return Augmentation(flip=self.flip)


LEVELS: dict[str, Augmentation] = {
    "none": Augmentation(),
    "light": Augmentation(flip=True, shift=0.0625),
    "standard": Augmentation(flip=True, shift=0.125),
    "strong": Augmentation(flip=True, shift=0.125, rotate=15, zoom=0.2, brightness=0.25, cutout=0.25),
    "strongest": Augmentation(
        flip=True, shift=0.125, rotate=20, zoom=0.25, brightness=0.3, cutout=0.25, mixup=0.2, cutmix=1.0
    ),
}


def augment(
    images: np.ndarray, targets: np.ndarray, recipe: Augmentation, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Augment a batch.

    Args:
        images: uint8[N, H, W, 3]; not changed.
        targets: float32[N, C], one-hot or smoothed.
        recipe: what may happen.
        random: source of all draws.

    Returns:
        uint8[N, H, W, 3] and float32[N, C].
    """
    count, height, width, _ = images.shape
    mirrored = random.random(count) < 0.5 if recipe.flip else np.zeros(count, bool)
    if recipe.rotate or recipe.zoom:
        images = _warped(images, mirrored, recipe, random)
    else:
        images = _shifted(images, mirrored, recipe.shift, random)
    if recipe.brightness:
        contrast = random.uniform(1 - recipe.brightness, 1 + recipe.brightness, count)
        offset = random.uniform(-recipe.brightness, recipe.brightness, count) * 64
        images = np.stack([_looked_up(i, c, o) for i, c, o in zip(images, contrast, offset, strict=True)])
    if recipe.cutout:
        side = max(1, round(recipe.cutout * min(height, width)))
        tops, lefts = random.integers(0, height - side + 1, count), random.integers(0, width - side + 1, count)
        for index in np.flatnonzero(random.random(count) < 0.5):
            images[index, tops[index] : tops[index] + side, lefts[index] : lefts[index] + side] = 128
    if recipe.mixup or recipe.cutmix:
        return _mixed(images, targets, recipe, random)
    return images, targets


def _shifted(images: np.ndarray, mirrored: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    count, height, width, _ = images.shape
    down, right = round(share * height), round(share * width)
    # Mirrored rather than black: black borders shift the statistics of batch normalization away from those of images
    # that are never shifted, which is what a network meets from then on.
    padded = np.pad(images, ((0, 0), (down, down), (right, right), (0, 0)), mode="reflect")
    tops, lefts = random.integers(0, 2 * down + 1, count), random.integers(0, 2 * right + 1, count)
    result = np.empty_like(images)
    for index in range(count):
        window = padded[index, tops[index] : tops[index] + height, lefts[index] : lefts[index] + width]
        result[index] = window[:, ::-1] if mirrored[index] else window
    return result


def _warped(images: np.ndarray, mirrored: np.ndarray, recipe: Augmentation, random: np.random.Generator) -> np.ndarray:
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


def _looked_up(image: np.ndarray, contrast: float, offset: float) -> np.ndarray:
    table = np.clip((np.arange(256) - 128) * contrast + 128 + offset, 0, 255).astype(np.uint8)
    return table[image]


def _mixed(
    images: np.ndarray, targets: np.ndarray, recipe: Augmentation, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
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
    return mixed, (keep * targets + (1 - keep) * targets[partner]).astype(np.float32)
