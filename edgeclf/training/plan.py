"""What is trained, how, and where it goes, as one value; importable without TensorFlow."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeclf.dataset import Listing
from edgeclf.errors import InputError
from edgeclf.progress import SILENT, Progress
from edgeclf.training.config import TrainConfig

if TYPE_CHECKING:
    from edgeclf.training.callbacks import KerasCallback, TrainingCallback
    from edgeclf.training.head import FeatureCache
    from edgeclf.training.teacher import TeacherPredictions


@dataclass(frozen=True)
class TrainPlan:
    """What one call of `train` does: made once from keywords, and handed on whole.

    Args:
        data: a folder, a manifest or a name (see `edgeclf.dataset`), or a listing of one.
        config: settings; those left None are chosen by the data.
        named: settings that the user gave one by one, also as what is their default.
        out: the run folder; None: `runs/NAME`.
        resume: start where there is nothing, continue where there is a checkpoint, report where the run is finished.
        overwrite: remove what an earlier run left in `out`.
        trust_model: load `config.weights` even if that runs code from the file.
        progress: where bars and remarks are shown.
        callbacks: called after each epoch; with them all layers are trained, also of very few images.
        watchers: called after each epoch where there are any, and nothing else.
        began: when the call began, seconds of `time.monotonic`.
        features: of frozen networks, shared with other trainings on the same photos; None: they are computed.
        teachers: what teachers predicted, shared likewise.
    """

    data: str | Path | Listing
    config: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    named: frozenset[str] = frozenset()
    out: Path | str | None = None
    resume: bool = False
    overwrite: bool = False
    trust_model: bool = False
    progress: Progress = SILENT
    callbacks: Sequence[TrainingCallback | KerasCallback] = ()
    watchers: Sequence[TrainingCallback] = ()
    began: float = dataclasses.field(default_factory=time.monotonic)
    features: FeatureCache | None = None
    teachers: TeacherPredictions | None = None


def check_continuation(*, resume: bool, overwrite: bool) -> None:
    """Refuse a user who asks to both continue and replace what an earlier call left.

    A `TrainPlan` may do both, as `tune` does: continue what is a run, and replace what is none.

    Raises:
        InputError: both are asked for.
    """
    if resume and overwrite:
        raise InputError("--resume continues an earlier run and --overwrite replaces it; give one of the two")
