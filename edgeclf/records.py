"""Frozen dataclasses with a JSON round trip: configurations, recipes, reports."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

from edgeclf.errors import InputError

Self = TypeVar("Self", bound="Record")


class Record:
    """Mixin for frozen dataclasses: `to_dict`, `to_json`, `from_dict`, `from_json`.

    Fields may be of JSON's own types, tuples, dicts with string keys, optional values and other records. Unknown keys
    are refused by name, so that a misspelt setting is never taken in silence.
    """

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and scalars, ready for `json.dumps`."""
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(typing.cast(Any, self))}

    def to_json(self, indent: int | None = None) -> str:
        """One JSON document; one line unless `indent` is given."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_dict(cls: type[Self], values: dict[str, Any]) -> Self:
        """The record that `to_dict` came from.

        Raises:
            InputError: a key is unknown or missing.
        """
        hints = typing.get_type_hints(cls)
        fields = {f.name: f for f in dataclasses.fields(typing.cast(Any, cls))}
        unknown = sorted(set(values) - set(fields))
        if unknown:
            raise InputError(f"{cls.__name__} has no field {unknown[0]!r}; it has: {', '.join(fields)}")
        made = {name: _typed(value, hints[name]) for name, value in values.items()}
        try:
            return cls(**made)
        except TypeError as error:
            raise InputError(f"{cls.__name__} is incomplete: {error}") from error

    @classmethod
    def from_json(cls: type[Self], text: str) -> Self:
        """The record that `to_json` came from."""
        return cls.from_dict(json.loads(text))


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_plain(v) for v in value]
    return value


def _typed(value: Any, hint: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if value is None:
        return None
    if origin in (typing.Union, types.UnionType):
        inner = [a for a in arguments if a is not type(None)]
        return _typed(value, inner[0]) if len(inner) == 1 else value
    if origin is Sequence:
        return tuple(_typed(v, arguments[0]) for v in value)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_typed(v, arguments[0]) for v in value)
        return tuple(_typed(v, a) for v, a in zip(value, arguments, strict=True))
    if origin is dict:
        return {k: _typed(v, arguments[1]) for k, v in value.items()}
    if isinstance(hint, type) and issubclass(hint, Record):
        return hint.from_dict(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value
