"""Magnitude pruning (Zhu and Gupta, 2017, arXiv:1710.01878): small weights become zero in training."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from edgeclf.compression.step import Step, StepContext, read_percent
from edgeclf.compression.steps.fine_tuning import FineTuning
from edgeclf.errors import InputError, UnknownNameError
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.measure.formatting import percent
from edgeclf.records import Record

if TYPE_CHECKING:
    from edgeclf.compression.export.model_file_stats import ModelFileStats

PATTERNS = {"2:4": 0.5}
"""Structured sparsity: zeros among each four neighbours, and the fraction that this makes."""
TRAINING = FineTuning(learning_rate=1e-3)
RISING = 0.6
"""Fraction of the training during which sparsity rises; the rest lets the network recover."""
_LABEL = re.compile(r"prune(?:(?P<percent>\d+(?:\.\d+)?)|(?P<zeros>\d)of(?P<of>\d))")


@dataclass(frozen=True)
class Prune(Step, Record):
    """Make the smallest weights zero.

    Depthwise kernels and biases stay dense: they are few, and losing them costs much. Where there are depthwise kernels
    the others are pruned a little more, so that the fraction asked for is that of all weights.

    Args:
        fraction: of zeros among the weights, above 0 and below 1.
        pattern: `2:4` makes two of each four neighbouring weights zero, which is a fraction of 0.5.
        training: how the network recovers.

    Raises:
        InputError: the fraction is out of range, or does not go with the pattern.
    """

    fraction: float = 0.5
    pattern: str | None = None
    training: FineTuning = TRAINING

    kind: ClassVar[str] = "prune"
    target_steps: ClassVar[int] = 1800

    def __post_init__(self) -> None:
        self.check_types()
        if not 0 < self.fraction < 1:
            raise InputError(f"prune must be between 0 and 1 (the fraction of zeros) or 2:4, got {self.fraction:g}")
        if self.pattern is None:
            return
        if self.pattern not in PATTERNS:
            raise UnknownNameError("pruning pattern", self.pattern, PATTERNS)
        if self.fraction != PATTERNS[self.pattern]:
            raise InputError(
                f"the pattern {self.pattern} makes a fraction of {PATTERNS[self.pattern]:g} zeros, got "
                f"{self.fraction:g} beside it; leave one of the two out"
            )

    def count_networks(self, epochs: int) -> int:
        """Return the number of epochs whose weights may be kept."""
        return epochs - first_kept(epochs) + 1

    def label(self) -> str:
        """Return `prune50` or `prune2of4`."""
        return f"prune{100 * self.fraction:g}" if self.pattern is None else "prune" + self.pattern.replace(":", "of")

    @classmethod
    def parse(cls, part: str) -> Prune | None:
        """Return the step that `prune50` or `prune2of4` stands for."""
        found = _LABEL.fullmatch(part)
        if found is None:
            return None
        if found["percent"]:
            return cls(read_percent(part, cls.kind, found["percent"]))
        return cls(pattern=f"{found['zeros']}:{found['of']}")

    @classmethod
    def from_option(cls, value: Any) -> Prune:
        """Return the step that `0.5` or `2:4` stands for."""
        if isinstance(value, str) and ":" in value:
            return cls(pattern=value.strip())
        try:
            return cls(float(value))
        except (TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"prune must be a fraction of zeros such as 0.5, or 2:4, got {value!r}") from None

    def check(self, network: FloatNetwork) -> None:
        """Refuse a network that cannot be pruned so far."""
        from edgeclf.compression.steps.pruning import choose_layers

        choose_layers(network.model, self)

    def apply(self, network: FloatNetwork, context: StepContext) -> FloatNetwork:
        """Return a sparse copy; its masks are among the invariants."""
        from edgeclf.compression.steps.pruning import prune

        return prune(network, self, context)

    def remarks(self, stats: ModelFileStats, sizes: str) -> tuple[str, ...]:
        """Return where the file has fewer zeros than asked for, and its sizes."""
        found = []
        if self.pattern is None and (stats.sparsity or 0.0) < self.fraction:
            found.append(
                f"asked for {percent(self.fraction, 1)} zeros, but the file has {percent(stats.sparsity or 0)}"
            )
        if self.pattern is not None and stats.groups_off_pattern:
            found.append(
                f"asked for {self.pattern}, but {stats.groups_off_pattern:,} of {stats.groups:,} groups of four input "
                "channels have fewer than two zeros in the file"
            )
        if stats.sparsity is not None:
            found.append(
                f"{percent(stats.sparsity, 1)} zeros are stored like all other weights, so the file itself gets no "
                f"smaller ({sizes})"
            )
        return tuple(found)


def first_kept(epochs: int) -> int:
    """Return the epoch behind the one in which sparsity stops rising: before it no weights have the zeros asked for."""
    return min(epochs, math.ceil(RISING * epochs) + 1)
