"""Measures what findings are decided by; each thing once, when it is first asked for."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.float_twin import make_float
from edgeclf.artifact.graph_bounds import tensor_bytes
from edgeclf.artifact.graph_cuts import Change, GraphCutter
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import Normalization
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.doctor.drawn_input import draw_input
from edgeclf.doctor.images import ExaminedImages, choose_range, make_tensors, take_photos, take_samples
from edgeclf.doctor.operator_times import Tensors, TwinTime, compare_with_twin, time_again, time_operators
from edgeclf.doctor.report import OperatorTime, ThreadTime
from edgeclf.doctor.timing import Ratio, Turns, time_in_turns
from edgeclf.errors import ModelError, RunFailedError
from edgeclf.inference.delegation import find_delegated, is_integer
from edgeclf.inference.limits import ModelLimits
from edgeclf.inference.litert import LITERT
from edgeclf.inference.tflite_session import TFLiteSession
from edgeclf.measure.formatting import size
from edgeclf.measure.latency import timed_call, warm_session
from edgeclf.measure.machine import usable_cores
from edgeclf.progress import SILENT, Progress

_Item = TypeVar("_Item")
LEAST_FRACTION = 0.02
"""Of the time: operators below are not compared with their float twins."""
_TWIN_SECONDS, _ONE_TWIN_SECONDS = 5.0, 0.15
_LOOK_SECONDS = 4.0
"""For running images through the plain kernels, which keep every tensor."""
_COMPARE_SECONDS = 20.0
"""For comparing the classes of the model and of another one, image by image."""
_WARM_UP_SECONDS = 0.1
_MOST_THREADS = 16


class Examination:
    """A model, and what is measured of it.

    Attributes:
        file: the model.
        threads: that operators are timed with.
        baseline: a float model of the same network; None: not given.
        notes: what was not looked at, and why; it grows.
        skipped: names of the checks that could not be made; it grows.

    Args:
        data: labelled images; None: the samples that every file could carry are looked at instead.
        normalization: how pixels enter a network from elsewhere; None: by its file, or measured.
        fit: how pictures of another shape come to its input; None: by its file.
        progress: where bars go.

    Raises:
        ModelError: the model cannot be run.
    """

    def __init__(
        self,
        file: ModelFile,
        *,
        threads: int = 1,
        baseline: ModelFile | None = None,
        data: str | Path | None = None,
        normalization: Normalization | None = None,
        fit: str | None = None,
        progress: Progress = SILENT,
    ) -> None:
        self.file, self.threads, self.baseline, self.notes = file, threads, baseline, list[str]()
        self.skipped: set[str] = set()
        self._data, self._normalization, self._fit, self._progress = data, normalization, fit, progress
        self.session: TFLiteSession = LITERT.open(file, threads=threads)
        self.graph, self.cutter = file.graph, GraphCutter(file.content)

    def open(self, file: ModelFile) -> TFLiteSession:
        """Open a file as the model was: as many threads, and 4-bit weights as they are where those of the model are."""
        return LITERT.open(file, threads=self.threads, as_stored=self.session.as_stored)

    def skip(self, check: str, why: str) -> None:
        """Note that a check could not be made, and why."""
        self.skipped.add(check)
        self.notes.append(why)

    def in_time(self, images: Iterable[_Item], description: str, count: int) -> Iterator[_Item]:
        """Go through images for some seconds, with a bar; at least one is taken."""
        deadline = time.monotonic() + _COMPARE_SECONDS
        with self._progress.task(description, count) as task:
            for number, image in enumerate(images):
                if number and time.monotonic() > deadline:
                    return
                yield image
                task.advance()

    @property
    def source(self) -> str:
        """What `compress` is called with: the run folder that the file lies in, and a folder beside it; else `RUN`."""
        folder = None if self.file.path is None else self.file.path.resolve().parent.parent
        # in its own folder the file would be in the way of what is made with its name
        return f"{shlex.quote(str(folder))} --out NEW" if folder is not None and RunFolder.is_one(folder) else "RUN"

    @property
    def model(self) -> str:
        """What the examined model is called in a command."""
        return shlex.quote(str(self.file.path or self.file.name))

    @cached_property
    def images(self) -> ExaminedImages | None:
        """The images that are run; None: it is no image classifier."""
        try:
            _ = self.file.shape
        except ModelError as error:
            self.notes.append(f"activations were looked at for random numbers, not for images: {error}")
            return None
        if self._data is None:
            return take_samples(self.file)
        return take_photos(self.file, self._data, self._fit, self._progress)

    @cached_property
    def input_tensors(self) -> Sequence[npt.NDArray[Any]]:
        """The model's input for each image; drawn numbers where it is no image classifier."""
        if self.images is not None:
            chosen = choose_range(self.file, self.images, self._normalization)
            self.notes.extend(chosen.range.notes)
            return make_tensors(self.file, self.images.pixels, chosen.applied)
        return [draw_input(self.session.input)]

    def run_openly(self, file: ModelFile, tensors: Sequence[npt.NDArray[Any]]) -> Iterator[TFLiteSession]:
        """Run inputs through the plain kernels, as many as fit `_LOOK_SECONDS`; every tensor can be read each time.

        Nothing, with a note, where the plain kernels do not run the model.

        Args:
            file: the model.
            tensors: its inputs.
        """
        needed = sum(tensor_bytes(file.graph, t.index, {}) for t in file.graph.tensors if t.data is None)
        if needed > ModelLimits.from_environment().bytes:
            self.notes.append(f"what {file.name} computes inside was not looked at: all of it takes {size(needed)}")
            return
        ends = time.perf_counter() + _LOOK_SECONDS
        with self._progress.task(f"running {file.name}", len(tensors)) as task:
            try:
                session = LITERT.open(file, preserve_all_tensors=True, kernels="plain")
                for tensor in tensors:
                    session.run(tensor)
                    yield session
                    task.advance()
                    if time.perf_counter() > ends:
                        return
            except (ModelError, RunFailedError) as error:
                self.notes.append(f"what {file.name} computes inside was not looked at: {error}")

    @cached_property
    def tensors(self) -> Tensors:
        """What the model computes for the first image, by the number of the tensor."""
        session = next(self.run_openly(self.file, self.input_tensors[:1]), None)
        if session is None:
            return {}
        computed = {t for op in self.graph.operators for t in (*op.inputs, *op.outputs) if t >= 0}
        found = {}
        for tensor in computed:
            if self.graph.tensors[tensor].data is None:
                try:
                    found[tensor] = session.read(tensor)
                except (ValueError, RuntimeError):
                    continue  # a tensor of a kind that Python cannot read; what reads it is not timed
        return found

    @cached_property
    def delegated(self) -> frozenset[int]:
        """The operators that the runtime's delegate computes."""
        planned = self.session.planned_operators()
        if planned is None:
            self.notes.append("this runtime does not say which operators its delegate computes")
            return frozenset(range(len(self.graph.operators)))
        return find_delegated(self.graph, planned)

    @cached_property
    def operators(self) -> tuple[OperatorTime, ...]:
        """What each operator takes, in isolation."""
        found = time_operators(self.cutter, self.tensors, self.delegated, self.open, self._progress)
        untimed = sum(operator.microseconds is None for operator in found)
        if untimed:
            self.notes.append(f"{untimed} of {len(found)} operators were not timed (no time left, or they need others)")
        return found

    @cached_property
    def whole(self) -> Turns:
        """Times of the whole model."""
        self.session.run(self.input_tensors[0])
        warm_session(self.session, _WARM_UP_SECONDS)
        return time_in_turns([timed_call(self.session)])

    def confirm(self, numbers: Sequence[int]) -> tuple[float, float]:
        """Time operators once more, and compare with the whole: an operator that was disturbed the first time is not.

        Returns:
            their fraction of the time, the smaller one of that of the sum and that of the whole; microseconds.
        """
        chosen = [operator for operator in self.operators if operator.number in numbers]
        first = {operator.number: operator.microseconds or 0.0 for operator in chosen}
        again = time_again(self.cutter, list(first), self.tensors, self.open)
        spent = sum(min(first[number], again.get(number, first[number])) for number in first)
        total = sum(operator.microseconds or 0.0 for operator in self.operators)
        longest = max(total, self.whole.undisturbed(0))
        return (spent / longest if longest else 0.0), spent

    @cached_property
    def twin_times(self) -> dict[int, TwinTime]:
        """The operators on integers that take a noticeable part of the time, beside their float twins."""
        groups: dict[str, list[int]] = {}
        for operator in self.operators:
            if is_integer(self.graph, operator.number):
                groups.setdefault(self.cutter.signature(operator.number), []).append(operator.number)
        fractions = {operator.number: operator.fraction or 0.0 for operator in self.operators}
        order = sorted(groups.values(), key=lambda numbers: -sum(fractions[n] for n in numbers))
        order = [numbers for numbers in order if sum(fractions[n] for n in numbers) >= LEAST_FRACTION]
        found: dict[int, TwinTime] = {}
        ends = time.perf_counter() + _TWIN_SECONDS
        with self._progress.task("timing float twins", len(order)) as task:
            for numbers in order:
                if time.perf_counter() > ends:
                    self.notes.append("not every operator was compared with its float twin: no time left")
                    break
                twin = compare_with_twin(self.cutter, numbers[0], self.tensors, self.open, _ONE_TWIN_SECONDS)
                if twin is not None:
                    found |= dict.fromkeys(numbers, twin)
                task.advance()
        return found

    def changed(self, change: Change) -> ModelFile | None:
        """Make the whole model with a change; None: it cannot be made, or not be run."""
        try:
            cut = self.cutter.cut(range(len(self.graph.operators)), change)
            made = ModelFile(cut.content, f"a variant of {self.file.name}")
            LITERT.open(made)
        except ModelError:
            return None
        return made

    @cached_property
    def float_twin(self) -> ModelFile | None:
        """The whole model on float32, its weights as they are rounded; None: it has none."""
        return self.changed(make_float)

    def compare_with(self, variant: ModelFile, *, reopened: bool = False) -> Ratio:
        """Time the model beside a variant of it that takes the same input; a ratio above 1: the model is slower.

        Args:
            variant: the other model.
            reopened: open the model anew, since where its memory lies may cost time.
        """
        own = LITERT.open(self.file, threads=self.threads) if reopened else self.session
        other = LITERT.open(variant, threads=self.threads)
        own.run(self.input_tensors[0])
        other.run(self.as_input_of(other, self.input_tensors[0]))
        return time_in_turns([timed_call(own), timed_call(other)]).compare(0, 1)

    def as_input_of(self, session: TFLiteSession, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Turn an input of the model into that of a variant: for a float twin what the integers stand for."""
        own = self.session.input
        if session.input.dtype == own.dtype or not own.scale:
            return tensor
        return ((tensor.astype(np.float32) - own.zero_point) * own.scale).astype(np.float32)

    @cached_property
    def thread_turns(self) -> tuple[tuple[int, ...], Turns]:
        """Numbers of threads, and the times of the whole model at each, in turns."""
        counts = {1, self.threads}
        count = 2
        while count <= min(usable_cores(), _MOST_THREADS):
            counts.add(count)
            count *= 2
        ordered = tuple(sorted(counts))
        calls = []
        with self._progress.task("timing threads", len(ordered)) as task:
            for number in ordered:
                session = LITERT.open(self.file, threads=number)
                session.run(self.input_tensors[0])
                warm_session(session, _WARM_UP_SECONDS)
                calls.append(timed_call(session))
                task.advance()
            return ordered, time_in_turns(calls, seconds=2.0)

    @property
    def thread_times(self) -> tuple[ThreadTime, ...]:
        """Median milliseconds of the whole model by number of threads."""
        counts, turns = self.thread_turns
        return tuple(ThreadTime(n, round(turns.microseconds(i) / 1e3, 6)) for i, n in enumerate(counts))
