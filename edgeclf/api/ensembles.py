"""The function `train_ensemble`, which trains several networks that predict together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgeclf.api.on_host import HOST
from edgeclf.extras import extras, require
from edgeclf.plugins import with_plugins
from edgeclf.progress import SILENT, Progress

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from edgeclf.api.keywords import TrainKeywords
    from edgeclf.training.config import TrainConfig
    from edgeclf.training.ensembles.report import EnsembleReport


@with_plugins
def train_ensemble(
    data: str | Path | None = None,
    config: TrainConfig | None = None,
    *,
    members: int = 3,
    combine: str = "average",
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    trust_model: bool = False,
    progress: Progress = SILENT,
    **settings: Unpack[TrainKeywords],
) -> EnsembleReport:
    """Train several networks that differ in their seeds, and combine what they predict.

        edgeclf.train_ensemble("photos", members=3, out="runs/teacher")
        edgeclf.train("photos", teacher="runs/teacher", width=0.25)

    Args:
        data: a folder, a manifest or a name; None: the embedded `digits`.
        config: settings of all members; the seed is that of the first, each further one has the next.
        members: how many, at least 2.
        combine: `average` (of the probabilities) or `stack` (a regression fitted on validation images).
        out: the folder, which holds a run folder a member and `ensemble.json`; None: `runs/NAME-xN`.
        resume: go on where an earlier call ended.
        overwrite: replace an earlier ensemble in `out`.
        trust_model: load a `weights` file even if that runs code from it.
        progress: where bars are shown.
        settings: fields of `TrainConfig`, over those of `config`, as in `train`.

    Raises:
        UnknownNameError: there is no such setting, network or way to combine.
        InputError: data, configuration or output cannot be used.
        MissingExtraError: TensorFlow is not installed.
        RunFailedError: a training diverged, or the disk is full.
    """
    require("train", *HOST)
    from edgeclf.artifact.folder_lock import lock_folder
    from edgeclf.dataset import check_classes, list_source
    from edgeclf.training.config import TrainConfig
    from edgeclf.training.ensembles.plan import EnsemblePlan, begin_ensemble, find_members, name_ensemble
    from edgeclf.training.networks import find_network
    from edgeclf.training.parent_run import recorded_source

    with extras("train"):
        config = (config or TrainConfig()).replace(**settings)
        if config.model is not None:
            find_network(config.model)
        if data is None and resume and out is not None:
            data = next(filter(None, map(recorded_source, find_members(Path(out)))), None)
        listing = list_source("digits" if data is None else data, progress)
        check_classes(listing)
        place = name_ensemble(listing, config, members) if out is None else Path(out)
        plan = EnsemblePlan(
            listing, config, members, place, combine, resume, overwrite, trust_model, frozenset(settings)
        )
        with lock_folder(place):
            plan = begin_ensemble(plan, progress)
            with progress.task("loading TensorFlow", None):
                from edgeclf.training.ensembles.train import train_ensemble as train_members

            return train_members(plan, progress)
