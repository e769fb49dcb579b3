"""Draws thumbnails of the images whose prediction changed."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edgeclf.dataset import Split
from edgeclf.errors import RunFailedError
from edgeclf.measure.report import Comparison, Flip
from edgeclf.report.flip_maps import FlipMaps, Panel

SIDE = 112
SHOWN = {"lost": 24, "gained": 12, "changed": 12}
HEADINGS = {
    "lost": "Lost: the float network was right",
    "gained": "Gained: only this model is right",
    "changed": "Changed: both are wrong, in different ways",
}


@dataclass(frozen=True)
class Picture:
    """One thumbnail; `source` is a data URI, or None where the pixels are not at hand; `maps`: where evidence lies."""

    flip: Flip
    source: str | None
    maps: tuple[Panel, ...] = ()


@dataclass(frozen=True)
class Group:
    """Pictures of one kind of change; `total` counts those not shown too."""

    heading: str
    kind: str
    total: int
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Gallery:
    """What changed in one model, with the commonest changes of prediction."""

    name: str
    groups: tuple[Group, ...]
    commonest: tuple[tuple[str, str, int], ...]


def make_gallery(
    comparison: Comparison,
    images: Split | None,
    headings: Mapping[str, str] = HEADINGS,
    maps: FlipMaps | None = None,
) -> Gallery:
    """Choose and draw the pictures: a few of every kind, going round the classes so that none takes all places.

    Args:
        comparison: with the images whose prediction changed.
        images: that `Flip.index` counts in; None leaves their places empty.
        headings: by kind of change.
        maps: draws where evidence lies; None: it is not shown.
    """
    groups = []
    for kind, heading in headings.items():
        flips = [flip for flip in comparison.flips if flip.kind == kind]
        if flips:
            chosen = _around_classes(flips, SHOWN[kind])
            pictures = tuple(
                Picture(flip, _thumbnail(flip, images), _maps(comparison.path, flip, images, maps)) for flip in chosen
            )
            groups.append(Group(heading, kind, len(flips), pictures))
    lost = Counter((flip.baseline, flip.model) for flip in comparison.flips if flip.kind == "lost")
    commonest = tuple((before, after, count) for (before, after), count in lost.most_common(6) if count > 1)
    return Gallery(comparison.name, tuple(groups), commonest)


def _around_classes(flips: Sequence[Flip], limit: int) -> list[Flip]:
    seen: Counter[str] = Counter()
    turns = []
    for flip in flips:
        turns.append((seen[flip.label], flip.label, flip))
        seen[flip.label] += 1
    turns.sort(key=lambda turn: turn[:2])
    return sorted((flip for _, _, flip in turns[:limit]), key=lambda flip: (flip.label, flip.index))


def _thumbnail(flip: Flip, images: Split | None) -> str | None:
    if images is None:
        return None
    return data_uri(images.images[flip.index])


def _maps(path: str, flip: Flip, images: Split | None, maps: FlipMaps | None) -> tuple[Panel, ...]:
    if images is None or maps is None:
        return ()
    return maps.draw(path, flip.index, images.images[flip.index], data_uri)


def data_uri(image: npt.NDArray[np.uint8]) -> str:
    """Encode a PNG of uint8[H, W, 3] RGB, as large as the network saw it or shrunk to fit 112 pixels."""
    height, width = image.shape[:2]
    scale = SIDE / max(height, width)
    if scale < 1:
        target = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = cv2.resize(image, target, interpolation=cv2.INTER_AREA).astype(np.uint8)
    return _encode(image, ".png", "image/png")


def photo_uri(image: npt.NDArray[np.uint8]) -> str:
    """Encode a JPEG of uint8[H, W, 3] RGB in its own size: a tenth of the bytes that a photo takes as PNG."""
    return _encode(image, ".jpg", "image/jpeg")


def _encode(image: npt.NDArray[np.uint8], suffix: str, media_type: str) -> str:
    written, content = cv2.imencode(suffix, cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR))
    if not written:
        height, width = image.shape[:2]
        raise RunFailedError(f"a thumbnail of {width}x{height} pixels could not be encoded as {suffix[1:]}")
    return f"data:{media_type};base64," + base64.b64encode(content.tobytes()).decode()
