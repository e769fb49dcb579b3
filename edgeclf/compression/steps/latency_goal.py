"""Finds how much of the time of the layers may stay so that the int8 model is as fast as asked for on this machine."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.model_file import ModelFile
from edgeclf.compression.step import Checkpoints, StepContext
from edgeclf.compression.steps.candidate import export_candidate
from edgeclf.compression.steps.goals import Goals
from edgeclf.compression.steps.scored_network import ScoredNetwork
from edgeclf.errors import InputError
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.measure.machine import describe_machine
from edgeclf.measure.speed import measure_speed

CANDIDATES = 6
"""Networks that are timed between the whole one and the smallest one; each halves the rest of the search."""


class CandidateTimer:
    """Times candidates in turns with the whole network, since processors change their speed within a search.

    On a shared machine the same int8 MobileNetV2 took 2.3 to 4 ms within hours: candidates that are timed one after the
    other differ by when they were. The ratio of two networks does so less, and a time is that ratio of the least that
    the whole network took.

    Args:
        context: for the export; its original is the whole network.

    Attributes:
        whole_ms: least median of the whole network so far, milliseconds.
    """

    def __init__(self, context: StepContext) -> None:
        self._context = context
        self._whole: ModelFile | None = None
        self.whole_ms = math.inf

    def time(self, network: FloatNetwork) -> float:
        """Export a network to int8 and time it with one thread: how often as long it takes as the whole one."""
        if self._whole is None:
            self._whole = self._export(self._context.original)
        found = measure_speed(self._export(network), self._whole)
        self.whole_ms = min(self.whole_ms, found.float32_median_ms)
        return 1 / found.times_as_fast

    def _export(self, network: FloatNetwork) -> ModelFile:
        return ModelFile(export_candidate(network, self._context), "candidate.tflite")


def keep_measured(
    checkpoints: Checkpoints | None,
    what: str,
    round_number: int,
    is_usable: Callable[[npt.NDArray[Any]], bool],
    find: Callable[[], npt.NDArray[Any]],
) -> npt.NDArray[Any]:
    """Return what `find` does, or what it returned for the same round before the call was killed.

    Times are never twice the same, and a network of other widths would have to be trained again.

    Args:
        checkpoints: of the step, where it is kept; None: nowhere.
        what: it is.
        round_number: in which channels go.
        is_usable: whether it is taken, and kept.
        find: it, by times of this machine.
    """
    label = f"{what}, round {round_number}, {describe_machine().processor}"
    kept = None if checkpoints is None else checkpoints.load(label)
    if kept is not None and len(kept) == 1 and is_usable(kept[0]):
        return kept[0]
    found = find()
    if checkpoints is not None and is_usable(found):
        checkpoints.save(label, [found])
    return found


def find_time_for_latency(
    scored: ScoredNetwork,
    target_ms: float,
    context: StepContext,
    timer: CandidateTimer,
) -> int:
    """Bisect the time of the products between that of the whole network and of the smallest one.

    The time of the products says how channels are chosen; that of the whole model is measured for each candidate.

    Args:
        scored: the network, with the times of its products.
        target_ms: median milliseconds of the int8 model, one thread.
        context: for the progress.
        timer: of candidates.

    Returns:
        the goal, nanoseconds, by which `choose_channels` finds the slowest network within `target_ms`; that of
        the whole network where it is within that.

    Raises:
        InputError: the smallest network takes longer.
    """

    times: dict[bytes, float] = {}

    def time_with(kept: npt.NDArray[np.bool_]) -> float:
        key = kept.tobytes()
        if key not in times:
            times[key] = timer.time(scored.cut(kept))
        return times[key] * timer.whole_ms

    low, high = scored.graph.nanoseconds(scored.choose_least()), scored.graph.nanoseconds()
    goal = low
    with context.progress.task("searching for the widths by time", CANDIDATES + 2) as task:
        if time_with(scored.graph.everything) <= target_ms:
            return high
        task.advance(1)
        fastest = time_with(scored.choose(Goals(nanoseconds=low)))
        if fastest > target_ms:
            raise InputError(
                f"target_latency {target_ms:g} ms: the smallest network with {scored.widths.minimum} channels a layer "
                f"takes {fastest:.3g} ms on this machine; ask for more, or lower --set shrink_minimum"
            )
        task.advance(1)
        for _ in range(CANDIDATES):
            middle = round(math.sqrt(low * high))
            kept = scored.choose(Goals(nanoseconds=middle))
            if time_with(kept) <= target_ms:
                # not what it has: by that goal other channels might be chosen, which nobody has timed
                low, goal = max(low, scored.graph.nanoseconds(kept)), middle
            else:
                high = min(middle, scored.graph.nanoseconds(kept))
            task.advance(1)
            if high - low < 0.01 * high:
                break
    return goal
