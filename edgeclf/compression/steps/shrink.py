"""Structured channel pruning: whole filters go, with all that belongs to them, and an ordinary smaller network stays.

Which channels belong together follows Fang et al., 2023 (arXiv:2301.12900), see `edgeclf.graph.channels`; which of them
go, a criterion (`criteria`); channels go in several rounds with training between them, as in Molchanov et al., 2017
(arXiv:1611.06440, section 2).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, ClassVar

from edgeclf.compression.export.model_file_stats import ModelFileStats
from edgeclf.compression.step import Step, StepContext, read_percent
from edgeclf.compression.steps.criteria import find_criterion
from edgeclf.compression.steps.fine_tuning import FineTuning
from edgeclf.errors import InputError
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.records import Record
from edgeclf.training.budget.limits import BOARDS, find_board

TRAINING = FineTuning(learning_rate=1e-3)
DEFAULT_FRACTION = 0.5
SMALLEST = 1000
"""Bytes of a file that can be asked for; a model has more, whatever is removed."""
_NUMBER = r"\d+(?:\.\d+)?"
_LABEL = re.compile(
    rf"shrink(?:(?P<percent>{_NUMBER})|(?P<ms>{_NUMBER})ms|to(?P<macs>\d+)(?:and(?P<also>{_NUMBER})kb)?"
    rf"|to(?P<kb>{_NUMBER})kb|to(?P<board>{'|'.join(BOARDS)}))"
)


@dataclass(frozen=True)
class Shrink(Step, Record):
    """Remove whole channels until a goal is reached: a fraction of the work, a number of MACs, a file size, or a time.

    Args:
        fraction: of the multiply-accumulates that go, above 0 and below 1: 0.5 removes half of them, 0.75 leaves a
            quarter.
        target_macs: multiply-accumulates for one image that may stay, instead of `fraction`.
        target_latency: milliseconds that the median prediction of the int8 model may take on this machine with one
            thread, instead of `fraction`; it is measured while channels are chosen.
        target_size: bytes that the file of the int8 model may have, instead of `fraction`, or beside `target_macs`;
            candidates are exported while channels are chosen.
        board: whose limits of multiply-accumulates, file size and memory are the goals, as far as the network exceeds
            them (a heuristic, see `edgeclf.training.budget.limits`).
        criterion: how channels are scored: `taylor`, `l1` or `batch-norm` (see `criteria`).
        iterations: rounds in which channels go; each is followed by training, so that few epochs have fewer rounds.
        multiple: of channels that a layer keeps; 1: any number. Layers that have another number, and lose nothing,
            keep it. Its default is what int8 kernels were measured to like on one x86 processor with AVX-512
            (`tools/benchmarks/channel_multiples.py` measures others).
        minimum: the fewest channels that a layer keeps, whether that is a multiple or not.
        training: how the network recovers; `epochs` counts all rounds together, and the last one gets half of them.

    Raises:
        InputError: a value is out of range, or two goals are given.
        UnknownNameError: there is no such criterion, or no such board.
    """

    fraction: float = DEFAULT_FRACTION
    target_macs: int | None = None
    target_latency: float | None = None
    target_size: int | None = None
    board: str | None = None
    criterion: str = "taylor"
    iterations: int = 3
    multiple: int = 16
    minimum: int = 8
    training: FineTuning = TRAINING

    kind: ClassVar[str] = "shrink"
    target_steps: ClassVar[int] = 6000
    before: ClassVar[frozenset[str]] = frozenset({"prune", "cluster", "qat"})

    def __post_init__(self) -> None:
        self.check_types()
        if not 0 < self.fraction < 1:
            raise InputError(
                "shrink must be between 0 and 1 (the fraction of multiply-accumulates that go), got "
                f"{self.fraction:g}; name what may stay with --target-macs"
            )
        if self.board is not None:
            find_board(self.board)
        counted = self.target_macs is not None or self.target_size is not None
        others = self.target_latency is not None, self.board is not None
        if sum([self.fraction != DEFAULT_FRACTION, counted, *others]) > 1:
            raise InputError(
                "shrink takes one goal: a fraction, target_latency, a board, or target_macs and target_size; leave out "
                "the rest"
            )
        if self.target_macs is not None and self.target_macs < 1:
            raise InputError(f"target_macs must be at least 1 multiply-accumulate, got {self.target_macs}")
        if self.target_latency is not None and not 0.001 <= self.target_latency <= 1e6:
            raise InputError(f"target_latency must be 0.001 milliseconds or more, got {self.target_latency:g}")
        if self.target_size is not None and self.target_size < SMALLEST:
            raise InputError(f"target_size must be at least {SMALLEST:,} bytes, got {self.target_size:,}")
        for name in ("iterations", "multiple", "minimum"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} of shrink must be at least 1, got {getattr(self, name)}")
        find_criterion(self.criterion)

    @property
    def most_macs(self) -> int | None:
        """Multiply-accumulates that may stay, by number or by the board; None: no such goal."""
        return self.target_macs if self.board is None else find_board(self.board).macs

    @property
    def most_bytes(self) -> int | None:
        """Bytes that the file of the int8 model may have, by number or by the board; None: no such goal."""
        return self.target_size if self.board is None else find_board(self.board).size_bytes

    @property
    def most_ram(self) -> int | None:
        """Bytes of the tensors that are alive at the same time in the int8 model, by the board; None: no such goal."""
        return None if self.board is None else find_board(self.board).ram_bytes

    def count_rounds(self, epochs: int) -> int:
        """Return the rounds in which channels go: fewer than `iterations` where one would have no epoch of training."""
        return self.iterations if epochs == 0 else max(1, min(self.iterations, 1 + epochs // 2))

    @property
    def options(self) -> str:
        """The options of the command that stand for the goal."""
        if self.board is not None:
            return "--for"
        named = {
            "--target-macs": self.target_macs,
            "--target-size": self.target_size,
            "--target-latency": self.target_latency,
        }
        return " and ".join(name for name, value in named.items() if value is not None) or "--shrink"

    def most_fraction(self, network: FloatNetwork) -> float:
        """Return the largest fraction that can go from a network, in whole hundredths.

        Raises:
            InputError: nothing can be removed.
        """
        from edgeclf.compression.steps.shrinking import count_least_macs, trace_shrinkable

        graph = trace_shrinkable(
            network.model,
            replace(self, fraction=0.01, target_macs=None, target_latency=None, target_size=None, board=None),
        )
        return math.floor(100 * (1 - count_least_macs(graph, self) / graph.macs())) / 100

    def count_networks(self, epochs: int) -> int:
        """Return as many as the epochs of all rounds, and the state before each round."""
        return epochs + self.count_rounds(epochs)

    def label(self) -> str:
        """Return `shrink50`, `shrinkto6200000and100kb`, `shrinkto100kb`, `shrink2.5ms` or `shrinktopi4`."""
        if self.board is not None:
            return f"shrinkto{self.board}"
        kilobytes = None if self.target_size is None else f"{Decimal(self.target_size) / 1000:f}kb"
        if self.target_macs is not None:
            return f"shrinkto{self.target_macs}" + (f"and{kilobytes}" if kilobytes else "")
        if kilobytes:
            return f"shrinkto{kilobytes}"
        return f"shrink{100 * self.fraction:g}" if self.target_latency is None else f"shrink{self.target_latency:g}ms"

    @classmethod
    def parse(cls, part: str) -> Shrink | None:
        """Return the step that a part of a recipe's name stands for."""
        found = _LABEL.fullmatch(part)
        if found is None:
            if part.startswith("shrinkto"):
                boards = ", ".join(f"shrinkto{board}" for board in BOARDS)
                raise InputError(
                    f"{part}: expected shrinkto and multiply-accumulates, a size, both or a board: shrinkto6200000, "
                    f"shrinkto100kb, shrinkto6200000and100kb, {boards}"
                )
            return None
        if found["percent"]:
            return cls(read_percent(part, cls.kind, found["percent"]))
        if found["board"]:
            return cls(board=found["board"])
        if found["ms"]:
            return cls(target_latency=float(found["ms"]))
        kilobytes = found["kb"] or found["also"]
        return cls(
            target_macs=int(found["macs"]) if found["macs"] else None,
            target_size=int(1000 * Decimal(kilobytes)) if kilobytes else None,
        )

    @classmethod
    def from_option(cls, value: Any) -> Shrink:
        """Return the step that `0.5` stands for; a step stands for itself."""
        if isinstance(value, cls):
            return value
        try:
            return cls(float(value))
        except (TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"shrink must be the fraction of multiply-accumulates that go, such as 0.5, got {value!r}"
            ) from None

    def check(self, network: FloatNetwork) -> None:
        """Refuse a network that has no channels to remove, or not enough of them; size and time are for `apply`."""
        from edgeclf.compression.steps.shrinking import trace_shrinkable
        from edgeclf.graph.trace_channels import trace_channels

        if self.board is None or trace_channels(network.model).macs() > (self.most_macs or 0):
            trace_shrinkable(network.model, self)

    def remarks(self, stats: ModelFileStats, sizes: str) -> tuple[str, ...]:
        """Return that the file is larger than asked for, as one of another format than int8 is."""
        most = self.most_bytes
        if most is None or stats.size_bytes <= most or self.board is not None:  # which is compared as a whole
            return ()
        return (f"larger than the {most:,} bytes asked for, which are counted for plain int8: {sizes}",)

    def apply(self, network: FloatNetwork, context: StepContext) -> FloatNetwork:
        """Return a smaller copy."""
        from edgeclf.compression.steps.shrinking import shrink

        return shrink(network, self, context)


def choose_shrink(
    fraction: float | str | None = None,
    target_macs: int | None = None,
    target_latency: float | None = None,
    target_size: int | None = None,
    board: str | None = None,
) -> Shrink | None:
    """Return the step that the options stand for: one of them, or multiply-accumulates and a size; None: none is given.

    Raises:
        InputError: a value does not fit, or two are given that do not go together.
    """
    given = {
        "--shrink": fraction,
        "--target-macs": target_macs,
        "--target-latency": target_latency,
        "--target-size": target_size,
        "--for": board,
    }
    named = [name for name, value in given.items() if value is not None]
    if not named:
        return None
    if len(named) > 1 and named != ["--target-macs", "--target-size"]:
        raise InputError(
            f"{' and '.join(named)} are goals of the same step; give one of them, or --target-macs and --target-size"
        )
    if fraction is not None:
        return Shrink.from_option(fraction)
    return Shrink(target_macs=target_macs, target_latency=target_latency, target_size=target_size, board=board)
