"""Draw a result on its picture, for recordings and the window: the region, and a bar with label, probability, age."""

from __future__ import annotations

import unicodedata

import cv2
import numpy as np

from edgeclf.streaming.camera.frame import Pixels
from edgeclf.streaming.loop.geometry import Picture
from edgeclf.streaming.loop.result import Result

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_DARK, _LIGHT, _GRAY = (24, 24, 24), (255, 255, 255), (160, 160, 160)
_SMALLEST_SIDE = 240
_ANY_SCRIPT = int(cv2.__version__.partition(".")[0]) >= 5
"""OpenCV 5 brings a TrueType font with the scripts of the world; OpenCV 4 draws ASCII alone."""

# what people write where their keyboard lacks the letter; the other accents are left out
_SPELLED = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss", "æ": "ae", "Æ": "Ae", "ø": "oe"}
    | {"Ø": "Oe", "å": "aa", "Å": "Aa", "œ": "oe", "Œ": "Oe", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D"}
)


def annotate(picture: Picture, result: Result) -> Pixels:
    """Draw the result on the picture: uint8[H, W, 3] BGR, an array of its own.

    The bar is opaque, so that its text can be read on anything. A picture with a side below 240 pixels is enlarged by
    a whole number, since no text fits otherwise.
    """
    pixels = picture.pixels()
    factor = max(1, -(-_SMALLEST_SIDE // max(1, min(pixels.shape[:2]))))
    height, width = pixels.shape[0] * factor, pixels.shape[1] * factor
    canvas = np.repeat(np.repeat(pixels, factor, 0), factor, 1) if factor > 1 else pixels.copy()
    index = next((score.index for score in result.top if score.label == result.label), None)
    color = _GRAY if index is None else class_color(index)
    if box := picture.box():
        left, top, right, bottom = (side * factor for side in box)
        thickness = max(2, height // 240)
        cv2.rectangle(canvas, (left, top), (right - 1, bottom - 1), _DARK, thickness + 2)
        cv2.rectangle(canvas, (left, top), (right - 1, bottom - 1), color, thickness)
    bar = bar_height(height)
    canvas[height - bar :] = _DARK
    canvas[height - bar :, : bar // 2] = color
    fraction = max(0.0, min(1.0, result.probability))
    canvas[height - max(2, bar // 10) :, : round(width * fraction)] = color
    right_text = f"{result.frame_age_ms:.0f} ms"
    room = width - bar // 2 - 3 * (bar // 4)
    taken = _draw(canvas, right_text, width - bar // 4, room // 3, right=True)
    percent = f"  {100 * fraction:.0f} %"
    _draw(canvas, make_drawable(result.label, index), bar // 2 + bar // 4, room - taken, after=percent)
    return np.asarray(canvas, np.uint8)


def bar_height(height: int) -> int:
    """Return the pixels of the bar at the bottom of an annotated picture of `height` pixels."""
    return max(20, height // 12)


def class_color(index: int) -> tuple[int, int, int]:
    """Return blue, green and red of a class: bright, and different for the classes next to each other."""
    hue = round(index * 180 * 0.618) % 180  # steps of the golden section fall between all earlier ones
    b, g, r = cv2.cvtColor(np.array([[[hue, 170, 255]]], np.uint8), cv2.COLOR_HSV2BGR)[0, 0].tolist()
    return int(b), int(g), int(r)


def make_drawable(label: str, index: int | None, any_script: bool = _ANY_SCRIPT) -> str:
    """Spell a label in the letters that can be drawn.

    Args:
        label: class name.
        index: its number, which stands for a name without a single letter that can be drawn.
        any_script: whether more than ASCII can be.
    """
    text = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs") else c for c in label)
    if any_script or text.isascii():
        return text
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFC", text).translate(_SPELLED))
    letters = "".join(c for c in plain if not unicodedata.combining(c))
    ascii_text = "".join(c if c.isascii() else "?" for c in letters)
    if any(c.isalnum() for c in ascii_text) or index is None:
        return ascii_text
    return f"class {index}"


def _draw(canvas: Pixels, text: str, x: int, room: int, *, after: str = "", right: bool = False) -> int:
    """Write into the bar, from `x` on or up to it, in at most `room` pixels; returns the pixels it took.

    Where it is too long, the letters become smaller first, and then `text` is cut, never what comes `after` it.
    """
    bar = bar_height(canvas.shape[0])
    thickness = max(1, bar // 20)
    height = cv2.getTextSize("0", _FONT, 1.0, thickness)[0][1]
    full = 0.5 * bar / max(1, height)
    shown = text
    while (width := max(1, cv2.getTextSize(shown + after, _FONT, 1.0, thickness)[0][0])) * 0.6 * full > room:
        if len(text) < 2:
            break
        text = text[: min(len(text) - 1, max(1, int(len(text) * room / (width * 0.6 * full))))]
        shown = text.rstrip() + "..."
    scale = min(full, max(8, room) / width)
    took = round(width * scale)
    place = (x - took if right else x, canvas.shape[0] - bar + round((bar + height * scale) / 2))
    cv2.putText(canvas, shown + after, place, _FONT, scale, _LIGHT, thickness, cv2.LINE_AA)
    return took
