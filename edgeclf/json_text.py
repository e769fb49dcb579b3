"""JSON, written so that it loses nothing and harms no terminal, and read with bounds.

A file name that is not UTF-8 is kept by Python with lone surrogates. They are written as escapes (`"\\udcff"`), as is
every character that is not printable; a reader gets back the very same text, and in Python `os.fsencode` the very same
bytes. All other characters are written as they are, in UTF-8.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from edgeclf.errors import InputError
from edgeclf.printable import is_printable

LARGEST = 1 << 26
"""Bytes of a JSON file that is read; the largest of edgeclf's own, a report on many models, has less than a tenth."""
DEEPEST = 64
"""Lists and objects inside of each other."""


def write_json(document: Any, *, indent: int | None = None, sort_keys: bool = False) -> str:
    """Write one JSON document, on one line unless `indent` is given.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    text = json.dumps(document, indent=indent, sort_keys=sort_keys, ensure_ascii=False, allow_nan=False)
    if text.isprintable():
        return text
    # JSON itself escapes what lies below the space; line breaks here are those of `indent`.
    return "\n".join(line if line.isprintable() else _escape(line) for line in text.split("\n"))


def parse_json(text: str | bytes, name: str) -> Any:
    """Parse one JSON document from a file.

    Args:
        text: the content.
        name: what messages call it.

    Raises:
        InputError: it is no JSON, too large, nested too deeply, or has a number that is NaN or infinite.
    """
    if len(text) > LARGEST:
        raise InputError(f"{name} cannot be read: expected at most {LARGEST} bytes of JSON, got {len(text)}")
    try:
        values = json.loads(text, parse_constant=_refuse_constant, parse_float=_parse_float)
    except RecursionError:
        raise InputError(f"{name} cannot be read: the JSON is nested too deeply") from None
    except ValueError as error:
        raise InputError(f"{name} cannot be read: not JSON ({error})") from error
    _check_depth(values, name)
    return values


def read_json(path: Path) -> Any:
    """Read a JSON file in UTF-8.

    Raises:
        OSError: it cannot be read.
        InputError: as `parse_json`.
    """
    with path.open("rb") as stream:
        return parse_json(stream.read(LARGEST + 1), f"{path}:")


def _escape(line: str) -> str:
    return "".join(c if is_printable(c) else json.dumps(c)[1:-1] for c in line)


def _check_depth(values: Any, name: str) -> None:
    """Raise InputError where `values` is nested more deeply than what walks through it can follow."""
    level = [values]
    for _ in range(DEEPEST):
        level = [
            inner
            for value in level
            if isinstance(value, (dict, list))
            for inner in (value.values() if isinstance(value, Mapping) else value)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return
    raise InputError(f"{name} cannot be read: the JSON is nested more than {DEEPEST} deep")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _parse_float(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{digits} is too large")
    return value
