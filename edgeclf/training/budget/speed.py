"""Milliseconds of candidates: measured on this machine, or estimated from the report of a board."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edgeclf.errors import InputError
from edgeclf.measure.formatting import milliseconds
from edgeclf.measure.machine import describe_machine
from edgeclf.measure.report import ModelResult
from edgeclf.measure.report_file import load_report
from edgeclf.progress import Progress
from edgeclf.training.budget.candidates import Candidate
from edgeclf.training.budget.choice import Timer
from edgeclf.training.config import TrainConfig

_CERTAIN = 1.5
"""A candidate is not measured where another of its network says that it takes this many times what is allowed."""
_8BIT_BYTES = 1.6
"""Bytes of a file for each parameter up to which its weights have 8 bits."""


class Speed(Protocol):
    """A way to find milliseconds."""

    @property
    def source(self) -> str:
        """What the milliseconds are from, in words."""

    def timer(self, progress: Progress) -> Timer:
        """Return a function from a candidate to the milliseconds of one inference on one thread."""


@dataclass(frozen=True)
class MeasuredHere:
    """Converts candidates to int8 and times them on this machine.

    Args:
        config: of the run: its limit of latency, and the file that it starts from.
        trust_model: that file may be loaded even if that runs code from it.
    """

    config: TrainConfig
    trust_model: bool = False

    @property
    def source(self) -> str:
        """The machine."""
        return f"measured on {describe_machine().processor}, 1 thread; of networks that are clearly too slow, estimated"

    def timer(self, progress: Progress) -> Timer:
        """Return a function that measures, or scales what was measured of the same network where that decides."""
        limit, measured = self.config.max_latency or math.inf, dict[str, tuple[int, float]]()

        def time(candidate: Candidate) -> float:
            if candidate.network in measured:
                macs, found = measured[candidate.network]
                scaled = found * candidate.macs / macs
                if scaled > _CERTAIN * limit:
                    return scaled
            with progress.task("loading TensorFlow", None):
                from edgeclf.training.budget.timing import measure_candidate
            name = f"{candidate.name} at {candidate.image_size} pixels"
            with progress.task(f"timing {name}", None):
                found = measure_candidate(candidate, self.config.weights, trust_model=self.trust_model)
            progress.info(f"{name} as int8: {milliseconds(found)} on this machine, 1 thread")
            measured[candidate.network] = (candidate.macs, found)
            return found

        return time


@dataclass(frozen=True)
class BoardSpeed:
    """Estimates from a report of `edgeclf bench` on a board: time grows as multiply-accumulates do.

    Args:
        path: of the report.
        cpu: of the board.
        models: of the report, each with its multiply-accumulates.
    """

    path: str
    cpu: str
    models: tuple[ModelResult, ...]

    @classmethod
    def read(cls, path: str) -> BoardSpeed:
        """Read a report.

        Raises:
            InputError: it is none, or has no model to scale from.
        """
        report = load_report(path)
        usable = [model for model in report.models if model.macs]
        fewest = min((model.threads for model in usable), default=1)
        models = tuple(model for model in usable if model.threads == fewest)
        if not models:
            raise InputError(f"{path}: expected a model with its multiply-accumulates, got none; bench a .tflite file")
        return cls(path, report.machine.processor, models)

    @property
    def source(self) -> str:
        """The board, and how."""
        names = ", ".join(dict.fromkeys(model.name for model in self.models))
        threads = self.models[0].threads
        beside = "" if threads == 1 else f" with {threads} threads, since it was measured with no fewer"
        return f"an estimate: MACs times the time of {names} on {self.cpu}{beside} ({self.path})"

    def timer(self, progress: Progress) -> Timer:
        """Return a function that scales the most similar model of the report."""
        return lambda candidate: estimate_latency(candidate, self.models)


def estimate_latency(candidate: Candidate, models: Sequence[ModelResult]) -> float:
    """Scale the time of the most similar model that was measured by the multiply-accumulates.

    Files with 8-bit weights come before others, those named after the same network before others, then the nearest in
    multiply-accumulates.

    Args:
        candidate: to estimate.
        models: of a report; at least one, each with its multiply-accumulates.

    Returns:
        milliseconds.
    """

    def unlike(model: ModelResult) -> tuple[bool, bool, float]:
        large = model.size_bytes > _8BIT_BYTES * (model.parameters or model.size_bytes)
        named = candidate.network in f"{model.path} {model.name}".replace("_", "-")
        return large, not named, abs(math.log(candidate.macs / (model.macs or 1)))

    nearest = min(models, key=unlike)
    return nearest.latency_ms.median * candidate.macs / (nearest.macs or 1)
