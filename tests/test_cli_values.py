"""From typed words to values: settings by a record's types, ranges, counts."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from edgeclf.cli.values import parse_counts, parse_range, parse_settings
from edgeclf.errors import InputError, UnknownNameError
from edgeclf.records import Record


@dataclass(frozen=True)
class Settings(Record):
    count: int = 1
    rate: float | None = None
    xla: bool = False
    name: str | None = None
    sizes: tuple[int, ...] = ()


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("count=3", {"count": 3}),
        ("rate=1e-3", {"rate": 1e-3}),
        ("rate=none", {"rate": None}),
        ("xla=yes", {"xla": True}),
        ("xla=False", {"xla": False}),
        ("name=a=b", {"name": "a=b"}),
        ("sizes=1, 2,3", {"sizes": (1, 2, 3)}),
    ],
)
def test_settings_take_the_type_of_their_field(pair: str, expected: dict[str, object]) -> None:
    assert parse_settings([pair], Settings) == expected


def test_the_last_of_two_settings_wins_and_dashes_are_underscores() -> None:
    assert parse_settings(["count=1", "count=2"], Settings) == {"count": 2}
    assert Settings(**parse_settings(["count=1"], Settings)) == Settings(count=1)


def test_unknown_setting_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown setting 'cuont'; did you mean 'count'?"):
        parse_settings(["cuont=3"], Settings)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("count=1.5", "--set count must be a whole number, got '1.5'"),
        ("rate=fast", "--set rate must be a number, got 'fast'"),
        ("xla=perhaps", "--set xla must be true or false, got 'perhaps'"),
        ("sizes=1,x", "--set sizes must be a whole number, got 'x'"),
    ],
)
def test_a_value_of_the_wrong_type_is_named(pair: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_settings([pair], Settings)


def test_ranges_and_counts() -> None:
    assert parse_range("-1,1", "--input-range") == (-1.0, 1.0)
    assert parse_counts("1,2,4", "--threads") == (1, 2, 4)
    with pytest.raises(InputError, match="LO must be below HI, got '1,0'"):
        parse_range("1,0", "--input-range")
    with pytest.raises(InputError, match="--threads takes positive whole numbers"):
        parse_counts("two", "--threads")
