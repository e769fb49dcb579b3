"""A study made again from the records of its trials, for the plots of Optuna."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgeclf.search.sampling import quiet
from edgeclf.search.space import Choice, Space, Value


@dataclass(frozen=True)
class ViewedTrial:
    """What a plot shows of a trial.

    Attributes:
        values: that were chosen, by name.
        score: the larger, the better.
        curve: intermediate scores by step.
        pruned: whether it was given up early.
    """

    values: Mapping[str, Value]
    score: float
    curve: Mapping[int, float]
    pruned: bool


def make_view(trials: Sequence[ViewedTrial], space: Space) -> Any:
    """Make a study of Optuna in memory, which is maximized.

    Args:
        trials: in order.
        space: what values were chosen from; names that are not in it get the values that trials have.
    """
    import optuna
    from optuna.trial import TrialState, create_trial

    seen: dict[str, dict[Value, None]] = {}
    for one in trials:
        for name, value in one.values.items():
            seen.setdefault(name, {})[value] = None
    parts = {name: space[name] if name in space else Choice(tuple(values)) for name, values in seen.items()}
    with quiet():
        study = optuna.create_study(direction="maximize")
        for one in trials:
            study.add_trial(
                create_trial(
                    state=TrialState.PRUNED if one.pruned else TrialState.COMPLETE,
                    value=one.score,
                    params=dict(one.values),
                    distributions={name: parts[name].distribution() for name in one.values},
                    intermediate_values=dict(one.curve),
                )
            )
    return study
