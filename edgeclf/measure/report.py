"""The report of `bench`. Accuracies are fractions, times are milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

from edgeclf.artifact.normalization import Normalization
from edgeclf.measure.board import BoardReading, BoardReadings
from edgeclf.measure.calibration import CalibrationResult
from edgeclf.measure.changes import FlipCounts
from edgeclf.measure.conditions import ConditionResult
from edgeclf.measure.ensemble_report import EnsembleResult
from edgeclf.measure.formatting import duration
from edgeclf.measure.machine import Machine
from edgeclf.measure.stopwatch import Percentiles
from edgeclf.measure.sustained import Sustained
from edgeclf.records import Record

DRIFT = 0.10
"""Spread of the medians of the rounds from which on a figure comes with a warning."""


@dataclass(frozen=True)
class BaselineResult(Record):
    """The float network that the models are compared to; `top1` is None without data, `threads` on a GPU."""

    name: str
    device: str
    threads: int | None
    input_range: tuple[float, float] | None
    top1: float | None
    top1_interval: tuple[float, float] | None
    latency_ms: Percentiles | None
    parameters: int | None
    size_bytes: int | None
    normalization: Normalization | None = None


@dataclass(frozen=True)
class BenchData(Record):
    """The images that every model predicted.

    `fingerprint` is that of the whole data set; `in_training` counts those that were seen in training, too; None in
    reports of earlier versions.
    """

    name: str
    source: str
    split: str
    images: int
    class_names: tuple[str, ...]
    fingerprint: str
    split_seed: int
    in_training: int | None = None


@dataclass(frozen=True)
class ModelResult(Record):
    """One model at one thread count.

    Differences are model minus baseline on the same images: `p_value` is McNemar's exact one, `difference_interval`
    Bonett and Price's 95 % interval, which excludes zero where `p_value` is below 0.05, and nowhere else. Neither is
    corrected for the number of models in the report: whether this file costs accuracy is a question of its own, and its
    figures must not depend on which other files were measured beside it. All accuracy fields are None without data, the
    paired ones also without a baseline.

    Attributes:
        name: short, unique in the report; the key into `BenchReport.comparisons`.
        input_size: height and width in pixels.
        peak_memory_bytes: of a fresh process with Python, NumPy, the runtime and the model; `memory_kind` is what
            counts.
        model_memory_bytes: of which since the runtime was imported.
        runs: timed calls behind `latency_ms`.
        steady: whether calls had stopped getting faster when timing began.
        spread: drift between rounds, relative to the median.
        input_range: what pixel values 0 and 255 become for this network; None where nothing decided it, and where a
            pair of numbers cannot say it.
        normalization: how pixels enter it: mean, std and channel order; None where nothing decided it.
        integrity: "verified", or "unverified" (made by others).
        notes: warnings and remarks on how this file is read.
        sha256: of the file, as `sha256sum` gives it; None in reports of earlier versions.
        label_source: where its class names are from: `given`, `metadata`, `provenance`, `beside` (a file), or `numbers`
            where nobody named them; None in reports of earlier versions.
        fit: how pictures came to its input: `stretch`, `crop` or `pad`; None in reports of earlier versions, which
            stretched them.
        calibration: how far its probabilities are off; None without data, and in reports of earlier versions.
    """

    path: str
    name: str
    runtime: str
    runtime_version: str
    threads: int
    input_size: tuple[int, int]
    top1: float | None
    top1_interval: tuple[float, float] | None
    difference: float | None
    difference_interval: tuple[float, float] | None
    p_value: float | None
    size_bytes: int
    gzip_bytes: int
    parameters: int | None
    macs: int | None
    latency_ms: Percentiles
    runs: int
    warm_up_runs: int
    steady: bool
    spread: float
    load_ms: float
    preprocessing_ms: Percentiles | None
    peak_memory_bytes: int
    model_memory_bytes: int | None
    memory_kind: str
    input_range: tuple[float, float] | None
    integrity: str
    notes: tuple[str, ...]
    sha256: str | None = None
    label_source: str | None = None
    normalization: Normalization | None = None
    fit: str | None = None
    calibration: CalibrationResult | None = None

    def describe_drift(self) -> str:
        """Describe in a sentence how far the rounds differ; empty where they agree."""
        if self.spread <= DRIFT:
            return ""
        return f"the rounds differ by ±{100 * self.spread:.0f} %; repeat it on a quieter machine."


@dataclass(frozen=True)
class ClassCost(Record):
    """The accuracy of one class. Paired fields are None without a baseline.

    `p_value` is McNemar's exact one, corrected (Holm) over all classes of all models in the report.
    `difference_interval` has the level at which Holm's procedure tests this class: it excludes zero where `p_value` is
    below 0.05, and nowhere else. It is therefore wider than an interval for this class alone.
    """

    label: str
    images: int
    top1: float | None
    baseline_top1: float | None
    difference: float | None
    difference_interval: tuple[float, float] | None
    p_value: float | None


@dataclass(frozen=True)
class Flip(Record):
    """An image for which model and baseline predict different classes.

    `kind`: "lost" (the baseline was right), "gained" (the model is), "changed" (neither). `index` counts in the split.
    A model may predict a class that the data does not have; then its name in the model or its number.
    """

    path: str
    index: int
    label: str
    baseline: str
    model: str
    kind: str


@dataclass(frozen=True)
class Comparison(Record):
    """What belongs to a model whatever the thread count.

    `flips` is empty, and `flip_counts` None, without a baseline.

    `confusion` counts images: a row a true class, a column a predicted one, both in the order of the data's classes;
    the last column is of classes that the data does not have. It is empty for more than 100 classes.
    """

    name: str
    path: str
    per_class: tuple[ClassCost, ...]
    flips: tuple[Flip, ...]
    confusion: tuple[tuple[int, ...], ...] = ()
    flip_counts: FlipCounts | None = None


@dataclass(frozen=True)
class Counterpart(Record):
    """The same model in another machine's report.

    Attributes:
        name: of the model in this report, with `threads` the key into `BenchReport.models`.
        same_file: whether both measured the same bytes; None where the other report has no checksum.
        there: what the other machine measured, at the same thread count where it has that one.
        ratio: median latency here over there.
        notes: what makes the two hard to compare.
    """

    name: str
    threads: int
    same_file: bool | None
    there: ModelResult
    ratio: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ReportComparison(Record):
    """Another machine's report, compared with this one.

    Attributes:
        path: the file that was named.
        machine: on which it was measured.
        data: what its accuracies are of.
        models: those of this report that it has too, in this report's order.
        missing: names of those that it does not have.
    """

    path: str
    machine: Machine
    data: BenchData | None
    models: tuple[Counterpart, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class BenchReport(Record):
    """Everything that was measured, and on what; `notes` list what was left out and why.

    `board` is None where the board has no sensors, `against` and `sustained` where they were not asked for;
    `interrupted`: before `sustained` had its time. `written` are the files that this report went to. `conditions` are
    those that were given, held against each model. `ensembles` are those that were named beside the models.
    """

    machine: Machine
    data: BenchData | None
    baseline: BaselineResult | None
    models: tuple[ModelResult, ...]
    comparisons: tuple[Comparison, ...]
    seed: int
    seconds: float
    notes: tuple[str, ...] = ()
    board: BoardReadings | None = None
    against: ReportComparison | None = None
    sustained: Sustained | None = None
    interrupted: bool = False
    written: tuple[str, ...] = ()
    conditions: tuple[ConditionResult, ...] = ()
    ensembles: tuple[EnsembleResult, ...] = ()

    @property
    def failed_conditions(self) -> tuple[ConditionResult, ...]:
        """Those of `conditions` that a model has failed by."""
        return tuple(one for one in self.conditions if one.failed)

    def comparison(self, name: str) -> Comparison | None:
        """Find the comparison of the model with this `name`; None without data."""
        return next((c for c in self.comparisons if c.name == name), None)


def board_readings(report: BenchReport) -> list[tuple[str, BoardReading]]:
    """List the sensors before and after everything, and around sustained work; empty where the board has none."""
    found: list[tuple[str, BoardReading | None]] = []
    board, sustained = report.board, report.sustained
    if board is not None:
        found.append(("before", board.before))
    if sustained is not None:
        found.append((f"after {duration(sustained.window_seconds)} of work", sustained.board_first))
        found.append((f"after {duration(sustained.seconds)} of work", sustained.board_last))
    if board is not None:
        found.append(("after", board.after))
    return [(when, reading) for when, reading in found if reading is not None]
