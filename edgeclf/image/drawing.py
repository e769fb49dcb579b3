"""Draws a label and its probability on a picture: a bar with text, in colours that differ between classes."""

from __future__ import annotations

import unicodedata

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

_FONT = cv2.FONT_HERSHEY_SIMPLEX
DARK, GRAY = (24, 24, 24), (160, 160, 160)
_LIGHT = (255, 255, 255)
_SMALLEST_SIDE = 240
_ANY_SCRIPT = int(cv2.__version__.partition(".")[0]) >= 5
"""OpenCV 5 brings a TrueType font with the scripts of the world; OpenCV 4 draws ASCII alone."""

# what people write where their keyboard lacks the letter; the other accents are left out
_SPELLED = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss", "æ": "ae", "Æ": "Ae", "ø": "oe"}
    | {"Ø": "Oe", "å": "aa", "Å": "Aa", "œ": "oe", "Œ": "Oe", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D"}
)


def enlarge(pixels: Pixels, largest: int | None = None) -> tuple[Pixels, int]:
    """Enlarge a picture with a side below 240 pixels by a whole number, since no text fits otherwise.

    Args:
        pixels: uint8[H, W, 3].
        largest: pixels that no side may exceed because of that; None: any.

    Returns:
        a copy, and the number.
    """
    factor = max(1, -(-_SMALLEST_SIDE // max(1, min(pixels.shape[:2]))))
    if largest is not None:
        factor = max(1, min(factor, largest // max(pixels.shape[:2])))
    return np.repeat(np.repeat(pixels, factor, 0), factor, 1) if factor > 1 else pixels.copy(), factor


def draw_bar(canvas: Pixels, label: str, index: int | None, probability: float, *, right: str = "") -> None:
    """Draw a bar with label and probability over the bottom of a picture.

    The bar is opaque, so that its text can be read on anything.

    Args:
        canvas: uint8[H, W, 3] BGR, drawn on.
        label: class name.
        index: number of the class, which decides the colour; None: gray.
        probability: a fraction; the lowest line of the bar is as long.
        right: short text at the right end.
    """
    height, width = canvas.shape[:2]
    color = GRAY if index is None else class_color(index)
    bar = bar_height(height)
    canvas[height - bar :] = DARK
    canvas[height - bar :, : bar // 2] = color
    fraction = max(0.0, min(1.0, probability))
    canvas[height - max(2, bar // 10) :, : round(width * fraction)] = color
    room = width - bar // 2 - 3 * (bar // 4)
    taken = _draw(canvas, right, width - bar // 4, room // 3, right=True)
    percent = f"  {100 * fraction:.0f} %"
    _draw(canvas, make_drawable(label, index), bar // 2 + bar // 4, room - taken, after=percent)


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
