"""The options for the size of a network's input, and for how pictures of another shape come to it."""

from __future__ import annotations

from collections.abc import Iterable

from edgeclf.cli.options import UNSET, Option, complete_from
from edgeclf.cli.values import parse_image_size


def _fits() -> Iterable[str]:
    from edgeclf.image.shape import FITS

    return FITS


def _parse_views(views: int, option: str) -> str:
    from edgeclf.image.shape import views_fit

    return views_fit(views)


FIT = Option(
    "fit",
    "How a picture of another shape enters a network from elsewhere: stretch, crop (the middle, in the input's aspect "
    "ratio) or pad (all of it, letterboxed in gray). Default: stretch, as other clients do.",
    metavar="WAY",
    complete=complete_from(_fits),
)
TRAINED_FIT = Option(
    "fit",
    "How a picture of another shape becomes the input: stretch, crop (the middle, in the input's aspect ratio) or pad "
    "(all of it, letterboxed in gray). Part of the model file; other clients stretch.",
    metavar="WAY",
    default=UNSET,
    complete=complete_from(_fits),
)
VIEWS = Option(
    "views",
    "Directions that point clouds and meshes are seen from, as depth pictures; 1: from above. Default: 6 for such.",
    metavar="K",
    type=int,
    default=UNSET,
    field="fit",
    parse=_parse_views,
)
IMAGE_SIZE = Option(
    "image_size",
    "Side of the square input, or WIDTHxHEIGHT, such as 160x96. Default: chosen by the data.",
    metavar="PIXELS|WxH",
    type=str,
    default=UNSET,
    parse=parse_image_size,
)
