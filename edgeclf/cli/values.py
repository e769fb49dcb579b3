"""Parse typed words: `KEY=VALUE` settings by the types of a record, `LO,HI` ranges, counts, sizes."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Sequence
from typing import Any

from edgeclf.errors import InputError, UnknownNameError

_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")


def parse_settings(pairs: Sequence[str], record: type, without: Sequence[str] = ()) -> dict[str, Any]:
    """Convert `KEY=VALUE` pairs by the types of the fields of `record`.

    Args:
        pairs: as typed.
        record: a dataclass.
        without: fields that are refused, since they have options of their own.

    Returns:
        values by field; the last of several for one field.

    Raises:
        UnknownNameError: `record` has no such field.
        InputError: there is no «=», or the value is not of the field's type.
    """
    hints = typing.get_type_hints(record)
    known = [field.name for field in dataclasses.fields(record) if field.init and field.name not in without]
    values: dict[str, Any] = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        name = key.strip().replace("-", "_")
        if not separator:
            raise InputError(f"--set takes KEY=VALUE, got {pair!r}")
        if name not in known:
            raise UnknownNameError("setting", name, known)
        values[name] = convert(text.strip(), hints[name], f"--set {name}")
    return values


def convert(text: str, hint: Any, argument: str) -> Any:
    """Convert `text` to the type `hint`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(text, arguments, argument)
    if origin is typing.Literal:
        if text not in arguments:
            raise InputError(f"{argument} must be one of {', '.join(map(str, arguments))}, got {text!r}")
        return text
    if origin in (tuple, list):
        inner = arguments[0] if arguments else str
        return tuple(convert(part.strip(), inner, argument) for part in text.split(",") if part.strip())
    if hint is bool:
        return _convert_bool(text, argument)
    if hint in (int, float):
        try:
            return hint(text)
        except ValueError:
            expected = "a whole number" if hint is int else "a number"
            raise InputError(f"{argument} must be {expected}, got {text!r}") from None
    if hint is str:
        return text
    raise InputError(f"{argument} cannot be set on the command line")


def _convert_union(text: str, arguments: tuple[Any, ...], argument: str) -> Any:
    if type(None) in arguments and text.lower() in ("none", "null", ""):
        return None
    inner = [a for a in arguments if a is not type(None)]
    for position, hint in enumerate(inner):
        try:
            return convert(text, hint, argument)
        except InputError:
            if position == len(inner) - 1:
                raise
    raise InputError(f"{argument} must be none, got {text!r}")


def _convert_bool(text: str, argument: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise InputError(f"{argument} must be true or false, got {text!r}")


def parse_range(text: str, option: str) -> tuple[float, float]:
    """Parse `LO,HI`: two numbers, LO below HI."""
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"{option} takes LO,HI such as 0,1 or -1,1, got {text!r}") from None
    if not low < high:
        raise InputError(f"{option}: LO must be below HI, got {text!r}")
    return low, high


def parse_counts(text: str, option: str) -> tuple[int, ...]:
    """Parse comma-separated positive whole numbers, such as `1,2,4`."""
    try:
        counts = tuple(int(part) for part in text.split(","))
    except ValueError:
        counts = ()
    if not counts or min(counts) < 1:
        raise InputError(f"{option} takes positive whole numbers such as 1 or 1,2,4, got {text!r}")
    return counts


def show_counts(counts: Sequence[int]) -> str:
    """Write `counts` as `parse_counts` reads them."""
    return ",".join(map(str, counts))


def parse_count_or_auto(text: str, option: str) -> int | None:
    """Parse a positive whole number, or `auto` to None."""
    if text.lower() == "auto":
        return None
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise InputError(f"{option} takes a positive whole number or auto, got {text!r}")
    return int(text)


def show_count_or_auto(count: int | None) -> str:
    """Write `count` as `parse_count_or_auto` reads it."""
    return "auto" if count is None else str(count)


def parse_size(text: str, option: str) -> tuple[int, int]:
    """Parse `WIDTHxHEIGHT`: two whole numbers, pixels."""
    width, sign, height = text.lower().partition("x")
    if not (sign and width.isascii() and width.isdigit() and height.isascii() and height.isdigit()):
        raise InputError(f"{option} takes WIDTHxHEIGHT such as 640x480, got {text!r}")
    return int(width), int(height)


def parse_image_size(text: str, option: str) -> int | tuple[int, int]:
    """Parse one whole number, or `WIDTHxHEIGHT`: the side of a square, else (height, width), pixels."""
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        width, height = parse_size(text.replace("×", "x"), option)
    except InputError:
        raise InputError(f"{option} takes PIXELS or WIDTHxHEIGHT, such as 96 or 160x96, got {text!r}") from None
    return height if height == width else (height, width)


def parse_roi(text: str, option: str) -> tuple[float, float, float, float]:
    """Parse `X,Y,W,H`: four numbers."""
    try:
        x, y, width, height = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"{option} takes X,Y,WIDTH,HEIGHT such as 0.25,0.25,0.5,0.5, got {text!r}") from None
    return x, y, width, height


def parse_milliseconds(text: str, option: str) -> float:
    """Parse a time such as `5ms`, `800us` or `0.1s` to milliseconds; a number alone is milliseconds."""
    number = text.strip().lower().rstrip("usmµ")
    unit = text.strip().lower()[len(number) :]
    try:
        value = float(number) * _MILLISECONDS[unit.replace("µ", "u")]
    except (ValueError, KeyError):
        raise InputError(f"{option} takes a time such as 5ms or 800us, got {text!r}") from None
    if not 0 < value < float("inf"):
        raise InputError(f"{option} must be above 0 and finite, got {text!r}")
    return value


_MILLISECONDS = {"": 1.0, "ms": 1.0, "us": 1e-3, "s": 1e3}
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def parse_bytes(text: str, option: str) -> int:
    """Parse a size such as `500MB` to bytes."""
    number = text.strip().upper().rstrip("KMGTB")
    unit = text.strip().upper()[len(number) :]
    try:
        size = float(number) * _UNITS[unit if unit in ("", "B") else unit.rstrip("B") + "B"]
    except (ValueError, KeyError):
        raise InputError(f"{option} takes a size such as 500MB or 2GB, got {text!r}") from None
    if not 1 <= size < 2**63:
        raise InputError(f"{option} must be at least 1 byte and below 2^63, got {text!r}")
    return int(size)


def parse_unit_bytes(text: str, option: str) -> int:
    """Parse a size that names its unit, such as `100KB` or `95568B`, to bytes."""
    if text.strip()[-1:].isdigit():
        raise InputError(f"{option} takes a size with its unit, such as 300KB or 95568B, got {text!r}")
    return parse_bytes(text, option)


def parse_kilobytes(text: str, option: str) -> float:
    """Parse a size such as `400KB` or `1.5MB` to kilobytes of 1000 bytes; a number alone is kilobytes."""
    try:
        return float(text)
    except ValueError:
        return parse_bytes(text, option) / 1000


def show_bytes(size: int) -> str:
    """Write `size` as `parse_bytes` reads it, in the largest unit that divides it."""
    unit = max((unit for unit, factor in _UNITS.items() if size % factor == 0), key=_UNITS.__getitem__)
    return f"{size // _UNITS[unit]}{unit}"
