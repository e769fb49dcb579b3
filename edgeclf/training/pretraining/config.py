"""The configuration of a pretraining: that of a training, without what needs labels."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from edgeclf.errors import InputError
from edgeclf.training.config import TrainConfig
from edgeclf.training.pretraining import find_method

NEED_LABELS = (
    "balance", "label_smoothing", "from_run", "head_first", "quick", "teacher", "teacher_weight", "teacher_views",
    "temperature", "board", "max_latency", "max_size",
)  # fmt: skip
"""Settings of a training that mean nothing here: they need labels, or a model that classifies."""


@dataclass(frozen=True)
class PretrainConfig(TrainConfig):
    """Settings of a pretraining, recorded in `run.json`: those of `TrainConfig`, where they mean the same.

    Args:
        method: a key of `METHODS`. Rotations, since with 5 % of the labels and as many views seen their features were
            1.2 points better than those of Barlow Twins, and 2.6 after as many epochs (means of three draws, judged by
            photos of no split, `tools/benchmarks/pretraining.py`).
        weights: `none`: from scratch; a file or a run folder to go on from, as in `TrainConfig`.
        unaugmented_epochs: none: two views of an image that is not augmented are the same.
        label_smoothing: there are no labels.
        quick: there is no classifier.
    """

    method: str = "rotation"
    weights: str = "none"
    unaugmented_epochs: float = 0.0
    label_smoothing: float = 0.0
    quick: bool | None = False

    def __post_init__(self) -> None:
        super().__post_init__()
        method = find_method(self.method)
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        named = [name for name in NEED_LABELS if getattr(self, name) != defaults[name]]
        if named:
            raise InputError(
                f"{' and '.join(named)} cannot be set for pretrain, which has no labels; leave the setting out, and "
                "set it when you train from the run"
            )
        method.check(self)
