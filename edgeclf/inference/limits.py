"""How much time and memory a model may take: bounds for files of strangers, which the environment may raise."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from edgeclf.artifact.graph_bounds import Shapes, largest_folded_constant, peak_bytes
from edgeclf.artifact.model_file import ModelFile
from edgeclf.errors import InputError, ModelError

SECONDS_VARIABLE, MEGABYTES_VARIABLE = "EDGECLF_MODEL_SECONDS", "EDGECLF_MODEL_MEGABYTES"
_FOLDED_BYTES = 8  # of the largest usual element


@dataclass(frozen=True)
class ModelLimits:
    """Bounds of one model.

    Attributes:
        seconds: for one image, where the graph does not say how long it takes.
        megabytes: of values that are needed at the same time, without the weights. EfficientNet-B7 in float32 at 600
            pixels needs about 300.
    """

    seconds: float = 60.0
    megabytes: float = 1000.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> ModelLimits:
        """Read EDGECLF_MODEL_SECONDS and EDGECLF_MODEL_MEGABYTES.

        Raises:
            InputError: one of them is no number above 0.
        """
        return cls(
            _positive(environment, SECONDS_VARIABLE, cls.seconds),
            _positive(environment, MEGABYTES_VARIABLE, cls.megabytes),
        )

    @property
    def bytes(self) -> float:
        """The megabytes in bytes."""
        return self.megabytes * 1e6

    def check(self, file: ModelFile, shapes: Shapes | None = None) -> None:
        """Refuse a model whose values take more memory than allowed.

        Args:
            file: the model.
            shapes: of tensors by number as a runtime has them; None: as the file says.

        Raises:
            ModelError: they do.
        """
        needed = float(peak_bytes(file.graph, shapes or {}))
        if shapes is None:
            needed = max(needed, _FOLDED_BYTES * largest_folded_constant(file.graph))
        if needed > self.bytes:
            size = f"{needed / 1e6:,.0f} MB" if needed < float("inf") else "an unknown amount"
            raise ModelError(
                f"{file.name}: expected a model that needs at most {self.megabytes:,.0f} MB for one image, "
                f"got {size}; if it is meant to, set {MEGABYTES_VARIABLE} to a larger number"
            )


def _positive(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise InputError(f"{name} must be a number above 0, got {text!r}")
    return value
