"""Prepares the table of classes: what each loses or gains, and whether that is beyond chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeclf.measure.changes import judge_class
from edgeclf.measure.report import ClassCost

SHOWN_CLASSES = 100
"""Rows of a table; of more classes, those that lose most."""


@dataclass(frozen=True)
class ClassRows:
    """The classes of one model.

    Attributes:
        name: of the model.
        rows: a class each, what loses most first, with a verdict in words.
        left_out: classes that are not shown.
    """

    name: str
    rows: tuple[tuple[ClassCost, str], ...]
    left_out: int


def make_class_rows(name: str, costs: Sequence[ClassCost]) -> ClassRows:
    """Prepare the table of one model; classes without an image are left out."""
    tested = sorted((cost for cost in costs if cost.difference is not None), key=lambda cost: cost.difference or 0.0)
    shown = tuple((cost, judge_class(cost)) for cost in tested[:SHOWN_CLASSES])
    return ClassRows(name, shown, len(tested) - len(shown))
