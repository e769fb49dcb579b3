"""Weight clustering: each weight tensor keeps a few distinct values, which gzip makes small."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from edgeclf.compression.step import Step, StepContext
from edgeclf.compression.steps.fine_tuning import FineTuning
from edgeclf.errors import InputError
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.records import Record

if TYPE_CHECKING:
    from edgeclf.compression.export.model_file_stats import ModelFileStats
    from edgeclf.compression.exporter import Exporter

TRAINING = FineTuning(learning_rate=2e-4)


@dataclass(frozen=True)
class Cluster(Step, Record):
    """Leave each weight tensor a few distinct values; zeros that a step before made stay zeros.

    Args:
        clusters: number of distinct values in a weight tensor, 3 to 256.
        training: how the network recovers.

    Raises:
        InputError: the number is out of range.
    """

    clusters: int = 16
    training: FineTuning = TRAINING

    kind: ClassVar[str] = "cluster"
    target_steps: ClassVar[int] = 600
    after: ClassVar[frozenset[str]] = frozenset({"prune"})
    decides: ClassVar[frozenset[str]] = frozenset({"rounding"})

    def __post_init__(self) -> None:
        self.check_types()
        if not 3 <= self.clusters <= 256:
            raise InputError(f"cluster must be 3 to 256 distinct weights, got {self.clusters}")

    def label(self) -> str:
        """Return `cluster16`."""
        return f"cluster{self.clusters}"

    @classmethod
    def parse(cls, part: str) -> Cluster | None:
        """Return the step that `cluster16` stands for."""
        found = re.fullmatch(r"cluster(\d+)", part)
        return None if found is None else cls(int(found[1]))

    @classmethod
    def from_option(cls, value: Any) -> Cluster:
        """Return the step that `16` stands for."""
        try:
            number = int(value)
        except (TypeError, ValueError, OverflowError):
            number = None
        if number is None or isinstance(value, bool) or number != float(value):
            raise InputError(f"cluster must be a whole number of distinct weights such as 16, got {value!r}")
        return cls(number)

    def check_export(self, export: Exporter) -> None:
        """Refuse a setting that gives each channel a factor of its own, by which equal weights become different."""
        if getattr(export, "equalization", False):
            raise InputError(
                "equalization multiplies channels by factors of their own, which makes clustered weights different; "
                "leave equalization out, or --cluster"
            )

    def check(self, network: FloatNetwork) -> None:
        """Refuse a network in which there is nothing to cluster."""
        from edgeclf.compression.steps.clustering import choose_layers

        choose_layers(network.model, self.clusters)

    def apply(self, network: FloatNetwork, context: StepContext) -> FloatNetwork:
        """Return a copy with `clusters` distinct values in each weight tensor."""
        from edgeclf.compression.steps.clustering import cluster

        return cluster(network, self, context)

    def remarks(self, stats: ModelFileStats, sizes: str) -> tuple[str, ...]:
        """Return where the file has more distinct weights than asked for, and its sizes."""
        most = stats.distinct_weights_per_channel_max or 0
        found = []
        if most > self.clusters:
            found.append(
                f"asked for {self.clusters} distinct weights, but the file has up to {most} in one output channel"
            )
        found.append(
            f"at most {stats.distinct_weights_per_channel_max} distinct weights an output channel (batch norm scales "
            f"each apart) are stored like any weights, so the file itself gets no smaller ({sizes})"
        )
        return tuple(found)
