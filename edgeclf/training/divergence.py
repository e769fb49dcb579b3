"""The error of a training that cannot go on."""

from __future__ import annotations

from edgeclf.errors import RunFailedError


class DivergedError(RunFailedError):
    """The loss, or what a network computes, became NaN or infinite."""
