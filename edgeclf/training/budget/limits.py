"""What a board can carry: a heuristic, until a board was measured."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

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
        """Describe each limit that a candidate breaks, such as `3.4 MB of at most 1 MB`."""
        found = []
        if self.macs is not None and candidate.macs > self.macs:
            found.append(f"{number(candidate.macs)} MACs of at most {number(self.macs)}")
        if self.size_bytes is not None and candidate.size_bytes > self.size_bytes:
            found.append(f"{size(candidate.size_bytes)} of at most {size(self.size_bytes)}")
        if self.ram_bytes is not None and candidate.activation_bytes > self.ram_bytes:
            found.append(f"{size(candidate.activation_bytes)} of RAM of at most {size(self.ram_bytes)}")
        if self.latency_ms is not None and candidate.latency_ms is not None and candidate.latency_ms > self.latency_ms:
            found.append(f"{milliseconds(candidate.latency_ms)} of at most {milliseconds(self.latency_ms)}")
        return tuple(found)

    def excess(self, candidate: Costs) -> float:
        """Return by which factor a candidate breaks the limit that it breaks most; at most 1: it breaks none."""
        pairs = (
            (candidate.macs, self.macs),
            (candidate.size_bytes, self.size_bytes),
            (candidate.activation_bytes, self.ram_bytes),
            (candidate.latency_ms, self.latency_ms),
        )
        return max((cost / limit for cost, limit in pairs if limit and cost is not None), default=0.0)

    @property
    def text(self) -> str:
        """All limits in words."""
        parts = [
            *([f"{number(self.macs)} MACs"] if self.macs is not None else []),
            *([size(self.size_bytes)] if self.size_bytes is not None else []),
            *([f"{size(self.ram_bytes)} of RAM"] if self.ram_bytes is not None else []),
            *([milliseconds(self.latency_ms)] if self.latency_ms is not None else []),
        ]
        return ", ".join(parts) or "no limit"


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

