"""Draw a result on its picture, for recordings and the window: the region, and a bar with label, probability, age."""

from __future__ import annotations

import cv2
import numpy as np

from edgeclf.artifact.none_class import UNKNOWN
from edgeclf.image.drawing import DARK, GRAY, class_color, draw_bar, enlarge
from edgeclf.streaming.camera.frame import Pixels
from edgeclf.streaming.loop.geometry import Picture
from edgeclf.streaming.loop.result import Result


def annotate(picture: Picture, result: Result) -> Pixels:
    """Draw the result on the picture: uint8[H, W, 3] BGR, an array of its own, enlarged where it is small."""
    canvas, factor = enlarge(picture.pixels())
    canvas = picture.draw_heat(canvas)
    named = (score.index for score in result.top if score.label == result.label != UNKNOWN)
    index = next(named, None)
    color = GRAY if index is None else class_color(index)
    if box := picture.box():
        left, top, right, bottom = (side * factor for side in box)
        thickness = max(2, canvas.shape[0] // 240)
        cv2.rectangle(canvas, (left, top), (right - 1, bottom - 1), DARK, thickness + 2)
        cv2.rectangle(canvas, (left, top), (right - 1, bottom - 1), color, thickness)
    draw_bar(canvas, result.label, index, result.probability, right=f"{result.frame_age_ms:.0f} ms")
    return np.asarray(canvas, np.uint8)
