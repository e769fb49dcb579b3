"""What a board can carry: a heuristic, until a board was measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from edgeclf.errors import UnknownNameError
from edgeclf.measure.formatting import milliseconds, number, size
from edgeclf.records import Record

HEURISTIC = "budgets of boards are a heuristic; edgeclf bench on the board measures"


class Costs(Protocol):
    """What is compared with limits: see `candidates.Candidate`."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""

    @property
    def size_bytes(self) -> int:
        """Of the int8 file."""

    @property
    def activation_bytes(self) -> int:
        """Of the int8 tensors that are alive at the same time, at most."""

    @property
    def latency_ms(self) -> float | None:
        """Of one inference on one thread; None: not measured."""


@dataclass(frozen=True)
class Limits(Record):
    """The most that a candidate may cost; None: no limit.

    Attributes:
        macs: multiply-accumulates of one inference.
        size_bytes: of the int8 file.
        ram_bytes: of the int8 tensors that are alive at the same time.
        latency_ms: of one inference, on one thread.
    """

    macs: int | None = None
    size_bytes: int | None = None
    ram_bytes: int | None = None
    latency_ms: float | None = None

    def broken_by(self, candidate: Costs) -> tuple[str, ...]:
        """List the limits that a candidate breaks, by the names of the fields here."""
        costs = _costs(candidate)
        return tuple(name for name, limit in self._set() if (costs[name] or 0) > limit)

    def describe(self, candidate: Costs) -> str:
        """Describe each limit that a candidate breaks, such as `3.40 MB of at most 1.00 MB`."""
        costs, limits = _costs(candidate), dict(self._set())
        return " and ".join(
            f"{_WRITTEN[name](costs[name])} of at most {_WRITTEN[name](limits[name])}"
            for name in self.broken_by(candidate)
        )

    def excess(self, candidate: Costs) -> float:
        """Return by which factor a candidate breaks the limit that it breaks most; at most 1: it breaks none."""
        costs = _costs(candidate)
        return max(((costs[name] or 0) / limit for name, limit in self._set()), default=0.0)

    @property
    def text(self) -> str:
        """All limits in words."""
        return ", ".join(_WRITTEN[name](limit) for name, limit in self._set()) or "no limit"

    def _set(self) -> list[tuple[str, float]]:
        pairs = ((name, getattr(self, name)) for name in _WRITTEN)
        return [(name, limit) for name, limit in pairs if limit is not None]


def _costs(candidate: Costs) -> dict[str, float | None]:
    return {
        "macs": candidate.macs,
        "size_bytes": candidate.size_bytes,
        "ram_bytes": candidate.activation_bytes,
        "latency_ms": candidate.latency_ms,
    }


_WRITTEN: Mapping[str, Callable[[Any], str]] = MappingProxyType(
    {
        "macs": lambda count: f"{number(int(count))} MACs",
        "size_bytes": lambda count: size(int(count)),
        "ram_bytes": lambda count: f"{size(int(count))} of RAM",
        "latency_ms": milliseconds,
    }
)
BOARDS = MappingProxyType(
    {
        "pi5": Limits(600_000_000, 16_000_000),
        "pi4": Limits(200_000_000, 5_000_000),
        "zero2": Limits(60_000_000, 1_000_000),
        "mcu": Limits(15_000_000, 320_000, 256_000),
    }
)
"""Raspberry Pi 5, 4 and Zero 2 W, and a microcontroller. Nothing here was measured: see `HEURISTIC`."""
DEFAULT_BOARD = "pi4"
"""Whose budget photos get where nothing was asked for."""
LARGEST_BOARD = "pi5"
"""Whose limits hold where only others were asked for: a network beyond them trains for hours on a processor."""
LARGEST_SIDES = MappingProxyType({"pi5": 224})
LARGEST_SIDE = 160
"""Pixels that a side is chosen up to, unless the board has more, since training takes as long as there are pixels."""


def find_limits(board: str | None, max_latency: float | None, max_size: float | None) -> Limits:
    """Return the limits of a request; what is named by number holds beside those of the board.

    Args:
        board: a key of `BOARDS`; None: `LARGEST_BOARD`.
        max_latency: milliseconds.
        max_size: kilobytes, of 1000 bytes.

    Raises:
        UnknownNameError: there is no such board.
    """
    limits = find_board(board or LARGEST_BOARD)
    sizes = [bound for bound in (limits.size_bytes, None if max_size is None else int(max_size * 1000)) if bound]
    return dataclasses.replace(limits, size_bytes=min(sizes), latency_ms=max_latency)


def find_board(name: str) -> Limits:
    """Return the limits of a board.

    Raises:
        UnknownNameError: there is no such board.
    """
    if name not in BOARDS:
        raise UnknownNameError("board", name, BOARDS)
    return BOARDS[name]
