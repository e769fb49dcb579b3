"""Where models are measured. A target gives what depends on the machine; accuracy is computed once, on any machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgeclf.artifact.input_fit import input_shape
from edgeclf.artifact.model_file import ModelFile
from edgeclf.errors import InputError
from edgeclf.image.shape import InputShape
from edgeclf.measure.board import BoardReading, BoardReadings, read_board
from edgeclf.measure.latency import Latency, check_counts, measure_latency, preprocessing_latency
from edgeclf.measure.machine import Machine, describe_machine
from edgeclf.measure.memory import Memory, measure_memory
from edgeclf.measure.plan import BenchPlan
from edgeclf.measure.stopwatch import Percentiles
from edgeclf.measure.subjects import short_names
from edgeclf.measure.sustained import Sustained, measure_sustained
from edgeclf.progress import SILENT, Progress
from edgeclf.records import Record

FindPhotos = Callable[[InputShape], Sequence[Path]]
"""Photos that stand for those of the user, for models of this input."""


@dataclass(frozen=True)
class Measurements(Record):
    """What depends on the machine.

    Attributes:
        machine: on which it was measured.
        latencies: of each file at each thread count: files in the order given, within them the counts in theirs.
        memories: in the same order.
        preprocessing: decoding and resizing a photo, by file; None where there were no photos.
        board: the sensors before and after; None where the board has none.
        sustained: None where it was not asked for, or interrupted before every model had two turns.
        interrupted: the sustained work ended before its time.
    """

    machine: Machine
    latencies: tuple[Latency, ...]
    memories: tuple[Memory, ...]
    preprocessing: tuple[Percentiles | None, ...]
    board: BoardReadings | None = None
    sustained: Sustained | None = None
    interrupted: bool = False


class Target(Protocol):
    """A machine on which models are measured."""

    def measure(self, plan: BenchPlan, files: Sequence[ModelFile], progress: Progress) -> Measurements:
        """Measure latency, memory, sensors and sustained work of `files` as planned.

        Raises:
            ModelError: a model cannot be opened there.
            RunFailedError: the measurement failed.
        """
        ...


class Local:
    """This machine.

    Its description and the first look at its sensors are taken when the object is made, before accuracy on all cores
    raises load and temperature.

    Args:
        photos: finds photos whose decoding is timed; None: pre-processing is not timed.
        board: reads the sensors; None: those of this machine.
    """

    def __init__(self, photos: FindPhotos | None = None, board: Callable[[], BoardReading] | None = None) -> None:
        self._photos = photos
        self._read_board = board or read_board
        self._machine = describe_machine()
        self._before = self._read_board()

    def measure(self, plan: BenchPlan, files: Sequence[ModelFile], progress: Progress = SILENT) -> Measurements:
        """Measure on this machine; see `Target`."""
        preprocessing = self._preprocessing([input_shape(file, plan.fit) for file in files], progress)
        check_counts(plan.threads, plan.runs)
        counts = tuple(dict.fromkeys(plan.threads))
        at_work = [(name, file, n) for name, file in zip(short_names(files), files, strict=True) for n in counts]
        # Before the times, which take minutes: a model whose process dies ends the command early.
        memories = []
        with progress.task("measuring memory", len(at_work)) as task:
            for name, file, threads in at_work:
                memories.append(measure_memory(_path(file), runtime=plan.runtime, threads=threads))
                task.advance(note=name)
        latencies = measure_latency(
            files, threads=counts, runtime=plan.runtime, runs=plan.runs, seed=plan.seed, progress=progress
        )
        sustained = None
        if plan.sustain is not None:
            sustained = measure_sustained(
                at_work, plan.sustain, runtime=plan.runtime, board=self._read_board, progress=progress
            )
        return Measurements(
            machine=self._machine,
            latencies=latencies,
            memories=tuple(memories),
            preprocessing=preprocessing,
            board=BoardReadings(self._before, self._read_board()) if self._before.has_sensors() else None,
            sustained=sustained,
            interrupted=plan.sustain is not None and (sustained is None or sustained.interrupted),
        )

    def _preprocessing(self, shapes: Sequence[InputShape], progress: Progress) -> tuple[Percentiles | None, ...]:
        if self._photos is None:
            return (None,) * len(shapes)
        by_shape = {
            shape: preprocessing_latency(self._photos(shape), *shape.size, fit=shape.fit, progress=progress)
            for shape in dict.fromkeys(shapes)
        }
        return tuple(by_shape[shape] for shape in shapes)


def _path(file: ModelFile) -> Path:
    if file.path is None:
        raise InputError(f"{file.name}: memory is measured in a process of its own, which needs the model as a file")
    return file.path
