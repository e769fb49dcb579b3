"""Chooses among candidates: a function of what they cost and are worth, and of the limits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgeclf.errors import InputError
from edgeclf.measure.formatting import counted, number, percent, size
from edgeclf.records import Record
from edgeclf.training.budget.candidates import SCRATCH, Candidate
from edgeclf.training.budget.limits import Limits

SHOWN = 12
"""Candidates in a table."""
RANKING = "ranked by the published ImageNet top-1 of the start, corrected for the input size: a heuristic"

Timer = Callable[[Candidate], float | None]
"""Measures or estimates milliseconds of a candidate; None: it could not be."""


@dataclass(frozen=True)
class NetworkChoice(Record):
    """The network that was chosen, and what it was chosen from.

    Attributes:
        limits: that hold.
        budget: what was asked for, in words.
        chosen: the candidate that is trained.
        candidates: up to a dozen around it, the best first; with the limits that they break.
        considered: number of all candidates.
        reason: one sentence.
        latency_from: what the milliseconds are from; empty: there are none.
        asked: whether the user asked for a budget; else photos got the default one.
    """

    limits: Limits
    budget: str
    chosen: Candidate
    candidates: tuple[Candidate, ...]
    considered: int
    reason: str
    latency_from: str = ""
    asked: bool = True


class NothingFitsError(InputError):
    """No candidate fits.

    Attributes:
        nearest: the one that breaks its worst limit by the least.
        candidates: all of them, the best first, with the limits that they break, and their latency where it was found.
    """

    def __init__(self, candidates: Sequence[Candidate], limits: Limits, budget: str) -> None:
        nearest = min(candidates, key=limits.excess)
        super().__init__(
            f"no network fits {budget}: the nearest, {nearest.name} at {nearest.image_size} pixels, takes "
            f"{limits.describe(nearest)}; allow more"
            + (", or train a smaller one from scratch with --weights none" if nearest.start != SCRATCH else "")
        )
        self.nearest, self.candidates = nearest, tuple(candidates)


def choose(
    candidates: Sequence[Candidate], limits: Limits, budget: str, *, time: Timer | None = None, latency_from: str = ""
) -> NetworkChoice:
    """Choose the best candidate that breaks no limit.

    Args:
        candidates: at least one.
        limits: that hold.
        budget: what was asked for, in words.
        time: asked for the best candidates that fit otherwise, one after the other, until one holds the limit of
            latency; None: latency is no limit.
        latency_from: what `time` returns is from.

    Raises:
        NothingFitsError: all of them break one.
    """
    ordered = [_judge(c, limits) for c in sorted(candidates, key=lambda candidate: candidate.rank, reverse=True)]
    chosen: Candidate | None = None
    for place, candidate in enumerate(ordered):
        if candidate.breaks:
            continue
        if time is not None:
            candidate = ordered[place] = _judge(dataclasses.replace(candidate, latency_ms=time(candidate)), limits)
            if candidate.breaks:
                continue
        chosen = candidate
        break
    if chosen is None:
        raise NothingFitsError(ordered, limits, budget)
    reason = _explain(chosen, ordered, budget)
    return NetworkChoice(limits, budget, chosen, _around(chosen, ordered), len(ordered), reason, latency_from)


def take_anyway(refused: NothingFitsError, limits: Limits, budget: str, *, latency_from: str = "") -> NetworkChoice:
    """Choose the nearest of the candidates that do not fit, where the user's own numbers leave no other."""
    chosen, ordered = refused.nearest, refused.candidates
    reason = f"{chosen.name} at {chosen.image_size} pixels, as given, breaks {budget}: {limits.describe(chosen)}"
    return NetworkChoice(limits, budget, chosen, _around(chosen, ordered), len(ordered), reason, latency_from)


def _judge(candidate: Candidate, limits: Limits) -> Candidate:
    return dataclasses.replace(candidate, breaks=limits.broken_by(candidate))


def _around(chosen: Candidate, ordered: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return the chosen one between the worst of those that rank above it and the best of those below."""
    place = ordered.index(chosen)
    first = max(0, min(place - SHOWN // 2, len(ordered) - SHOWN))
    return tuple(ordered[first : first + SHOWN])


def _explain(chosen: Candidate, ordered: Sequence[Candidate], budget: str) -> str:
    fitting = [candidate for candidate in ordered if not candidate.breaks]
    facts = f"{number(chosen.macs)} MACs, about {size(chosen.size_bytes)} as int8"
    if chosen.worth > 0:
        why = f"the best start that fits {budget}, worth {percent(chosen.worth, 1)} of ImageNet at this size"
    elif chosen is fitting[-1] and len(fitting) == 1:
        why = f"the only one of {counted(len(ordered), 'candidate')} that fits {budget}"
    else:
        why = f"it fits {budget}"
    return f"{chosen.name} at {chosen.image_size} pixels ({facts}): {why}"


def describe_choice(choice: NetworkChoice) -> tuple[str, ...]:
    """Describe the candidates that are shown, a line each, where no table can be drawn."""
    lines = []
    for candidate in choice.candidates:
        verdict = f"takes {choice.limits.describe(candidate)}" if candidate.breaks else "fits"
        lines.append(
            f"candidate {candidate.name} at {candidate.image_size} pixels from {candidate.start}: "
            f"{number(candidate.macs)} MACs, {size(candidate.size_bytes)}, "
            f"{'chosen' if candidate == choice.chosen else verdict}"
        )
    return tuple(lines)
