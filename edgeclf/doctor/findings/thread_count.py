"""A number of threads at which the model is slower than at fewer."""

from __future__ import annotations

from edgeclf.doctor.examination import Examination
from edgeclf.doctor.report import Finding
from edgeclf.doctor.timing import Turns
from edgeclf.measure.formatting import milliseconds, percent, threads

CAUSE = "thread-count"
LEAST_RATIO = 1.2
"""Times as long as at the best smaller number, at the lower end of the interval."""


def find_thread_count(examination: Examination) -> list[Finding]:
    """Time the model at 1, 2, 4 threads and so on up to the cores, and at the number that was asked for."""
    counts, turns = examination.thread_turns
    return decide(counts, turns, examination.threads, examination.model)


def decide(counts: tuple[int, ...], turns: Turns, asked: int, model: str) -> list[Finding]:
    """Decide by the times at each number of threads, and the number that was asked for."""
    place = counts.index(asked)
    fewer = range(place)
    if not fewer:
        return []
    best = min(fewer, key=turns.microseconds)
    ratio = turns.compare(place, best)
    if ratio.low < LEAST_RATIO:
        return []
    lost = 1 - 1 / ratio.value
    sentence = (
        f"At {threads(asked)} a prediction takes {milliseconds(turns.microseconds(place) / 1e3)}, at "
        f"{threads(counts[best])} {milliseconds(turns.microseconds(best) / 1e3)}: {percent(lost, 0)} of the time goes "
        "into waiting for each other."
    )
    return [Finding.rated(CAUSE, "time", lost, sentence, f"edgeclf predict {model} IMAGE --threads {counts[best]}")]
