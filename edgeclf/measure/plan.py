"""The request to `bench` as one value, made once from the command line or from keywords."""

from __future__ import annotations

from dataclasses import dataclass

from edgeclf.artifact.ensemble_folder import check_combine
from edgeclf.artifact.locate import list_paths
from edgeclf.artifact.normalization import Normalization
from edgeclf.dataset import ALL, SPLITS
from edgeclf.errors import InputError, UnknownNameError
from edgeclf.image.shape import check_fit
from edgeclf.measure.conditions import parse_conditions
from edgeclf.measure.latency import check_counts
from edgeclf.measure.sustained import check_minutes
from edgeclf.records import Record


@dataclass(frozen=True)
class BenchPlan(Record):
    """The models to measure, on what, how, and where the results go.

    Attributes:
        models: `.tflite` files, zoo names, run folders (all their compressed models), ensembles (`RUN+RUN`, or the
            folder of one).
        data: labelled images to measure accuracy on: a folder, a manifest or a name; None: no accuracy.
        split: which split of `data`; `all`: all of its images that no run measured has used (see `unseen_images`).
        baseline: the float network to compare to; None: the `model.keras` of the first run folder, if any.
        threads: thread counts to time.
        runtime: name of the runtime, for all models.
        runs: timed calls of each model and thread count; None: decided by the model's speed.
        normalization: how pixels enter models whose files do not state it; None: measured.
        fail_if: conditions under which a model counts as failed, such as `drop>1.0` (see `measure.conditions`).
        fit: how pictures come to the input of models whose files do not state it: `stretch`, `crop` or `pad`; None:
            stretched.
        labels: a file with class names, one a line in the order of the outputs, for the models and the baseline that
            carry none, and for other people's models that carry others; None: not given.
        trust_model: load a baseline even if that runs code from its file.
        sustain: minutes for which the models are kept running at the end; None: not at all.
        seed: of the order in which models take turns.
        out: folder or `.json` file for the figures; None: a run folder's `bench/`, else nowhere.
        report: HTML file to write; None: beside the figures in a run folder, else nowhere.
        overwrite: replace existing output.
        against: the `bench.json` of another machine, to compare with.
        combine: how ensembles predict: `average` or `stack`; None: as recorded, else the average.

    Raises:
        InputError: a value is out of range.
    """

    models: tuple[str, ...]
    data: str | None = None
    split: str = "test"
    baseline: str | None = None
    threads: tuple[int, ...] = (1,)
    runtime: str = "litert"
    runs: int | None = None
    normalization: Normalization | None = None
    trust_model: bool = False
    sustain: float | None = None
    seed: int = 0
    out: str | None = None
    report: str | None = None
    overwrite: bool = False
    against: str | None = None
    labels: str | tuple[str, ...] | None = None
    fit: str | None = None
    fail_if: tuple[str, ...] = ()
    combine: str | None = None

    def __post_init__(self) -> None:
        # A single path is one model, not one a letter; likewise a single count.
        object.__setattr__(self, "models", list_paths(self.models, "a model"))
        object.__setattr__(self, "threads", (self.threads,) if isinstance(self.threads, int) else tuple(self.threads))
        if not self.models:
            raise InputError("bench needs at least one model, got none")
        if self.split not in (*SPLITS, ALL):
            raise UnknownNameError("split", self.split, (*SPLITS, ALL))
        given = (self.fail_if,) if isinstance(self.fail_if, str) else tuple(self.fail_if)
        object.__setattr__(self, "fail_if", tuple(one.text for one in parse_conditions(given)))
        check_counts(self.threads, self.runs)
        if self.combine is not None:
            check_combine(self.combine)
        if self.fit is not None:
            check_fit(self.fit)
        if self.sustain is not None:
            check_minutes(self.sustain)
