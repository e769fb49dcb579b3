"""The function `tune`, which searches for the settings of a training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
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
    from edgeclf.training.tuning.report import TuneReport
    from edgeclf.training.tuning.space import Given


@with_plugins
def tune(
    data: str | Path | None = None,
    config: TrainConfig | None = None,
    *,
    trials: int = 50,
    hours: float | None = None,
    search: str = "tpe",
    pruner: str = "median",
    space: Mapping[str, Given] | None = None,
    storage: str | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    trust_model: bool = False,
    progress: Progress = SILENT,
    **settings: Unpack[TrainKeywords],
) -> TuneReport:
    """Search for the settings of a training by validation; each trial is a run folder, the best one is `OUT/best`.

        edgeclf.tune("photos", trials=20, space={"image_size": [96, 128], "learning_rate": "1e-3..1e-2"})

    The same call, without `overwrite`, goes on with a search that was stopped or killed. The first trial is the
    training by the defaults.

    Args:
        data: a folder, a manifest or a name; None: the embedded `digits`.
        config: settings that all trials have; those that it leaves open are searched.
        trials: in the whole search, the one of the defaults included.
        hours: after which no other trial begins; None: no limit.
        search: `tpe`, `random` or `grid`.
        pruner: which trials are given up early, by validation: `median`, `hyperband` or `none`.
        space: what is searched instead of, or besides, what is declared (`edgeclf.training.tuning.space`), by setting:
            a list of values, or a text such as `1e-4..1e-2` or `96,128`.
        storage: URL of a database through which several machines share the search; None: a file in the folder.
        out: the folder; None: `runs/NAME-tune`.
        overwrite: replace an earlier search in `out`.
        trust_model: load a `weights` file even if that runs code from it.
        progress: where bars and trials are shown.
        settings: fields of `TrainConfig`, over those of `config`, as in `train`. With `max_latency`, `max_size` or
            `board` only networks that hold the limit are tried, and the report has the frontier.

    Raises:
        UnknownNameError: there is no such setting, network or way to search.
        InputError: data, configuration, space, storage or output cannot be used.
        MissingExtraError: TensorFlow or Optuna is not installed.
        RunFailedError: the disk is full.
    """
    require("tune", *HOST, "optuna", "jinja2")
    from edgeclf.artifact.folder_lock import lock_folder
    from edgeclf.artifact.run_folder import RunFolder
    from edgeclf.dataset import check_classes, list_source
    from edgeclf.search.storage import open_storage
    from edgeclf.training.config import TrainConfig
    from edgeclf.training.networks import find_network
    from edgeclf.training.teacher import check_teacher
    from edgeclf.training.tuning.plan import Search, TuneFolder, TunePlan, check_config
    from edgeclf.training.tuning.report import PAGE_NAME
    from edgeclf.training.tuning.space import parse_space

    with extras("tune"):
        config = (config or TrainConfig()).replace(**settings)
        check_config(config)
        if config.model is not None:
            find_network(config.model)
        asked = Search(trials, hours, search, pruner, storage)
        narrowed = parse_space(space or {})
        listing = list_source("digits" if data is None else data, progress)
        check_classes(listing)
        place = Path("runs") / f"{listing.name}-tune" if out is None else Path(out)
        plan = TunePlan(listing, config, narrowed, asked, place, overwrite, trust_model, frozenset(settings))
        if config.teacher is not None:
            check_teacher(config.teacher, RunFolder(place, must_exist=False), resumes=False)
        if storage is not None:
            open_storage(storage)
        folder = TuneFolder(place)
        with lock_folder(place):
            # what cannot be searched is refused before the seconds that an import of TensorFlow takes
            plan.find_space()
            folder.begin(plan)
            with progress.task("loading TensorFlow", None):
                from edgeclf.report.tune_html import write_tuning
                from edgeclf.training.tuning.tune import tune as search_settings

            report = search_settings(plan, folder, progress)
            page = place / PAGE_NAME
            report = dataclasses.replace(report, written=(*report.written, str(page)))
            write_tuning(report, page)
            return report
