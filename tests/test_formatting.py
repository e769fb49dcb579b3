"""Numbers for people: the same digits on the page and in the terminal."""

from __future__ import annotations

import pytest

from edgeclf.measure import formatting


@pytest.mark.parametrize(
    ("value", "written"),
    [
        *((0, "0 B"), (999, "999 B"), (95_568, "95.6 kB"), (999_400, "999 kB"), (999_600, "1.00 MB")),
        *((1_500_000, "1.50 MB"), (2_000_000_000, "2.00 GB"), (None, "–")),
    ],
)
def test_sizes(value: int | None, written: str) -> None:
    assert formatting.size(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        *((0.0004, "0.4 µs"), (0.0864, "86.4 µs"), (0.9994, "999 µs"), (0.9996, "1 ms"), (12.34, "12.3 ms")),
        *((999.4, "999 ms"), (1234.5, "1,234 ms"), (None, "–")),
    ],
)
def test_milliseconds(value: float | None, written: str) -> None:
    assert formatting.milliseconds(value) == written


def test_differences_have_a_sign_and_zero_has_both() -> None:
    assert formatting.points(-0.00001) == "±0.00"
    assert formatting.points(0.0031) == "+0.31"
    assert formatting.points(-0.0031, 1) == "−0.3"
    assert formatting.points(None) == "–"
    assert formatting.interval((-0.002, 0.001), signed=True) == "−0.20 to +0.10"
    assert formatting.interval((0.81, 0.85)) == "81.00 to 85.00"
    assert formatting.interval(None) == "–"


def test_counts() -> None:
    assert formatting.number(78_000) == "78,000"
    assert formatting.number(12_500_000) == "12.5 M"
    assert formatting.number(1_200_000_000) == "1.2 G"
    assert formatting.exact(12_500_000) == "12,500,000"
    assert formatting.threads(1) == "1 thread"
    assert formatting.threads(4) == "4 threads"


def test_no_number_is_written_with_an_exponent() -> None:
    assert formatting.ratio(3.2831) == "3.28"
    assert formatting.ratio(12_345.6) == "12,346"
    assert formatting.p_value(1e-9) == "< 0.0001"
    assert formatting.p_value(0.0123) == "0.012"
    assert [formatting.p_value(p) for p in (0.0498, 0.05, 0.0502)] == ["0.0498", "0.0500", "0.0502"]


def test_durations() -> None:
    assert [formatting.duration(s) for s in (3, 119, 120, 600, 7200)] == ["3 s", "119 s", "2 min", "10 min", "2 h"]
