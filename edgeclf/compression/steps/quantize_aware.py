"""Quantization-aware training (Jacob et al., 2018, arXiv:1712.05877), alone or on a pruned or clustered network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from edgeclf.compression.exporter import known_exporters
from edgeclf.compression.step import Step, StepContext
from edgeclf.compression.steps.fine_tuning import FineTuning
from edgeclf.errors import InputError
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.records import Record

if TYPE_CHECKING:
    from edgeclf.compression.exporter import Exporter

TRAINING = FineTuning(learning_rate=2e-4)
OBSERVED_BATCH = 64
"""Calibration images of usual size that ranges start from together."""


@dataclass(frozen=True)
class QuantizeAware(Step, Record):
    """Train with rounding in the loop; the zeros and clusters of steps before are preserved.

    Args:
        training: how.
    """

    training: FineTuning = TRAINING

    kind: ClassVar[str] = "qat"
    target_steps: ClassVar[int] = 1000
    after: ClassVar[frozenset[str]] = frozenset({"prune", "cluster"})
    decides: ClassVar[frozenset[str]] = frozenset({"ranges", "rounding", "equalization"})

    def label(self) -> str:
        """Return `qat`."""
        return "qat"

    def check_export(self, export: Exporter) -> None:
        """Refuse a format that cannot keep trained ranges, or settings that are for ranges and weights of its own."""
        if not export.carries_ranges:
            able = ", ".join(label for label, other in known_exporters().items() if other.carries_ranges)
            raise InputError(f"quantization-aware training makes {able} models, got {export.label()}; run it apart")
        export.check_trained_ranges()

    def check(self, network: FloatNetwork) -> None:
        """Build the graph that would be trained, so that what cannot be built shows before any training."""
        from edgeclf.compression.steps.fake_quantization import find_refusal
        from edgeclf.compression.steps.fine_tune import copy_model
        from edgeclf.compression.steps.simulated_rounding import insert_rounding

        if find_refusal(network) is not None:
            insert_rounding(copy_model(network.model))

    def apply(self, network: FloatNetwork, context: StepContext) -> FloatNetwork:
        """Return a copy whose graph carries the quantization ranges.

        Where TFMOT has no rule for a layer, edgeclf's own rounding is trained with, and calibration sets the ranges.
        """
        from edgeclf.compression.steps.fake_quantization import train_quantized
        from edgeclf.compression.steps.simulated_rounding import train_rounded
        from edgeclf.graph.quantizable import NoQuantizerError

        try:
            return train_quantized(network, self, context)
        except NoQuantizerError as error:  # before anything was trained
            return train_rounded(network, self, context, str(error))
