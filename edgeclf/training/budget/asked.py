"""What a user asked of a network: limits, and how milliseconds are found."""

from __future__ import annotations

from dataclasses import dataclass

from edgeclf.training.budget.limits import Limits
from edgeclf.training.budget.speed import Speed


@dataclass(frozen=True)
class Budget:
    """What was asked for.

    Args:
        limits: that hold.
        text: in words.
        asked: whether the user asked for it; else photos get the default, which refuses nothing.
        largest_side: of the input that is chosen by itself, pixels.
        speed: how milliseconds are found; None: latency is no limit.
    """

    limits: Limits
    text: str
    asked: bool
    largest_side: int
    speed: Speed | None = None
