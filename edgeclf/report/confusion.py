"""Prepares confusion matrices for the page: percent of each true class, and the commonest mistakes in words."""

from __future__ import annotations

from dataclasses import dataclass

from edgeclf.measure.class_order import OTHER
from edgeclf.measure.report import BenchReport

SHOWN_CLASSES = 25
"""Classes up to which the matrix is shown; of more, the commonest mistakes alone."""
PHONE_CLASSES = 12
MISTAKES = 10


@dataclass(frozen=True)
class Cell:
    """Images of one true class that got one prediction; `fraction` is of the true class."""

    count: int
    fraction: float
    right: bool


@dataclass(frozen=True)
class Mistake:
    """A true class, what was predicted instead, how often, and as a fraction of the true class."""

    label: str
    predicted: str
    count: int
    images: int


@dataclass(frozen=True)
class Matrix:
    """The confusion matrix of one model.

    Attributes:
        name: of the model.
        columns: predicted classes.
        rows: each true class with its images and a cell a column; empty where there are too many classes.
        mistakes: the commonest, by fraction of the true class.
        fits_phone: whether it can be read at the width of a phone.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, int, tuple[Cell, ...]], ...]
    mistakes: tuple[Mistake, ...]
    fits_phone: bool


def make_matrices(report: BenchReport) -> list[Matrix]:
    """Prepare the matrix of each model that has one."""
    names = report.data.class_names if report.data else ()
    return [
        _make(comparison.name, names, comparison.confusion) for comparison in report.comparisons if comparison.confusion
    ]


def _make(name: str, names: tuple[str, ...], counts: tuple[tuple[int, ...], ...]) -> Matrix:
    # the column of other classes is shown only where the model predicts one
    width = len(names) + any(row[-1] for row in counts)
    columns = (*names, OTHER)[:width]
    rows, mistakes = [], []
    for at, (label, row) in enumerate(zip(names, counts, strict=True)):
        images = sum(row)
        cells = tuple(Cell(n, n / images if images else 0.0, column == at) for column, n in enumerate(row[:width]))
        rows.append((label, images, cells))
        mistakes += [Mistake(label, columns[k], n, images) for k, n in enumerate(row[:width]) if n and k != at]
    mistakes.sort(key=lambda mistake: (-mistake.count / mistake.images, -mistake.count))
    shown = tuple(rows) if len(names) <= SHOWN_CLASSES else ()
    return Matrix(name, columns, shown, tuple(mistakes[:MISTAKES]), len(columns) <= PHONE_CLASSES)
