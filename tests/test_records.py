"""Records: what JSON carries comes back the same, and what is no such record is refused by field, type and path."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeclf.errors import InputError
from edgeclf.records import Record
from edgeclf.training.config import TrainConfig


@dataclass(frozen=True)
class Point(Record):
    x: float
    y: float = 0.0


@dataclass(frozen=True)
class Drawing(Record):
    name: str
    points: tuple[Point, ...] = ()
    size: tuple[int, float] | None = None
    kind: Literal["open", "closed"] = "open"
    limit: int | float | str | None = None
    rows: tuple[tuple[int, ...], ...] = ()
    labels: Sequence[str] = ()
    by_name: dict[str, Point | None] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    filled: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


numbers = st.floats(allow_nan=False, allow_infinity=False)
points = st.builds(Point, numbers, numbers)
drawings = st.builds(
    Drawing,
    name=st.text(),
    points=st.lists(points).map(tuple),
    size=st.none() | st.tuples(st.integers(), numbers),
    kind=st.sampled_from(["open", "closed"]),
    limit=st.none() | st.integers() | numbers | st.text(),
    rows=st.lists(st.lists(st.integers()).map(tuple)).map(tuple),
    labels=st.lists(st.text()).map(tuple),
    by_name=st.dictionaries(st.text(), st.none() | points),
    counts=st.dictionaries(st.text(), st.integers()),
    filled=st.booleans(),
    extra=st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text()),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(drawings)
def test_json_gives_the_same_record_back(drawing: Drawing) -> None:
    assert Drawing.from_json(drawing.to_json()) == drawing
    assert Drawing.from_dict(drawing.to_dict()) == drawing


@given(drawings)
def test_numbers_keep_their_types(drawing: Drawing) -> None:
    again = Drawing.from_json(drawing.to_json())
    assert type(again.limit) is type(drawing.limit)
    assert all(type(point.x) is float for point in again.points)


@given(st.dictionaries(st.sampled_from(["name", "points", "size", "kind", "limit", "rows", "by_name"]), json_values))
def test_any_json_gives_a_record_or_one_line(values: dict[str, Any]) -> None:
    try:
        drawing = Drawing.from_dict(values)
    except InputError as error:
        message = str(error)
    else:
        message = "Drawing"
        assert Drawing.from_dict(drawing.to_dict()) == drawing
    assert message.startswith("Drawing")
    assert "\n" not in message


@given(st.text())
def test_any_text_gives_a_record_or_an_input_error(text: str) -> None:
    with pytest.raises(InputError):
        Drawing.from_json(text)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": 3}, "Drawing.name must be a text, got the number 3"),
        ({"name": None}, "Drawing.name must be a text, got null"),
        ({}, "Drawing needs the field 'name', which is missing"),
        ({"name": "a", "colour": 1}, "Drawing has no field 'colour'; it has: name, points, size"),
        ({"name": "a", "filled": 1}, "Drawing.filled must be true or false, got the number 1"),
        ({"name": "a", "points": {}}, "Drawing.points must be a list, got an object"),
        ({"name": "a", "points": "xy"}, "Drawing.points must be a list, got the text 'xy'"),
        ({"name": "a", "points": [{"x": 1}, {"x": "1"}]}, "Drawing.points[1].x must be a number, got the text '1'"),
        ({"name": "a", "points": [{}]}, "Drawing.points[0] needs the field 'x', which is missing"),
        ({"name": "a", "points": [3]}, "Drawing.points[0] must be an object, got the number 3"),
        ({"name": "a", "points": [{"x": True}]}, "Drawing.points[0].x must be a number, got true"),
        ({"name": "a", "points": [{"x": 10**400}]}, "Drawing.points[0].x must be a finite number"),
        ({"name": "a", "points": [{"x": float("inf")}]}, "Drawing.points[0].x must be a finite number"),
        ({"name": "a", "size": [1, 2.0, 3]}, "Drawing.size must be a list of 2, got 3 of them"),
        ({"name": "a", "size": [1.5, 2]}, "Drawing.size[0] must be a whole number, got the number 1.5"),
        ({"name": "a", "size": 3}, "Drawing.size must be a list of 2 or null, got the number 3"),
        ({"name": "a", "kind": "shut"}, "Drawing.kind must be one of 'open', 'closed', got the text 'shut'"),
        ({"name": "a", "limit": []}, "Drawing.limit must be a whole number or a number or a text or null, got a list"),
        ({"name": "a", "rows": [[1], [2, "3"]]}, "Drawing.rows[1][1] must be a whole number, got the text '3'"),
        ({"name": "a", "by_name": {"b": {"x": []}}}, "Drawing.by_name['b'].x must be a number, got a list"),
        ({"name": "a", "by_name": {"b": 3}}, "Drawing.by_name['b'] must be an object, got the number 3"),
        ({"name": "a", "counts": {"b": 1.0}}, "Drawing.counts['b'] must be a whole number, got the number 1.0"),
        ([], "Drawing must be an object, got a list"),
        ({"name": "a", "kind": "x" * 99}, f"got the text '{'x' * 40}…'"),
    ],
)
def test_what_is_wrong_is_named_by_its_path_with_expected_and_got(values: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Drawing.from_dict(values)
    assert message in str(caught.value)


def test_a_wrong_type_is_not_called_incomplete() -> None:
    with pytest.raises(InputError, match="TrainConfig.epochs must be a whole number or null, got the text 'three'"):
        TrainConfig.from_dict({"epochs": "three"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Point cannot be read: not JSON"),
        ("[1]", "Point must be an object, got a list"),
        ('{"x": NaN}', "Point cannot be read: not JSON (NaN is no number)"),
        ('{"x": 1e999}', "Point cannot be read: not JSON (1e999 is too large)"),
        ("[" * 100_000, "Point cannot be read: the JSON is nested too deeply"),
        ('{"x": ' + "9" * 10_000 + "}", "Point"),
    ],
)
def test_text_that_is_no_record_is_an_input_error(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Point.from_json(text)
    assert str(caught.value).startswith(message)


class Shape(Protocol):
    kind: ClassVar[str]


@dataclass(frozen=True)
class Circle(Record):
    kind: ClassVar[str] = "circle"
    radius: float = 1.0


@dataclass(frozen=True)
class Picture(Record):
    """Has a field that several classes may fill, so it says itself how that one looks in JSON."""

    shape: Shape

    def to_dict(self) -> dict[str, Any]:
        return {"shape": {"kind": self.shape.kind, **self.shape.to_dict()}}  # type: ignore[attr-defined]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Picture:
        assert values["shape"].pop("kind") == "circle"
        return cls(Circle.from_dict(values["shape"]))


@dataclass(frozen=True)
class Album(Record):
    pictures: tuple[Picture, ...]


def test_a_record_may_say_itself_how_it_is_read() -> None:
    album = Album((Picture(Circle(2.0)), Picture(Circle())))
    assert json.loads(album.to_json())["pictures"][0] == {"shape": {"kind": "circle", "radius": 2.0}}
    assert Album.from_json(album.to_json()) == album


def test_a_field_that_json_cannot_carry_is_an_error_of_the_program() -> None:
    @dataclass(frozen=True)
    class Holder(Record):
        value: complex

    with pytest.raises(TypeError, match="overrides from_dict"):
        Holder.from_dict({"value": 1})
