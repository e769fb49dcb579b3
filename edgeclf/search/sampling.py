"""How a study chooses values, which trials it gives up early, and the points of a grid."""

from __future__ import annotations

import contextlib
import itertools
import random
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from edgeclf.errors import UnknownNameError
from edgeclf.search.space import Space, Value

METHODS = ("tpe", "random", "grid")
"""Tree-structured Parzen estimators (Bergstra et al., 2011), uniform draws (Bergstra and Bengio, 2012), all points of a
grid, which are enqueued."""
PRUNERS = ("none", "median", "hyperband")
"""No trial is given up; those below the median of the others at the same step; Hyperband (Li et al., 2018)."""
RANDOM_TRIALS = 5
"""Suggested trials that are drawn at random, before the sampler has seen enough."""
_MEDIAN_TRIALS, _MEDIAN_STEPS = 5, 2


def check_method(method: str, pruner: str = "none") -> None:
    """Refuse what is no method and no pruner.

    Raises:
        UnknownNameError: there is no such method or pruner.
    """
    if method not in METHODS:
        raise UnknownNameError("search", method, METHODS)
    if pruner not in PRUNERS:
        raise UnknownNameError("pruner", pruner, PRUNERS)


def make_sampler(method: str, seed: int) -> Any:
    """Make a sampler of Optuna; a grid suggests nothing, and what it is asked for beyond its points is drawn."""
    from optuna.samplers import RandomSampler, TPESampler

    with quiet():
        if method == "tpe":
            return TPESampler(seed=seed, n_startup_trials=RANDOM_TRIALS, constant_liar=True)
        return RandomSampler(seed=seed)


def make_pruner(name: str, last_step: int) -> Any:
    """Make a pruner of Optuna.

    Args:
        name: one of `PRUNERS`.
        last_step: at which a whole trial reports last; the first is 1.
    """
    from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner

    if name == "median":
        return MedianPruner(n_startup_trials=_MEDIAN_TRIALS, n_warmup_steps=_MEDIAN_STEPS)
    if name == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=last_step, reduction_factor=3)
    return NopPruner()


def seed_of(seed: int, position: int) -> int:
    """Return the seed of the sampler of one trial."""
    return random.Random(f"{seed}/{position}").getrandbits(32)


def grid_points(space: Space, points: int = 3) -> Iterator[dict[str, Value]]:
    """List all combinations of the values of a space, of ranges so many points, their ends included."""
    for values in itertools.product(*(part.points(points) for part in space.values())):
        yield dict(zip(space, values, strict=True))


def choose_untried(
    points: Iterable[Mapping[str, Value]], tried: Sequence[Mapping[str, Value]], near: Mapping[str, Value], seed: int
) -> dict[str, Value] | None:
    """Choose a point that was not tried yet, with as many values of `near` as can be; of several one is drawn.

    Returns:
        the point; None: all were tried.
    """
    known = {frozenset(one.items()) for one in tried}
    left = [dict(one) for one in points if frozenset(one.items()) not in known]
    alike = [len(one.items() & near.items()) for one in left]
    most = max(alike, default=0)
    nearest = [one for one, count in zip(left, alike, strict=True) if count == most]
    return random.Random(seed).choice(nearest) if nearest else None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna's warnings away: parts that are used here are called experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
