"""Which models of a board's report say something about the time of a recipe's files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from edgeclf.compression.export.formats import FORMATS
from edgeclf.compression.export.tflite import TFLite
from edgeclf.compression.recipe import Recipe
from edgeclf.measure.report import ModelResult

_INT8 = "int8"


def models_of_format(models: Sequence[ModelResult], recipe: Recipe) -> tuple[ModelResult, ...]:
    """Return the models of a report from whose times those of a recipe's files may be scaled; none: there are none.

    A format changes a time by more than the multiply-accumulates say: on one processor int16x8 took 60 times as long as
    int8. Which one a file is of stands in the name that `compress` gives it. Files of int8 may be scaled from those
    without such a name, too, and where there is nothing else, from any: what is slower overestimates.

    Args:
        models: of the report.
        recipe: of the files; some layers in float make it none of the formats.
    """
    export = recipe.export
    if not isinstance(export, TFLite) or export.policy.selects:
        return ()
    named = [(model, format_in_name(model.path)) for model in models]
    same = tuple(model for model, found in named if found == export.format)
    if export.format != _INT8:
        return same
    return same or tuple(model for model, found in named if found is None) or tuple(models)


def format_in_name(path: str) -> str | None:
    """Return the format that the name of a file states, the last one; None: it states none."""
    words = re.split(r"[^a-z0-9]+", Path(path).stem.lower())
    return next((word for word in reversed(words) if word in FORMATS), None)
