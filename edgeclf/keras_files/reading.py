"""What reading float networks has in common: the loaders' exceptions, their reasons, and what a classifier is."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from pathlib import Path
from typing import Any

from edgeclf.errors import ModelError

READING_ERRORS = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, RuntimeError, ArithmeticError),
    *(AssertionError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
"""What loaders raise on files that they do not understand."""


def image_classifier(path: Path, taken: Any, given: Any) -> tuple[int, int, int]:
    """Return the height and width of the images that a network takes, and its number of outputs.

    Args:
        path: of the network, for the message.
        taken: shape of its input.
        given: shape of its output.

    Raises:
        ModelError: it takes or returns something else than one image and one score a class.
    """
    if (
        isinstance(taken, (list, dict))
        or isinstance(given, (list, dict))
        or len(taken) != 4
        or len(given) != 2
        or taken[3] != 3
    ):
        raise ModelError(f"{path}: expected [N, height, width, 3] in and [N, classes] out, got {taken} and {given}")
    if taken[1] is None or taken[2] is None or given[1] is None:
        raise ModelError(f"{path}: its input size is open {taken}; save the network with a fixed height and width")
    return int(taken[1]), int(taken[2]), int(given[1])


def reason(error: BaseException) -> str:
    """Return the message of a loader's exception in one line of at most 160 characters."""
    text = " ".join(str(error).split())
    return (text[:160] + "...") if len(text) > 160 else text or type(error).__name__
