"""The report of `compare`. Accuracies are fractions; differences are second minus first on the same images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeclf import atomic
from edgeclf.json_text import write_json
from edgeclf.measure.changes import FlipCounts
from edgeclf.measure.formatting import MISSING, size
from edgeclf.measure.report import BenchData, ClassCost, Flip
from edgeclf.records import Record

_SHOWN = 40
"""Characters of the value of a setting."""


@dataclass(frozen=True)
class ComparedModel(Record):
    """One of the two.

    Attributes:
        name: short, for tables.
        path: of the network or the model file.
        kind: `run` (its float network), `network` or `model file`.
        input_size: height and width in pixels.
        fit: how pictures came to its input.
        top1: on the images compared.
        top1_interval: Wilson's, 95 %.
        parameters: numbers in it; None: not counted.
        macs: multiply-accumulates of one image; None: not counted.
        size_bytes: of the file.
        int8_bytes: of the int8 file that `compress` would make of a float network: an estimate; None: not counted.
        compressed: bytes of the files that `compress` has made of the run.
        known_by: how it is known which images it used in training: by the `record` of its run, by the `split rule` (an
            image lies in a split by its content alone), or `assumed` to be those that `data` has in training.
        notes: on how it is read.
        plain_int8: which of `compressed` is the int8 model without further steps or settings; empty: none.
    """

    name: str
    path: str
    kind: str
    input_size: tuple[int, int]
    fit: str
    top1: float
    top1_interval: tuple[float, float]
    parameters: int | None
    macs: int | None
    size_bytes: int | None
    int8_bytes: int | None
    compressed: dict[str, int]
    known_by: str
    notes: tuple[str, ...] = ()
    plain_int8: str = ""


@dataclass(frozen=True)
class Setting(Record):
    """A setting of the training in which two runs differ; None: not recorded."""

    name: str
    first: Any
    second: Any


@dataclass(frozen=True)
class CompareReport(Record):
    """Two trainings on the same images, of which neither used one in training, as far as is known.

    Attributes:
        first: what the second is compared with.
        second: the other one.
        data: the images; `images` counts those compared.
        left_out: images of the split that one of the two used in training.
        difference: of top-1, second minus first.
        difference_interval: paired, 95 %; it excludes zero where `p_value` is below 0.05, and nowhere else.
        p_value: McNemar's exact one.
        per_class: as in the report of `bench`, corrected (Holm) over the classes; `baseline_top1` is that of the first.
        flips: images for which the two predict different classes; `baseline` is the first, `model` the second. `lost`:
            the first was right; `gained`: the second is; `changed`: neither. `index` counts in the images compared.
        flip_counts: these by kind.
        settings: of the training, in which they differ; empty where one of them is of no run.
        notes: on the images.
        seconds: that it took.
        written: the files that this report went to.
    """

    first: ComparedModel
    second: ComparedModel
    data: BenchData
    left_out: int
    difference: float
    difference_interval: tuple[float, float]
    p_value: float
    per_class: tuple[ClassCost, ...]
    flips: tuple[Flip, ...]
    flip_counts: FlipCounts
    settings: tuple[Setting, ...]
    notes: tuple[str, ...]
    seconds: float
    written: tuple[str, ...] = ()


def write_int8_size(one: ComparedModel) -> str:
    """Write the size of a float network as an int8 file: that of the file which lies in its run, else an estimate."""
    made = one.compressed.get(one.plain_int8)
    if made is not None:
        return size(made)
    return size(None) if one.int8_bytes is None else f"about {size(one.int8_bytes)}"


def write_setting(value: object) -> str:
    """Write the value of a setting, shortened; a dash where it was not recorded."""
    if value is None:
        return MISSING
    text = value if isinstance(value, str) else write_json(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def save_comparison(report: CompareReport, path: Path) -> None:
    """Write `report` as JSON, atomically.

    Raises:
        OutputError: the place cannot be written.
        RunFailedError: the disk is full.
    """
    atomic.write_text(path, report.to_json(indent=1) + "\n")


def describe_use(report: CompareReport) -> str:
    """Describe what the trainings did with the images compared, behind their number."""
    if report.data.split == "validation":
        return "which also chose the epoch of a training"
    if "assumed" in (report.first.known_by, report.second.known_by):
        return "that neither is known to have used in training"
    return "that neither used in training"
