"""One trial: its settings, its training in a run folder of its own, and how it is given up early."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tf_keras

from edgeclf.artifact.run_folder import RunFolder
from edgeclf.errors import DataError, InputError, OutputError, UntrustedModelError, one_line
from edgeclf.measure.machine import describe_machine
from edgeclf.progress import Progress, Task
from edgeclf.search import Asked, RefusedTrialError
from edgeclf.search.study import LAST_STEP
from edgeclf.training.budget.candidates import SCRATCH, Candidate
from edgeclf.training.callbacks import Metrics
from edgeclf.training.config import SHAPE, TrainConfig
from edgeclf.training.divergence import DivergedError
from edgeclf.training.earlier_run import EARLIER_VERSIONS
from edgeclf.training.head import FeatureCache
from edgeclf.training.idle_settings import describe_idle
from edgeclf.training.kernels import fits_kernels
from edgeclf.training.memory import refuse_without_memory
from edgeclf.training.plan import TrainPlan
from edgeclf.training.run import train
from edgeclf.training.run_plan import hold_run
from edgeclf.training.run_record import TrainReport
from edgeclf.training.teacher import TeacherPredictions
from edgeclf.training.tuning.plan import TunePlan, machine_name
from edgeclf.training.tuning.report import Trained
from edgeclf.training.tuning.sources import MissingWeightsError, bring_weights, check_sources, starts_from

Values = dict[str, bool | int | float | str]


def make_config(plan: TunePlan, values: Values, shape: Candidate | None) -> TrainConfig:
    """Return the settings of a trial: those of the plan, with what was chosen.

    Raises:
        InputError: they do not go together.
    """
    chosen = {name: value for name, value in values.items() if name in plan.config.to_dict() and name not in SHAPE}
    config = plan.config.replace(**chosen)
    if shape is not None:
        config = _with_shape(config, plan, shape)
    # what has no effect beside the rest of this trial, such as the momentum of Adam
    config = config.replace(**{name: getattr(plan.config, name) for name in chosen if describe_idle(name, config)})
    if config.teacher is not None and describe_idle("teacher_views", config):
        config = config.replace(teacher_views=1)  # given for all trials, of which this one changes no image
    return config


def _with_shape(config: TrainConfig, plan: TunePlan, shape: Candidate) -> TrainConfig:
    # the shape holds the limits already
    config = config.replace(board=None, max_latency=None, max_size=None)
    if config.weights in ("auto", "none"):
        fields = {"model": shape.network, "width": shape.width, "image_size": shape.image_size}
        config = config.replace(weights="none" if shape.start == SCRATCH else config.weights)
    else:
        fields = {"image_size": shape.image_size}
    kept = {name for name in fields if getattr(plan.config, name) is not None and name not in plan.narrowed}
    return config.replace(**{name: value for name, value in fields.items() if name not in kept})


class Watcher:
    """Reports the validation of a training to the study, in tenths of the training, and ends a hopeless one.

    Args:
        asked: the trial.
        folder: its run folder, which records how many epochs there are.
        prunes: whether it may be ended.
        check: is called after the first epoch, with the record of the run.

    Attributes:
        pruned: whether it was.
    """

    def __init__(self, asked: Asked, folder: Path, *, prunes: bool, check: Callable[[dict[str, Any]], None]) -> None:
        self._asked, self._folder, self._prunes, self._check = asked, folder, prunes, check
        self._epochs = 0
        self.pruned = False

    def on_epoch_end(self, epoch: int, metrics: Metrics) -> bool | None:
        """Report an epoch where it ends a tenth of the training."""
        if not self._epochs:
            record = RunFolder(self._folder).run_json
            self._check(record)
            self._epochs = int(record["config"]["epochs"])
        step = LAST_STEP * epoch // self._epochs
        if step == LAST_STEP * (epoch - 1) // self._epochs:
            return None
        hopeless = self._asked.report(step, 1 - metrics["validation_top1"])
        self.pruned = hopeless and self._prunes and step < LAST_STEP
        return self.pruned


class TrialProgress:
    """Shows the bars of a training under the number of its trial, and leaves its remarks out.

    Args:
        progress: where to.
        number: of the trial.
    """

    def __init__(self, progress: Progress, number: int) -> None:
        self._progress, self._number = progress, number

    def task(self, description: str, total: int | None) -> contextlib.AbstractContextManager[Task]:
        """Open a bar."""
        return self._progress.task(f"trial {self._number}: {description}", total)

    def info(self, line: str) -> None:
        """Show nothing: each trial would repeat it."""

    def warn(self, line: str) -> None:
        """Show nothing: what is wrong with all of them stands in each run."""


@dataclass(frozen=True)
class TrialRun:
    """Trains trials.

    Args:
        plan: of the search.
        progress: where bars are shown.
        features: of frozen networks, shared between trials.
        teachers: what teachers predicted, shared between trials (see `TrainPlan`).
    """

    plan: TunePlan
    progress: Progress
    features: FeatureCache = field(default_factory=FeatureCache)
    teachers: TeacherPredictions = field(default_factory=dict)

    def train(
        self,
        asked: Asked,
        config: TrainConfig,
        folder: Path,
        *,
        defaults: bool,
        fingerprint: str | None = None,
        start: str | None = None,
    ) -> tuple[Trained, bool]:
        """Train one trial, from where it was left; returns what it came to, and whether it was given up early.

        Args:
            asked: the trial.
            config: its settings.
            folder: its run folder.
            defaults: whether it is that of the defaults, which is never given up; where they cannot be trained, no
                other trial can, unless other networks are named.
            fingerprint: of the photos that the trials before have seen; None: there are none.
            start: name of the weights that its network starts from on all machines; None: of those that are found.

        Raises:
            RefusedTrialError: it cannot be trained so; the message says why.
            DataError: the photos are others than those of the trials before.
            MissingWeightsError: the weights of that name cannot be had.
            InputError: the photos, the folder, or what all trials learn or start from cannot be used.
            RunFailedError: the disk is full.
        """

        def check(record: dict[str, Any]) -> None:
            if fingerprint not in (None, record["data"]["fingerprint"]):
                raise photos_error(self.plan)
            if start is not None and not starts_from(record, start):
                raise MissingWeightsError(config, start)

        watcher = Watcher(asked, folder, prunes=not defaults, check=check)
        # of very few photos the defaults train the classifier alone, which the other trials are an alternative to
        alone = defaults or bool(config.quick)
        request = TrainPlan(
            self.plan.data,
            config,
            out=folder,
            resume=_is_of(folder, config, fingerprint, start),
            overwrite=True,
            trust_model=self.plan.trust_model,
            progress=TrialProgress(self.progress, asked.number),
            callbacks=() if alone else (watcher,),
            watchers=(watcher,) if alone else (),
            named=self.plan.named if defaults else frozenset(),
            features=self.features,
            teachers=self.teachers,
        )
        check_sources(request, folder)
        if start is not None:
            bring_weights(config, start, self.progress)
        with _refusing(strict=defaults and "model" not in self.plan.narrowed), hold_run(request) as run:
            report = train(request, run)
        check(RunFolder(folder).run_json)  # the classifier alone is trained in no epoch that a watcher sees
        return _describe(report, RunFolder(folder), pruned=watcher.pruned)


@contextlib.contextmanager
def _refusing(*, strict: bool) -> Iterator[None]:
    """Turn what is wrong with one trial alone into its refusal; with `strict`, what is wrong with its settings not."""
    try:
        with refuse_without_memory():
            yield
    except (OutputError, DataError, UntrustedModelError, MissingWeightsError):
        raise
    except InputError as error:
        if strict:
            raise
        raise RefusedTrialError(one_line(error)) from error
    except DivergedError as error:
        raise RefusedTrialError(one_line(error).partition(";")[0]) from error
    finally:
        # layers of the next trial are named as if these had not been, and their memory is free
        tf_keras.backend.clear_session()
        gc.collect()


def photos_error(plan: TunePlan) -> DataError:
    """Make the error for photos that are others than those of the trials before."""
    another = "--overwrite" if plan.search.storage is None else "another --seed and --out"
    return DataError(
        f"{plan.data.source}: the photos have changed since the search began, and its trials cannot be compared; bring "
        f"them back, or begin another one with {another}"
    )


def _is_of(folder: Path, config: TrainConfig, fingerprint: str | None, start: str | None) -> bool:
    """Return whether the run in a folder has these settings, photos and start, and can be gone on with by this process.

    One of another study, whose trials have other numbers, has not.
    """
    if not RunFolder.is_one(folder):
        return True
    record = RunFolder(folder).run_json
    if not record.get("finished") and not fits_kernels(record):
        return False
    if fingerprint not in (None, record.get("data", {}).get("fingerprint")):
        return False
    if start is not None and not starts_from(record, start):
        return False
    recorded = EARLIER_VERSIONS | record.get("config", {})
    return all(recorded.get(name) == value for name, value in config.to_dict().items() if value is not None)


def _describe(report: TrainReport, folder: RunFolder, *, pruned: bool) -> tuple[Trained, bool]:
    record, validation = folder.run_json, report.metrics["validation"]
    assert validation is not None
    config = TrainConfig.from_dict(record["config"])
    epochs = 1 if config.quick else config.epochs or report.epochs
    found = Trained(
        run=f"{folder.path.parent.name}/{folder.path.name}",
        machine=machine_name(),
        cpu=describe_machine().processor,
        model=report.model,
        width=config.width,
        image_size=report.image_size,
        parameters=report.parameters,
        validation_top1=validation.top1,
        validation_loss=validation.loss,
        validation_images=validation.images,
        epochs=report.epochs,
        of_epochs=epochs,
        seconds=report.seconds,
        fingerprint=record["data"]["fingerprint"],
        settings=config.to_dict(),
    )
    # a run that was given up, and whose process died before the study knew
    return found, pruned or (report.epochs < epochs and not config.early_stopping)
