"""Draws objects in space as depth pictures, which a network for pictures sees (Su et al., 2015, arXiv:1505.00880).

The points of an object are moved and scaled so that the smallest ball around them is the unit ball: that does not
depend on where a scanner saw more of them, and is nearly the same for the half of an object that a camera sees. From
each direction they are drawn without perspective: the nearer a point, the brighter its disc, and the nearest disc of a
pixel counts; small holes between discs are closed. One direction is the plain picture from above, against the z axis;
several are spread evenly over the sphere (Fibonacci's lattice; Gonzalez, 2010, Mathematical Geosciences 42, 49).

NumPy and OpenCV suffice, and no sum depends on the order in which a library adds, so every device draws the same.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgeclf.errors import ImageError
from edgeclf.image.shape import InputShape

VIEWS_VERSION = 1
"""Incremented whenever the same points give other pictures."""

DRAWN_POINTS = 16_384
"""Of more points, as many are drawn, evenly spaced in their order."""
FARTHEST, NEAREST = 64, 255
"""Brightness of a point at the far and at the near end of the unit ball; 0 is where no point is."""
MARGIN = 0.04
"""Of the picture's side, left free around the unit ball on each side."""
FIELD_OF_VIEW = 60.0
"""Degrees that the width of a depth frame is taken to span: depth cameras have 55 to 87."""
_LARGEST_DISC = 15
_BALL_STEPS = 48
_DISC = 2.2
"""Of the mean distance of points on a picture: discs so large hide what lies behind a surface, but for small holes."""
_NO_DEPTH = (0, 65535)

Points = npt.NDArray[np.float64]
Pictures = npt.NDArray[np.uint8]


def list_directions(views: int) -> Points:
    """List the directions that an object is seen from: float64[views, 3], unit vectors from it to the eye."""
    if views == 1:
        return np.array([[0.0, 0.0, 1.0]])
    golden = math.pi * (3 - math.sqrt(5))
    found = []
    for number in range(views):
        height = 1 - (2 * number + 1) / views
        radius = math.sqrt(1 - height * height)
        found.append((radius * math.cos(golden * number), radius * math.sin(golden * number), height))
    # no digit that two libraries of mathematics may compute otherwise
    return np.round(np.array(found), 9)


def draw_views(points: npt.NDArray[Any], shape: InputShape) -> Pictures:
    """Draw an object from all directions of `shape`: uint8[views * height, width, 3], the views one below the other.

    Args:
        points: float[N, 3], finite, in any unit.
        shape: of the network's input, whose fit is one with views.

    Raises:
        ImageError: all points are the same.
    """
    unit = _to_unit_ball(_thin(np.asarray(points, np.float64)))
    pictures = [_draw(unit, direction, shape) for direction in list_directions(shape.views)]
    return np.repeat(np.concatenate(pictures)[..., None], 3, axis=2)


def draw_frame(frame: npt.NDArray[np.uint16], shape: InputShape) -> Pictures:
    """Draw a frame of a depth camera as `draw_views` draws an object that is seen from there: uint8[height, width, 3].

    What lies behind the object has to be left out by the camera: 0 and 65535 are pixels without a depth. The field of
    view is taken to be `FIELD_OF_VIEW` wide.

    Args:
        frame: uint16[H, W], distances along the optical axis in any unit.
        shape: of the network's input.

    Raises:
        ImageError: it is no such frame, or fewer than 3 pixels have a depth.
    """
    if frame.dtype != np.uint16 or frame.ndim != 2:
        raise ImageError(f"expected a depth frame uint16[H, W], got {frame.dtype}{list(frame.shape)}")
    seen = np.flatnonzero((frame != _NO_DEPTH[0]) & (frame != _NO_DEPTH[1]))
    if len(seen) < 3:
        raise ImageError("the depth frame has no depths: all its pixels are 0 or 65535")
    height, width = frame.shape
    rows, columns = np.divmod(_thin(seen), width)
    depth = frame[rows, columns].astype(np.float64)
    per_pixel = depth * (2 * round(math.tan(math.radians(FIELD_OF_VIEW / 2)), 9) / width)
    points = np.stack([(columns - (width - 1) / 2) * per_pixel, ((height - 1) / 2 - rows) * per_pixel, -depth], axis=1)
    unit = _to_unit_ball(points)
    return np.repeat(_draw(unit, np.array([0.0, 0.0, 1.0]), shape)[..., None], 3, axis=2)


def cut_views(images: npt.NDArray[np.uint8], height: int) -> npt.NDArray[np.uint8]:
    """Cut pictures that hold views one below the other, and return others as they are.

    uint8[N, views * height, W, 3] becomes uint8[N * views, height, W, 3].
    """
    stacked, width = images.shape[1:3]
    if stacked == height or stacked % height:
        return images
    return images.reshape(-1, height, width, *images.shape[3:])


def average_views(values: npt.NDArray[np.float32], objects: int) -> npt.NDArray[np.float32]:
    """Average what was computed for each view over those of an object: float32[objects * views, C] to [objects, C]."""
    if len(values) == objects:
        return values
    return np.asarray(values.reshape(objects, -1, values.shape[1]).mean(axis=1), np.float32)


def describe_views(shape: InputShape) -> dict[str, Any]:
    """Describe how objects become pictures, ready for JSON."""
    return {
        "count": shape.views,
        "directions": list_directions(shape.views).tolist(),
        "height": shape.height,
        "width": shape.width,
        "points": DRAWN_POINTS,
        "normalization": "smallest ball around the points to the unit ball (Badoiu-Clarkson)",
        "projection": "orthographic",
        "brightness": {"none": 0, "farthest": FARTHEST, "nearest": NEAREST},
        "version": VIEWS_VERSION,
    }


def _thin(points: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if len(points) <= DRAWN_POINTS:
        return points
    return points[np.linspace(0, len(points) - 1, DRAWN_POINTS).astype(np.int64)]


def _to_unit_ball(points: Points) -> Points:
    """Move and scale points so that the smallest ball around them becomes the unit ball, to a few percent.

    The centre steps towards the farthest point by 1/2, 1/3, ... of the way (Badoiu and Clarkson, 2003, SODA).
    """
    low, high = points.min(axis=0), points.max(axis=0)
    largest = float((high / 2 - low / 2).max())
    if not 0 < largest < math.inf:
        raise ImageError("all its points are the same, so it has no shape")
    # from here on no square overflows
    columns = np.ascontiguousarray(((points - (low / 2 + high / 2)) / largest).T)
    centre = np.zeros(3)
    for step in range(2, _BALL_STEPS + 2):
        farthest = columns[:, _squared_distances(columns, centre).argmax()]
        centre = centre + (farthest - centre) / step
    radius = math.sqrt(_squared_distances(columns, centre).max())
    return np.asarray((columns.T - centre) / radius)


def _squared_distances(columns: Points, centre: Points) -> Points:
    x, y, z = columns - centre[:, None]
    return np.asarray(x * x + y * y + z * z)


def _draw(points: Points, direction: Points, shape: InputShape) -> Pictures:
    """Draw points of the unit ball from one direction: uint8[height, width]."""
    right, up = _image_axes(direction)
    side = min(shape.size)
    scale = side * (0.5 - MARGIN)
    columns = np.rint((shape.width - 1) / 2 + scale * _project(points, right)).astype(np.int64)
    rows = np.rint((shape.height - 1) / 2 - scale * _project(points, up)).astype(np.int64)
    nearness = (_project(points, direction) + 1) / 2
    brightness = np.rint(FARTHEST + (NEAREST - FARTHEST) * nearness).clip(FARTHEST, NEAREST).astype(np.uint8)
    nearest_last = np.argsort(brightness, kind="stable")
    picture = np.zeros(shape.size, np.uint8)
    picture[rows[nearest_last], columns[nearest_last]] = brightness[nearest_last]
    # The brightest of all discs over a pixel: the maximum in a disc around it.
    disc = _disc(min(_LARGEST_DISC, round(_DISC * side / math.sqrt(len(points)))))
    # with a border of nothing, which closing would otherwise take for something
    closed = cv2.morphologyEx(np.pad(cv2.dilate(picture, disc), 2), cv2.MORPH_CLOSE, _disc(3))
    return np.asarray(closed[2:-2, 2:-2], np.uint8)


def _project(points: Points, axis: Points) -> Points:
    return np.asarray(points[:, 0] * axis[0] + points[:, 1] * axis[1] + points[:, 2] * axis[2])


def _image_axes(direction: Points) -> tuple[Points, Points]:
    """Return what points right and up in a picture from a direction; up is the z axis where that can be seen."""
    x, y, z = (float(value) for value in direction)
    across = math.sqrt(x * x + y * y)
    if across < 1e-6:
        return np.array([1.0, 0.0, 0.0]), np.array([0.0, math.copysign(1.0, z), 0.0])
    right = np.array([-y / across, x / across, 0.0])
    return right, np.array([-z * x / across, -z * y / across, across])


def _disc(diameter: int) -> Pictures:
    diameter = max(1, diameter) | 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter)), np.uint8)
