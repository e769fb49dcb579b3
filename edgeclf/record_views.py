"""Shows records in a line, and in a notebook as a table: short whatever they hold, and harmless."""

from __future__ import annotations

import dataclasses
import html
import itertools
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from edgeclf.printable import printable

LONGEST_LINE = 1_000
"""Characters of a record in a line."""
LONGEST_PAGE = 50_000
"""Characters of a record in a notebook."""
_LONGEST_TEXT, _LONGEST_CELL = 60, 200
_ITEMS, _ROWS, _COLUMNS, _DEPTH = 3, 12, 8, 3
_MORE = "…"


def show_in_line(record: Any) -> str:
    """Write a record as Python would, with what is long cut short: `Report(models=(Model(…), … 7 more), notes=())`."""
    return _shorten(_Line().repr(record), LONGEST_LINE)


def show_as_table(record: Any) -> str:
    """Write a record as an HTML table with a row a field; records inside become tables with a row each.

    Every text is escaped. Long texts and lists are cut, with the number of missing entries; fields beyond 50,000
    characters are left empty.
    """
    parts = [f"<table><caption>{_escape(type(record).__name__)}</caption>"]
    room = LONGEST_PAGE - 100 * len(dataclasses.fields(record))
    for field in dataclasses.fields(record):
        value = _value(getattr(record, field.name))
        room -= len(value)
        parts.append(f"<tr><th>{_escape(field.name)}</th><td>{value if room >= 0 else _MORE}</td></tr>")
    return "".join([*parts, "</table>"])


class _Line(reprlib.Repr):
    """Python's shortened `repr`, which knows dataclasses, and says how much of a list is missing."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = _DEPTH, _LONGEST_TEXT, _LONGEST_TEXT
        self.maxlong = _LONGEST_TEXT

    def repr1(self, x: Any, level: int) -> str:
        """Write a value."""
        if dataclasses.is_dataclass(x) and not isinstance(x, type):
            return self._dataclass(x, level)
        if isinstance(x, Mapping):
            entries = (f"{self.repr1(key, level - 1)}: {self.repr1(x[key], level - 1)}" for key in x)
            return "{" + _join(entries, len(x), level) + "}"
        if isinstance(x, (tuple, list)):
            inner = _join((self.repr1(item, level - 1) for item in x), len(x), level)
            opening, closing = "[]" if isinstance(x, list) else "()"
            return opening + inner + ("," if closing == ")" and len(x) == 1 else "") + closing
        return super().repr1(x, level)

    def _dataclass(self, x: Any, level: int) -> str:
        name = type(x).__qualname__
        if level <= 0:
            return f"{name}({_MORE})"
        shown = [f for f in dataclasses.fields(x) if f.repr]
        return f"{name}({', '.join(f'{f.name}={self.repr1(getattr(x, f.name), level - 1)}' for f in shown)})"


def _join(items: Iterator[str], count: int, level: int) -> str:
    if level <= 0 and count:
        return f"{_MORE} {count}"
    first = itertools.islice(items, _ITEMS)
    return ", ".join([*first, *([f"{_MORE} {count - _ITEMS} more"] if count > _ITEMS else [])])


def _value(value: Any) -> str:
    if dataclasses.is_dataclass(value):
        return _table([("", value)])
    if isinstance(value, Mapping) and value and all(map(dataclasses.is_dataclass, value.values())):
        return _table(list(value.items()))
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) and value:
        if all(map(dataclasses.is_dataclass, value)):
            return _table([("", item) for item in value])
        if all(isinstance(item, str) for item in value):
            return "<br>".join(_limited([_cell(item) for item in value[: _ROWS + 1]], len(value)))
    return _cell(value)


def _table(rows: Sequence[tuple[object, Any]]) -> str:
    """Write records, each with a key or none, as a table; a column a field of the first one."""
    fields = [field.name for field in dataclasses.fields(rows[0][1])]
    named, columns = any(key for key, _ in rows), fields[:_COLUMNS]
    head = [*([""] if named else []), *columns, *([_MORE] if len(fields) > _COLUMNS else [])]
    lines = ["<tr>" + "".join(f"<th>{_escape(name)}</th>" for name in head) + "</tr>"]
    for key, record in rows[:_ROWS]:
        cells = [*([_cell(key)] if named else []), *(_cell(getattr(record, name, "")) for name in columns)]
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    if len(rows) > _ROWS:
        lines.append(f'<tr><td colspan="{len(head)}">{_MORE} {len(rows) - _ROWS:,} more</td></tr>')
    return f"<table>{''.join(lines)}</table>"


def _limited(items: Iterable[str], count: int) -> list[str]:
    shown = list(items)[:_ROWS]
    return [*shown, f"{_MORE} {count - _ROWS:,} more"] if count > _ROWS else shown


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return _escape(_shorten(value if isinstance(value, str) else "" if value is None else _Line().repr(value)))


def _shorten(text: str, most: int = _LONGEST_CELL) -> str:
    return text if len(text) <= most else text[: most - 1] + _MORE


def _escape(text: str) -> str:
    return html.escape(printable(text))
