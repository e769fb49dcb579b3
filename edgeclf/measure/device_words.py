"""How a device's figures are written, on the screen and in the page."""

from __future__ import annotations

from collections.abc import Sequence


def celsius(value: float | None) -> str:
    """A temperature with its unit; a dash where the board does not tell."""
    return "–" if value is None else f"{value:.1f} °C"


def megahertz(value: float | None) -> str:
    """A clock with its unit; a dash where the board does not tell."""
    return "–" if value is None else f"{value:.0f} MHz"


def slowed(flags: Sequence[str] | None) -> str:
    """Throttle flags in words; a dash where the board does not tell."""
    return "–" if flags is None else ", ".join(flags) or "nothing"


def duration(seconds: float) -> str:
    """Seconds up to two minutes, then minutes."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.3g} minutes"
