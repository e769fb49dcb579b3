"""Conditions under which a measurement counts as failed, such as `drop>1.0`, `top1.lower<85 %` or `latency>5ms`.

    CONDITION = [MODEL ":"] QUANTITY ["." END] COMPARISON NUMBER [UNIT]
    COMPARISON = ">" | "<" | ">=" | "<="

The grammar is closed: a quantity, an end or a unit that is not in `QUANTITIES` and `UNITS` is refused.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from edgeclf.aliases import find_nearest
from edgeclf.errors import InputError
from edgeclf.records import Record

OPTION = "--fail-if"
ENDS = ("upper", "lower")
LONGEST = 300
"""Characters of a condition."""

COMPARISONS: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
)
UNITS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "points": {"": 0.01, "points": 0.01, "pp": 0.01},
        "percent": {"": 0.01, "%": 0.01},
        "time": {"": 1.0, "ms": 1.0, "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "s": 1e3},
        "bytes": {"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2**10, "mib": 2**20, "gib": 2**30},
        "count": {"": 1, "k": 1e3, "m": 1e6, "g": 1e9},
    }
)
"""What a number is multiplied by, by kind of quantity and unit in small letters; the empty unit is the default one."""
_SHOWN_UNITS = MappingProxyType(
    {
        "points": "points (or pp)",
        "percent": "%",
        "time": "µs (or us), ms (the default), s",
        "bytes": "B (the default), kB, MB, GB, KiB, MiB, GiB",
        "count": "k, M, G, or none",
    }
)
_TEXT = re.compile(
    r"(?:(?P<model>.*\S)\s*:)?\s*(?P<quantity>[A-Za-z][A-Za-z0-9_-]*)(?:\.(?P<end>[A-Za-z]+))?\s*"
    r"(?P<comparison>>=|<=|>|<)\s*(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(?P<unit>[^\s\d.]*)",
    re.ASCII,
)


@dataclass(frozen=True)
class Quantity:
    """What a condition may be about.

    Attributes:
        kind: of its units, a key of `UNITS`.
        meaning: in words.
        needs_data: it is there only where labelled images were predicted.
        needs_baseline: it is there only where a float baseline predicted them too.
        has_ends: it has a 95 % interval, whose ends can be asked for; those of classes hold for all of them at once.
        at_threads: it is measured at each thread count.
    """

    kind: str
    meaning: str
    needs_data: bool = False
    needs_baseline: bool = False
    has_ends: bool = False
    at_threads: bool = False


QUANTITIES: Mapping[str, Quantity] = MappingProxyType(
    {
        "drop": Quantity("points", "top-1 lost against the baseline", True, True, True),
        "class_drop": Quantity("points", "top-1 lost by the class that loses most", True, True, True),
        "flipped": Quantity("percent", "images whose predicted label is not the baseline's", True, True),
        "top1": Quantity("percent", "top-1", True, has_ends=True),
        "class_top1": Quantity("percent", "top-1 of the class that has the lowest", True),
        "latency": Quantity("time", "median latency of one image", at_threads=True),
        "p90": Quantity("time", "90th percentile of the latency", at_threads=True),
        "p99": Quantity("time", "99th percentile of the latency", at_threads=True),
        "load": Quantity("time", "time for opening the model", at_threads=True),
        "size": Quantity("bytes", "size of the file"),
        "gzip": Quantity("bytes", "size of the file when compressed by gzip"),
        "memory": Quantity("bytes", "peak memory of a process that runs the model", at_threads=True),
        "parameters": Quantity("count", "numbers in the network"),
        "macs": Quantity("count", "multiply-accumulates of one image"),
    }
)
"""By name. Losses are positive: `drop` is baseline minus model."""


@dataclass(frozen=True)
class Condition:
    """A condition, parsed.

    Attributes:
        text: as given.
        model: name of the one model that it is about; None: all.
        quantity: a key of `QUANTITIES`.
        end: `upper` or `lower` end of the quantity's 95 % interval; None: the quantity itself.
        comparison: a key of `COMPARISONS`.
        limit: a fraction, milliseconds, bytes or a count.
    """

    text: str
    model: str | None
    quantity: str
    end: str | None
    comparison: str
    limit: float

    def is_met(self, value: float) -> bool:
        """Return whether `value`, in units of `limit`, fulfils the condition, so that the measurement has failed."""
        # 100 * 0.029 is 2.9000000000000004: rounding must not decide
        return COMPARISONS[self.comparison](_rounded(value), _rounded(self.limit))


@dataclass(frozen=True)
class ConditionResult(Record):
    """A condition held against one model.

    Attributes:
        condition: as given.
        model: name of the model in the report.
        threads: at which it was timed; None: the quantity does not depend on it.
        value: that was measured: a fraction, milliseconds, bytes or a count; a loss is positive.
        limit: in the same unit.
        label: the class that it is about; None: all.
        failed: whether the condition is met, so that the measurement counts as failed.
    """

    condition: str
    model: str
    threads: int | None
    value: float
    limit: float
    label: str | None
    failed: bool


def parse_condition(text: str) -> Condition:
    """Parse a condition.

    Raises:
        InputError: it is none; the message lists what is allowed.
    """
    if not isinstance(text, str):
        raise InputError(f"{OPTION} takes a text such as 'drop>1.0', got {type(text).__name__}")
    shown = f"{OPTION} {text[:LONGEST].strip()!r}"
    found = _TEXT.fullmatch(text.strip()) if len(text) <= LONGEST else None
    if found is None:
        raise InputError(
            f"{shown}: expected [MODEL:]QUANTITY, one of > < >= <=, a number, perhaps a unit, such as 'drop>1.0' or "
            f"'latency>5ms' (in quotation marks, or the shell takes > for a redirection); quantities: {_list_known()}"
        )
    name = found["quantity"].lower().replace("-", "_")
    if name not in QUANTITIES:
        near = find_nearest("quantity", name, QUANTITIES)
        hint = f"did you mean {near!r}? " if near else ""
        raise InputError(f"{shown}: unknown quantity {found['quantity']!r}; {hint}known: {_list_known()}")
    quantity, end = QUANTITIES[name], found["end"] and found["end"].lower()
    if end is not None and not (quantity.has_ends and end in ENDS):
        known = ", ".join(f"{key}.{each}" for key, one in QUANTITIES.items() if one.has_ends for each in ENDS)
        raise InputError(f"{shown}: unknown end {found['end']!r} of {name}; known: {known}")
    limit = _convert(found["number"], found["unit"], name, shown)
    return Condition(text.strip(), found["model"], name, end, found["comparison"], limit)


def parse_conditions(texts: Sequence[str]) -> tuple[Condition, ...]:
    """Parse conditions, each once.

    Raises:
        InputError: one is none.
    """
    return tuple(dict.fromkeys(map(parse_condition, texts)))


def _convert(number: str, unit: str, name: str, shown: str) -> float:
    """Return a number with its unit as a fraction, milliseconds, bytes or a count."""
    kind = QUANTITIES[name].kind
    factor = UNITS[kind].get(unit.lower())
    if factor is None:
        raise InputError(f"{shown}: unknown unit {unit!r} of {name}; known: {_SHOWN_UNITS[kind]}")
    if kind == "percent" and not unit and 0 < abs(float(number)) <= 1:
        raise InputError(
            f"{shown}: {name} is in percent, and {number} could be a fraction; expected {100 * float(number):g}, or "
            f"{number}% where that is meant"
        )
    limit = float(number) * factor
    if not math.isfinite(limit):
        raise InputError(f"{shown}: {number} is too large")
    return limit


def write_value(quantity: str, value: float) -> str:
    """Write a value of a quantity with its unit: `1.42 points`, `5.13 ms`, `97,993 B`."""
    kind = QUANTITIES[quantity].kind
    if kind == "points":
        text = f"{100 * value:.4g} points"
    elif kind == "percent":
        text = f"{100 * value:.4g} %"
    elif kind == "time":
        text = f"{value:.4g} ms" if value >= 1 else f"{1000 * value:.4g} µs"
    else:
        text = f"{value:,.0f} B" if kind == "bytes" else f"{value:,.0f}"
    return text.replace("-", "−")


def describe_result(result: ConditionResult) -> str:
    """Describe a condition that is met: `drop>1.0: photos-int8: 1.42 points`."""
    quantity = parse_condition(result.condition).quantity
    at = "" if result.threads is None else f" at {result.threads} {'thread' if result.threads == 1 else 'threads'}"
    label = "" if result.label is None else f" ({result.label})"
    return f"{result.condition}: {result.model}{at}: {write_value(quantity, result.value)}{label}"


def _list_known() -> str:
    return ", ".join(f"{name}[.upper|.lower]" if one.has_ends else name for name, one in QUANTITIES.items())


def _rounded(value: float) -> float:
    return float(f"{value:.12g}")
