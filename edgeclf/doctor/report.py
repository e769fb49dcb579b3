"""What `inspect --doctor` reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from edgeclf.records import Record

Costs = Literal["time", "accuracy", "bytes"]
SEVERE, NOTABLE = 0.25, 0.10
"""Fractions of the time, of the images or of the file from which on a finding is `high`, and `medium`."""


@dataclass(frozen=True)
class Finding(Record):
    """One reason why a model is not faster, smaller or as accurate.

    Attributes:
        cause: its name, such as `operators-outside-the-delegate`.
        costs: what it costs: `time`, `accuracy` or `bytes`.
        fraction: of the time, of the images, or of the bytes of the file or its weights that it concerns; None: no
            figure.
        measured: False: a heuristic, concluded from the file and not measured.
        sentence: one plain sentence with the figure.
        command: that mends it.
        severity: `high`, `medium` or `low`, by the fraction.
    """

    cause: str
    costs: Costs
    fraction: float | None
    measured: bool
    sentence: str
    command: str
    severity: str = "low"

    @classmethod
    def rated(cls, cause: str, costs: Costs, fraction: float, sentence: str, command: str) -> Finding:
        """Make a measured finding, its severity by the fraction."""
        severity = "high" if fraction >= SEVERE else "medium" if fraction >= NOTABLE else "low"
        return cls(cause, costs, round(fraction, 4), True, sentence, command, severity)


@dataclass(frozen=True)
class OperatorTime(Record):
    """What one operator takes, timed in isolation: in a graph of its own, on the tensors that it really gets.

    Attributes:
        number: in the graph.
        name: of its kind.
        output: name of the tensor that it writes.
        dtype: of what it reads.
        delegated: whether the runtime's delegate computes it.
        macs: multiply-accumulates.
        microseconds: least time, less what an empty graph takes; None: not timed.
        fraction: of the sum over all operators.
    """

    number: int
    name: str
    output: str
    dtype: str
    delegated: bool
    macs: int
    microseconds: float | None = None
    fraction: float | None = None


@dataclass(frozen=True)
class ThreadTime(Record):
    """Median milliseconds of the whole model at one number of threads."""

    threads: int
    milliseconds: float


@dataclass(frozen=True)
class DoctorReport(Record):
    """What was found, and what it was found by.

    Attributes:
        path: the model file.
        size_bytes: of the file.
        cpu: name of the processor.
        cores: that this process may use.
        load_average: of the last minute when measuring began.
        runtime: name of the engine.
        runtime_version: of its package.
        threads: that operators were timed with.
        findings: the gravest first; empty: nothing found.
        whole_ms: least time of the whole model.
        sum_ms: of its operators, each in isolation; it differs from `whole_ms` by what the runtime fuses, by caches
            that are warm for one operator and not in a row, and by what could not be timed.
        thread_times: of the whole model, by number of threads.
        operators: in the order of the graph.
        images: that activations were looked at on; 0: none.
        image_source: where they are from: `data`, `samples` or empty.
        checked: what was looked for.
        notes: what was not looked at, and why, a line each.
        unchecked: what was not looked for, and the options that it needs.
    """

    path: str
    size_bytes: int
    cpu: str
    cores: int
    load_average: float | None
    runtime: str
    runtime_version: str
    threads: int
    findings: tuple[Finding, ...]
    whole_ms: float
    sum_ms: float
    thread_times: tuple[ThreadTime, ...]
    operators: tuple[OperatorTime, ...]
    images: int
    image_source: str
    checked: tuple[str, ...]
    notes: tuple[str, ...] = ()
    unchecked: dict[str, str] = field(default_factory=dict)
