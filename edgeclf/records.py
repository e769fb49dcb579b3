"""Frozen dataclasses with a JSON round trip: configurations, recipes, reports."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from edgeclf.errors import InputError
from edgeclf.json_text import parse_json, write_json
from edgeclf.record_views import show_as_table, show_in_line

Self = TypeVar("Self", bound="Record")
_SHOWN = 40
"""Characters of a wrong text that a message quotes."""


class Record:
    """Mixin for frozen dataclasses: `to_dict`, `to_json`, `from_dict`, `from_json`.

    Fields may be of JSON's own types, literals, tuples, dicts with string keys, unions of these, and other records. A
    record with fields of another kind, such as a protocol that several classes implement, overrides `to_dict` and
    `from_dict`; records that contain it then use those.
    """

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Keep the inherited `__repr__`, which `dataclass` would replace by one without bounds."""
        super().__init_subclass__(**keywords)
        if "__repr__" not in vars(cls):
            type.__setattr__(cls, "__repr__", cls.__repr__)

    def __repr__(self) -> str:
        return show_in_line(self)

    def _repr_html_(self) -> str:
        """Return the table that a notebook shows."""
        return show_as_table(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists and scalars, ready for `json.dumps`."""
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(typing.cast(Any, self))}

    def to_json(self, indent: int | None = None) -> str:
        """Return one JSON document; one line unless `indent` is given.

        Raises:
            ValueError: a number is NaN or infinite.
        """
        return write_json(self.to_dict(), indent=indent)

    def check_types(self) -> None:
        """Refuse fields that are not of their types, before `__post_init__` compares them.

        Raises:
            InputError: one is not; the message has its path.
        """
        for name, hint in _fields_of(typing.cast(Any, type(self)))[0].items():
            try:
                _typed(_plain(getattr(self, name)), hint)
            except _Mismatch as error:
                raise _Mismatch(type(self).__name__, f".{name}{error.place}", error.problem) from None

    @classmethod
    def from_dict(cls: type[Self], values: dict[str, Any]) -> Self:
        """Make the record that `to_dict` describes.

        Raises:
            InputError: a field is missing, unknown, or not of its type; the message has its path.
        """
        if not isinstance(values, Mapping):
            raise _Mismatch(cls.__name__, "", f" must be an object, got {_describe(values)}")
        hints, required = _fields_of(typing.cast(Any, cls))
        for name in values:
            if name not in hints:
                raise _Mismatch(cls.__name__, "", f" has no field {name!r}; it has: {', '.join(hints)}")
        for name in required:
            if name not in values:
                raise _Mismatch(cls.__name__, "", f" needs the field {name!r}, which is missing")
        made = {}
        for name, value in values.items():
            try:
                made[name] = _typed(value, hints[name])
            except _Mismatch as error:
                raise _Mismatch(cls.__name__, f".{name}{error.place}", error.problem) from None
        return cls(**made)

    @classmethod
    def from_json(cls: type[Self], text: str) -> Self:
        """Make the record that `to_json` describes.

        Raises:
            InputError: the text is no JSON, or no such record.
        """
        return cls.from_dict(parse_json(text, cls.__name__))


class _Mismatch(InputError):
    """A value that a record cannot take.

    Attributes:
        place: its path below the record, such as `.models[0].top1`.
        problem: the message after the path.
    """

    def __init__(self, record: str, place: str, problem: str) -> None:
        super().__init__(f"{record}{place}{problem}")
        self.place, self.problem = place, problem


@functools.cache
def _fields_of(record: type) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the types of a record's fields by name, and the names of those without a default."""
    hints = typing.get_type_hints(record)
    fields = [f for f in dataclasses.fields(record) if f.init]
    missing = dataclasses.MISSING
    required = tuple(f.name for f in fields if f.default is missing and f.default_factory is missing)
    return {f.name: hints[f.name] for f in fields}, required


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_plain(v) for v in value]
    return value


def _typed(value: Any, hint: Any) -> Any:
    """Convert `value`, as JSON has it, to the type `hint`."""
    origin, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _one_of(value, hint, arguments)
    if origin is typing.Literal:
        found = [a for a in arguments if a == value and type(a) is type(value)]
        return found[0] if found else _refuse(value, hint)
    if origin in _CONTAINERS:
        return _CONTAINERS[origin](value, hint, arguments)
    if isinstance(hint, type) and issubclass(hint, Record):
        return hint.from_dict(value)
    if origin not in _SCALARS:
        raise TypeError(f"{hint} cannot be read from JSON; the record with such a field overrides from_dict")
    if hint is float:
        return _as_float(value)
    return value if _is_scalar(value, origin) else _refuse(value, hint)


def _one_of(value: Any, union: Any, members: tuple[Any, ...]) -> Any:
    """Convert `value` to a member of a union; one of exactly its type comes first, so that 3 stays a whole number."""
    possible = sorted((m for m in members if _may_be(value, m)), key=lambda member: type(value) is not member)
    if len(possible) == 1:
        return _typed(value, possible[0])  # a mismatch inside of it is reported with its own path
    for member in possible:
        with contextlib.suppress(_Mismatch):
            return _typed(value, member)
    _refuse(value, union)


def _may_be(value: Any, hint: Any) -> bool:
    """Return whether `value` is of the outer type of `hint`, whatever it contains."""
    origin = typing.get_origin(hint) or hint
    if origin in _CONTAINERS:
        return isinstance(value, Mapping if origin in (dict, Mapping) else (list, tuple))
    if origin in _SCALARS:
        return _is_scalar(value, origin) or (origin is float and _is_scalar(value, int))
    return value is not None if isinstance(hint, type) and issubclass(hint, Record) else True


def _is_scalar(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool)


def _sequence(value: Any, hint: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        _refuse(value, hint)
    fixed = _is_fixed(hint)
    if fixed and len(value) != len(arguments):
        raise _Mismatch("", "", f" must be {_expected(hint)}, got {len(value)} of them")
    hints = arguments if fixed else (arguments[0] if arguments else Any,) * len(value)
    return tuple(_inside(f"[{i}]", v, h) for i, (v, h) in enumerate(zip(value, hints, strict=True)))


def _mapping(value: Any, hint: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        _refuse(value, hint)
    return {key: _inside(f"[{key!r}]", item, arguments[1] if arguments else Any) for key, item in value.items()}


def _inside(place: str, value: Any, hint: Any) -> Any:
    try:
        return _typed(value, hint)
    except _Mismatch as error:
        raise _Mismatch("", place + error.place, error.problem) from None


_CONTAINERS: dict[Any, Callable[[Any, Any, tuple[Any, ...]], Any]] = {
    tuple: _sequence,
    Sequence: _sequence,
    dict: _mapping,
    Mapping: _mapping,
}
_SCALARS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    types.NoneType: "null",
}


def _as_float(value: Any) -> float:
    if not _is_scalar(value, float) and not _is_scalar(value, int):
        _refuse(value, float)
    with contextlib.suppress(OverflowError):
        if math.isfinite(value):
            return float(value)
    raise _Mismatch("", "", " must be a finite number")


def _is_fixed(hint: Any) -> bool:
    """Return whether a tuple has a type for each of its items, and so a fixed length."""
    arguments = typing.get_args(hint)
    return typing.get_origin(hint) is tuple and arguments[1:] != (Ellipsis,)


def _refuse(value: Any, hint: Any) -> NoReturn:
    raise _Mismatch("", "", f" must be {_expected(hint)}, got {_describe(value)}")


def _expected(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_expected(a) for a in arguments)
    if origin is typing.Literal:
        return f"one of {', '.join(map(repr, arguments))}"
    if _is_fixed(hint):
        return f"a list of {len(arguments)}"
    if origin in (tuple, Sequence):
        return "a list"
    return _SCALARS.get(origin, "an object")


def _describe(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f"the text {value if len(value) <= _SHOWN else value[:_SHOWN] + '…'!r}"
    if isinstance(value, (int, float)):
        return f"the number {value!r}" if abs(value) < 10**18 else "a very large number"
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if isinstance(value, (list, tuple)) else f"a {type(value).__name__}"
