"""Which input size suits which images."""

from __future__ import annotations

SMALL_IMAGES = 48
"""Images up to this side, pixels, are taken for icons, digits or thumbnails rather than photos."""


def size_for_any_images(side: float) -> int:
    """Choose the side of the input, pixels: small images keep theirs, photos become 96.

    Args:
        side: median shorter side of the images, pixels.
    """
    return max(16, 8 * round(side / 8)) if side <= SMALL_IMAGES else 96


def size_for_imagenet_weights(side: float) -> int:
    """Choose the side of the input of a network that starts from features learnt at 224 pixels: 32 to 160 pixels.

    Args:
        side: median shorter side of the images, pixels.
    """
    return 32 * max(1, min(5, round(side / 32)))


def size_for_five_strides(side: float) -> int:
    """Choose the side of the input of a network that halves it five times: 32, 64 or 96 pixels.

    Args:
        side: median shorter side of the images, pixels.
    """
    return 32 * max(1, min(3, round(side / 32)))


def size_for_transfer(side: float) -> int:
    """Choose the side of the input of a large network that starts from pretrained weights: 96 or 128 pixels.

    Args:
        side: median shorter side of the images, pixels.
    """
    return 32 * max(3, min(4, round(side / 32)))


def size_for_attention(side: float) -> int:
    """Choose the side of the input of a transformer, whose cost grows with the fourth power of it: at most 64 pixels.

    Args:
        side: median shorter side of the images, pixels.
    """
    return min(64, size_for_any_images(side))
