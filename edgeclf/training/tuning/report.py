"""The report of a search for settings, and the records of its trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from edgeclf.image.shape import ImageSize
from edgeclf.records import Record
from edgeclf.search import Finished
from edgeclf.search.space import Value
from edgeclf.training.tuning.shapes import SearchSpace

JSON_NAME, PAGE_NAME, BEST = "tune.json", "tune.html", "best"
Origin = Literal["defaults", "grid", "suggested"]


@dataclass(frozen=True)
class Trained(Record):
    """What the training of a trial came to; kept with the trial in the study.

    Attributes:
        run: its run folder, relative to that of the search on that machine.
        machine: name of the machine that it lies on.
        cpu: of that machine.
        model: name of the network.
        width: width multiplier; None: the network has none.
        image_size: side of the input, pixels, or height and width.
        parameters: weights and biases.
        validation_top1: of the network that was kept, a fraction.
        validation_loss: mean cross-entropy, nats.
        validation_images: that both were measured on.
        epochs: whole epochs done.
        of_epochs: that a whole training has.
        seconds: of the training.
        fingerprint: of the photos.
        settings: the whole configuration, as it was completed.
        size_bytes: of the int8 model before training and without metadata, measured or estimated; None: there was no
            limit, or it is not among the shapes that are searched.
        latency_ms: of the same model; None likewise.
        same_as: number of the trial with the same settings, whose run this is; None: it was trained.
    """

    run: str
    machine: str
    cpu: str
    model: str
    width: float | None
    image_size: ImageSize
    parameters: int
    validation_top1: float
    validation_loss: float
    validation_images: int
    epochs: int
    of_epochs: int
    seconds: float
    fingerprint: str
    settings: dict[str, Any]
    size_bytes: int | None = None
    latency_ms: float | None = None
    same_as: int | None = None


@dataclass(frozen=True)
class Trial(Record):
    """One trial.

    Attributes:
        number: from 0, in the order in which trials began.
        state: `complete`; `pruned`: given up early; `refused`: not trained; `lost`: the process died in it again and
            again.
        origin: whether its settings are the defaults, a point of a grid, or suggested by the sampler.
        values: that were chosen, by setting.
        trained: None where nothing was.
        reason: of what was not trained.
        curve: validation top-1 by tenth of the training, from 1 to 10.
    """

    number: int
    state: Literal["complete", "pruned", "refused", "lost"]
    origin: Origin
    values: dict[str, Value]
    trained: Trained | None = None
    reason: str = ""
    curve: dict[str, float] = field(default_factory=dict)

    @property
    def rank(self) -> tuple[float, float]:
        """Sorts trials, the best last: by validation top-1, then by the lower loss."""
        if self.trained is None:
            return (-1.0, 0.0)
        return (self.trained.validation_top1, -self.trained.validation_loss)


@dataclass(frozen=True)
class TestScore(Record):
    """Top-1 of the best trial on the test split, which chose nothing, with its 95 % Wilson interval."""

    top1: float
    top1_interval: tuple[float, float]
    images: int


@dataclass(frozen=True)
class TuneReport(Record):
    """Result of a search.

    Attributes:
        out: the folder of the search.
        data: name of the data set.
        search: how values were chosen: `tpe`, `random` or `grid`.
        pruner: which trials were given up: `none`, `median` or `hyperband`.
        seed: of the sampler and of each training.
        space: what was searched.
        trials: all that came to their end, by number.
        looks: how often the validation images judged a trial; the best of so many is better on them than on others.
        best: number of the best trial; None: none was trained.
        best_run: its run folder; `best` in the folder of the search is a link to it where it lies on this machine.
        test: of the best trial; None where the data have no test split, or its run lies on another machine.
        limits: that were asked for, in words; empty: none.
        frontier: numbers of the trials that no other one beats in validation top-1, size and latency; empty without
            limits.
        costs_from: what milliseconds are from.
        notes: remarks, one sentence each.
        written: files of the report.
        seconds: of this session.
    """

    out: str
    data: str
    search: str
    pruner: str
    seed: int
    space: SearchSpace
    trials: tuple[Trial, ...]
    looks: int
    best: int | None
    best_run: str | None
    test: TestScore | None
    limits: str = ""
    frontier: tuple[int, ...] = ()
    costs_from: str = ""
    notes: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    seconds: float = 0.0

    def trial(self, number: int | None) -> Trial | None:
        """Find a trial by its number."""
        return next((one for one in self.trials if one.number == number), None)


def read_trial(one: Finished) -> Trial:
    """Make the record of a trial from what the study keeps."""
    suggested = one.plan is None or "instead_of" in one.plan
    origin: Origin = "suggested" if suggested else "grid" if "values" in (one.plan or {}) else "defaults"
    return Trial(
        number=one.number,
        state=one.state,
        origin=origin,
        values=dict(one.suggested),
        trained=None if one.record is None else Trained.from_dict(dict(one.record)),
        reason=one.reason,
        curve={str(step): round(1 - score, 6) for step, score in sorted(one.reported.items())},
    )


def find_best(trials: Sequence[Trial]) -> Trial | None:
    """Return the trial with the highest validation top-1, of equals the one with the lowest loss, then the first.

    Trials that were given up count too, with the network that they kept.
    """
    trained = [one for one in trials if one.trained is not None]
    return max(trained, key=lambda one: (one.rank, -one.number), default=None)


def find_frontier(trials: Sequence[Trial]) -> tuple[int, ...]:
    """Return the numbers of the trials that no other one beats in validation top-1, size and latency at once.

    Trials whose costs are not known are left out.
    """
    costs: Mapping[int, tuple[float, ...]] = {
        one.number: (
            -one.trained.validation_top1,
            one.trained.size_bytes or 0.0,
            one.trained.latency_ms,
            one.trained.validation_loss,
        )
        for one in trials
        if one.trained is not None and one.trained.same_as is None and one.trained.latency_ms is not None
    }

    def beats(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
        pairs = list(zip(first, second, strict=True))
        # of two with the same accuracy and costs, the one with the lower loss stands for both
        costs_alike = first[:3] == second[:3]
        return first < second if costs_alike else all(one <= other for one, other in pairs[:3])

    kept = [
        number
        for number, own in costs.items()
        if not any(beats(other, own) for another, other in costs.items() if another != number)
    ]
    return tuple(sorted(kept, key=lambda number: costs[number][2:0:-1]))
