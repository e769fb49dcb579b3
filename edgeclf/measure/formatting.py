"""Writes numbers for people, the same on the page and in the terminal. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence

MISSING = "–"


def percent(fraction: float | None, digits: int = 2) -> str:
    """Write a fraction as percent: 0.842 is `84.20 %`."""
    return MISSING if fraction is None else f"{100 * fraction:.{digits}f} %"


def points(difference: float | None, digits: int = 2) -> str:
    """Write a difference of fractions in percentage points, with its sign: -0.0031 is `−0.31`."""
    if difference is None:
        return MISSING
    written = f"{100 * difference:+.{digits}f}"
    return f"±{0:.{digits}f}" if float(written) == 0 else written.replace("-", "−")


def interval(bounds: Sequence[float] | None, *, signed: bool = False) -> str:
    """Write both ends of an interval of fractions, in percent or in signed points, without the unit."""
    if bounds is None:
        return MISSING
    return " to ".join(points(bound) if signed else f"{100 * bound:.2f}" for bound in bounds)


def size(count: int | None) -> str:
    """Write a number of bytes with a decimal unit and three significant digits: 97,993 is `98.0 kB`."""
    if count is None:
        return MISSING
    value = float(count)
    for unit in ("B", "kB", "MB"):
        # 999.6 kB is written as 1 MB, not as 1e+03 kB.
        if value < 999.5:
            return f"{value:.0f} B" if unit == "B" else f"{_rounded(value)} {unit}"
        value /= 1000
    return f"{_rounded(value)} GB"


def milliseconds(value: float | None) -> str:
    """Write milliseconds with three significant digits, in microseconds below one millisecond."""
    if value is None:
        return MISSING
    if value < 0.9995:
        return f"{1000 * value:.3g} µs"
    return f"{value:.3g} ms" if value < 999.5 else f"{value:,.0f} ms"


def number(count: int | None) -> str:
    """Write a whole number with separators, shortened from a million on: 12,500,000 is `12.5 M`."""
    if count is None:
        return MISSING
    return exact(count) if count < 1_000_000 else f"{count / 1e6:.3g} M" if count < 999_500_000 else _billions(count)


def exact(count: int | None) -> str:
    """Write a whole number with separators, never shortened."""
    return MISSING if count is None else f"{count:,}"


def counted(count: int, noun: str, plural: str = "") -> str:
    """Write a count with its noun: `1 class`, `1,234 images`.

    Args:
        count: of the things.
        noun: for one of them.
        plural: for others; empty: the noun with an s.
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def p_value(p: float | None) -> str:
    """Write a p-value with two significant digits, and more around 0.05; below a ten-thousandth only that it is."""
    if p is None:
        return MISSING
    if p < 0.0001:
        return "< 0.0001"
    if 0.0495 < p < 0.0505:  # what is below 0.05 stands beside an interval that excludes zero
        return f"{p:.4f}"
    return f"{p:.2g}"


def ratio(value: float, digits: int = 3) -> str:
    """Write a ratio with `digits` significant digits, and never fewer than its whole part has."""
    return _rounded(value, digits)


def threads(count: int) -> str:
    """Write a thread count with its noun: `1 thread`, `2 threads`."""
    return "1 thread" if count == 1 else f"{count} threads"


def celsius(value: float | None) -> str:
    """Write a temperature with its unit; a dash where the board has no sensor."""
    return MISSING if value is None else f"{value:.1f} °C"


def megahertz(value: float | None) -> str:
    """Write a clock frequency with its unit; a dash where the board does not report it."""
    return MISSING if value is None else f"{value:.0f} MHz"


def throttling(flags: Sequence[str] | None) -> str:
    """List throttle flags; a dash where the board does not report them."""
    return MISSING if flags is None else ", ".join(flags) or "nothing"


def duration(seconds: float) -> str:
    """Write seconds up to two minutes, then minutes, from two hours on hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def _rounded(value: float, digits: int = 3) -> str:
    """Write `value` with `digits` significant digits, zeros at the end included; from 0.0001 on without an exponent."""
    return f"{value:#.{digits}g}".rstrip(".") if value < 10**digits - 0.5 else f"{value:,.0f}"


def _billions(count: int) -> str:
    billions = count / 1e9
    return f"{billions:.3g} G" if billions < 999.5 else f"{billions:,.0f} G"
