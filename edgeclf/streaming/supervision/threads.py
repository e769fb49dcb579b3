"""Choose the threads of the interpreter by a short measurement on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import numpy as np

from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import Normalization
from edgeclf.inference.classifier import Classifier
from edgeclf.measure.machine import usable_cores

SECONDS_EACH = 0.12
WORTH_A_THREAD = 0.9
"""A further thread must save a tenth of the time: cores are also needed for the camera and the picture."""


def list_thread_counts(cores: int) -> tuple[int, ...]:
    """List counts worth trying: 1, 2 and 4 as far as there are cores."""
    return tuple(count for count in (1, 2, 4) if count == 1 or count <= cores)


def choose_threads(
    file: ModelFile, *, runtime: str, normalization: Normalization | None, counts: Sequence[int] | None = None
) -> tuple[int, dict[int, float]]:
    """Measure the median milliseconds that each count of threads takes, and choose one.

    Takes about an eighth of a second a count.

    Raises:
        ModelError: the model cannot be used.
    """
    medians: dict[int, float] = {}
    for count in counts or list_thread_counts(usable_cores()):
        classifier = Classifier(file, runtime=runtime, threads=count, normalize=normalization)
        picture = np.random.default_rng(0).integers(0, 256, (classifier.height, classifier.width, 3), np.uint8)
        classifier.scores(picture)
        times: list[float] = []
        ends = time.perf_counter() + SECONDS_EACH
        while not times or time.perf_counter() < ends:
            began = time.perf_counter()
            classifier.scores(picture)
            times.append(time.perf_counter() - began)
        medians[count] = statistics.median(times) * 1000
    return choose_count(medians), medians


def choose_count(medians: dict[int, float]) -> int:
    """Choose the largest count of which each step up saves a tenth of the time, or more."""
    chosen = min(medians)
    for count in sorted(medians):
        if medians[count] < WORTH_A_THREAD * medians[chosen]:
            chosen = count
    return chosen
