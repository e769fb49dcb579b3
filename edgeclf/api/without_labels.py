"""The function that learns from images without labels: `pretrain`."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgeclf.extras import extras, require
from edgeclf.plugins import with_plugins
from edgeclf.progress import SILENT, Progress

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from edgeclf.api.keywords import PretrainKeywords
    from edgeclf.training.callbacks import KerasCallback, TrainingCallback
    from edgeclf.training.pretraining.config import PretrainConfig
    from edgeclf.training.pretraining.report import PretrainReport


@with_plugins
def pretrain(
    photos: str | Path,
    config: PretrainConfig | None = None,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    trust_model: bool = False,
    progress: Progress = SILENT,
    callbacks: Sequence[TrainingCallback | KerasCallback] = (),
    **settings: Unpack[PretrainKeywords],
) -> PretrainReport:
    """Learn features from images without labels; the run folder is what `train(..., weights=RUN)` starts from.

    What `train` keeps for validation and test of the same photos is not learned from.

    Args:
        photos: a folder of images, nested or not, whose folders are not looked at as classes; or a manifest or a name,
            whose labels are not.
        config: how; what it leaves open is chosen by the method, the data and the machine.
        out: the run folder; None: `runs/NAME`.
        resume: start where there is nothing, continue where there is a checkpoint, report where the run is finished.
        overwrite: replace an earlier run in `out`.
        trust_model: load a `weights` file even if that runs code from it.
        progress: where bars are shown.
        callbacks: as in `train`; `top1` is the fraction for which the network finds what it is to find.
        settings: fields of `PretrainConfig`, over those of `config`: `edgeclf.pretrain("photos", method="rotation")`.

    Raises:
        UnknownNameError: there is no such setting, method or network; the nearest known name is given.
        InputError: data, configuration or output cannot be used.
        MissingExtraError: TensorFlow is not installed.
        RunFailedError: the training diverged, or the disk is full.
    """
    began = time.monotonic()
    require("train", "tensorflow", "tf_keras", "sklearn", "matplotlib")
    from edgeclf.dataset import list_unlabelled
    from edgeclf.errors import DataError, InputError
    from edgeclf.training.callbacks import check_callbacks
    from edgeclf.training.plan import TrainPlan, check_continuation
    from edgeclf.training.pretraining.config import PretrainConfig
    from edgeclf.training.pretraining.method import FEWEST_IMAGES
    from edgeclf.training.pretraining.report import PretrainReport
    from edgeclf.training.run_plan import hold_run

    with extras("train"):
        check_continuation(resume=resume, overwrite=overwrite)
        check_callbacks(callbacks)
        if "TF_CONFIG" in os.environ:
            raise InputError("pretrain works on one machine; leave TF_CONFIG out, or use train")
        own = (config or PretrainConfig()).replace(**settings)
        listing = list_unlabelled(photos, progress)
        if len(listing.items) < FEWEST_IMAGES:
            raise DataError(
                f"{listing.source}: expected at least {FEWEST_IMAGES} images to learn from, got {len(listing.items)}"
            )
        plan = TrainPlan(
            listing,
            own,
            named=frozenset(settings),
            out=out,
            resume=resume,
            overwrite=overwrite,
            trust_model=trust_model,
            progress=progress,
            callbacks=callbacks,
            began=began,
        )
        with hold_run(plan) as run:
            if run.report is not None:
                progress.info(f"{run.folder.path} is finished; this is its report")
                return PretrainReport.from_dict(run.report)
            with progress.task("loading TensorFlow", None):
                from edgeclf.training.pretraining.run import pretrain as learn
            return learn(plan, run)
