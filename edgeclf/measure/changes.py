"""Sums up what changed between a baseline and a model: images whose label flipped, and classes beyond chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeclf.records import Record

if TYPE_CHECKING:
    from edgeclf.measure.report import ClassCost, Flip

SIGNIFICANT = 0.05
"""Below this, a p-value is beyond chance."""


@dataclass(frozen=True)
class FlipCounts(Record):
    """Images whose predicted label is another one than the baseline's.

    Attributes:
        lost: that the baseline was right about.
        gained: that the model is right about.
        changed: that both are wrong about, in different ways.
    """

    lost: int
    gained: int
    changed: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.lost + self.gained + self.changed

    @property
    def text(self) -> str:
        """All in words, such as `12 lost, 3 gained, 5 changed`."""
        return f"{self.lost:,} lost, {self.gained:,} gained, {self.changed:,} changed"


def count_flips(flips: Iterable[Flip]) -> FlipCounts:
    """Count images by kind of change."""
    kinds = Counter(flip.kind for flip in flips)
    return FlipCounts(kinds["lost"], kinds["gained"], kinds["changed"])


def is_significant(cost: ClassCost) -> bool:
    """Return whether the corrected test finds a difference; its interval then excludes zero."""
    return cost.p_value is not None and cost.p_value < SIGNIFICANT


def judge_class(cost: ClassCost) -> str:
    """Return whether a class differs by more than chance explains, in words; empty where nothing was compared."""
    if cost.p_value is None:
        return ""
    return "beyond chance" if is_significant(cost) else "within chance"
