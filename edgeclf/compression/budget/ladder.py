"""The recipes that are tried first, cheapest first, and what the search beyond them may choose from."""

from __future__ import annotations

import glob
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgeclf.compression.budget.judging import Measured
from edgeclf.compression.budget.limits import Budget
from edgeclf.compression.choice import SMALLER_FORMATS, setting_types, with_settings
from edgeclf.compression.export.tflite import TFLite
from edgeclf.compression.recipe import Recipe
from edgeclf.compression.step import STEPS
from edgeclf.errors import InputError
from edgeclf.records import Record
from edgeclf.search import Choice, Range, Space

MORE_CALIBRATION = 4
"""Times as many training images set the ranges on the second rung."""
SHRINK_STEPS = (0.0, 0.1, 0.2)
"""How much more than what the limits need, by proportion, is shrunk on the rungs."""
FLOAT_LAYERS = (1, 3)
"""Layers that stay in float on the selective rungs, those that make the most noise first."""
TRIED_STEPS = ("shrink", "qat")
MOST_SHRUNK = 0.95
_ROUND = 0.05
TIME_NOISE = 1.1
"""Times are taken to break their limit for good where they do so by more than this factor."""


@dataclass(frozen=True)
class Rung(Record):
    """A recipe to try.

    Attributes:
        recipe: its plain values.
        calibration: training images that set the quantization ranges.
    """

    recipe: dict[str, Any]
    calibration: int

    @classmethod
    def of(cls, recipe: Recipe, calibration: int) -> Rung:
        """Make the rung of a recipe."""
        return cls(recipe.to_dict(), calibration)


@dataclass(frozen=True)
class Means:
    """What recipes may be made of.

    Attributes:
        bases: without steps, the formats that are allowed; the first one is the main one.
        settings: of steps and exporters, as the caller gave them.
        calibration: training images that set the quantization ranges.
        train_images: that there are.
        steps: kinds of steps that go with the network.
        may_train: False: whatever is trained, the budget could not be proven.
        most_shrunk: fraction of the multiply-accumulates that can go from the network, at most.
        noisy_layers: names of the layers whose rounding shows most at the network's output, worst first; empty: they
            were not measured.
        named: whether the caller named the bases; else smaller formats among them are for files that are too large.
    """

    bases: tuple[Recipe, ...]
    settings: Mapping[str, Any]
    calibration: int
    train_images: int
    steps: frozenset[str]
    may_train: bool = True
    most_shrunk: float = MOST_SHRUNK
    noisy_layers: tuple[str, ...] = ()
    named: bool = False


def make_ladder(means: Means, budget: Budget, plain: Measured) -> tuple[Rung, ...]:
    """List the recipes that could hold the budget, cheapest first.

    Args:
        means: what they may be made of.
        budget: the limits.
        plain: the first of the bases, measured: what makes it neither smaller nor faster is left out where it
            has to be.
    """
    needed, wanted = needed_shrink(budget, plain), wanted_shrink(budget, plain)
    fits = budget.max_size is None or plain.size_bytes <= budget.max_size
    needless = SMALLER_FORMATS if fits and not means.named else ()
    bases = [base for base in means.bases if base.export.label() not in needless]
    rungs = [Rung.of(base, means.calibration) for base in bases]
    as_large = needed == 0
    if as_large and budget.max_drop is not None:
        rungs += _calibrated(means) + [Rung.of(recipe, means.calibration) for recipe in _selective(means)]
    if not means.may_train:
        return tuple(rungs)
    if as_large and budget.max_drop is not None:
        rungs += _with_steps(means, ("qat",))
    for shrunk in _list_shrunk(means, budget, plain) if wanted > 0 else ():
        rungs += _with_steps(means, ("shrink",), shrunk)
        # rounding that was trained with changes neither size nor time
        rungs += _with_steps(means, ("shrink", "qat"), shrunk) if budget.max_drop is not None else []
    return tuple({str(rung.to_dict()): rung for rung in rungs}.values())


def needed_shrink(budget: Budget, plain: Measured) -> float:
    """Return the fraction of the network that has to go whatever the noise of a time is; 0: none."""
    return _shrink(budget, plain, TIME_NOISE)


def wanted_shrink(budget: Budget, plain: Measured) -> float:
    """Return the fraction of the network that has to go by what was measured, if size and time are in proportion."""
    return _shrink(budget, plain, 1.0)


def _shrink(budget: Budget, plain: Measured, noise: float) -> float:
    ratios = [1.0]
    if budget.max_size is not None:
        ratios.append(budget.max_size / plain.size_bytes)
    if budget.max_latency is not None and plain.latency_ms:
        ratio = budget.max_latency / plain.latency_ms
        ratios.append(1.0 if ratio * noise >= 1 else ratio)
    return 1 - min(ratios)


def _list_shrunk(means: Means, budget: Budget, plain: Measured) -> list[dict[str, float]]:
    """List how far the rungs shrink: to the size where that alone is exceeded, else by more and more."""
    if _shrinks_to_size(means, budget, plain):
        return [{"shrink_target_size": budget.max_size or 0}]
    wanted = wanted_shrink(budget, plain)
    fractions = [math.ceil(round((wanted + more) / _ROUND, 6)) * _ROUND for more in SHRINK_STEPS]
    return [{"shrink_fraction": round(min(means.most_shrunk, fraction), 4)} for fraction in fractions]


def _shrinks_to_size(means: Means, budget: Budget, plain: Measured) -> bool:
    """Return whether the file's size is all that shrinking is for, nothing else was given, and it seems in reach."""
    fast = budget.max_latency is None or not plain.latency_ms or plain.latency_ms <= budget.max_latency
    free = _find_given(means.settings, "shrink_fraction") is None and "shrink_target_size" in setting_types()
    near = 0 < wanted_shrink(budget, plain) <= means.most_shrunk
    # the step counts the bytes of int8 models
    export = means.bases[0].export
    counted = type(export) is TFLite and export.format == "int8" and not export.policy.selects
    too_large = budget.max_size is not None and plain.size_bytes > budget.max_size
    return counted and fast and free and near and too_large


def make_space(means: Means, budget: Budget, plain: Measured) -> Space:
    """Return what the search beyond the ladder chooses from: settings by key; empty: there is nothing to choose."""
    if not means.may_train:
        return {}
    space: dict[str, Range | Choice] = {}
    known, wanted = setting_types(), wanted_shrink(budget, plain)
    if "shrink" in means.steps and wanted > 0:
        low = min(means.most_shrunk, max(_ROUND, wanted))
        if _shrinks_to_size(means, budget, plain):
            space["shrink_target_size"] = Choice((budget.max_size or 0,))
        else:
            space["shrink_fraction"] = Range(round(low, 4), means.most_shrunk)
    elif needed_shrink(budget, plain) > 0:
        return {}
    if "qat" in means.steps and budget.max_drop is not None and _can(means, ("qat",)):
        space["qat_epochs"] = Range(3, 30, log=True, whole=True)
        space["qat_learning_rate"] = Range(5e-5, 2e-3, log=True)
        space["qat_distill"] = Range(0.0, 1.0)
    if all(isinstance(part, Choice) or part.low == part.high for part in space.values()):
        return {}
    given = {key: Choice((value,)) for key in space if (value := _find_given(means.settings, key)) is not None}
    # what is given is no choice, but belongs to the recipes
    return {key: given.get(key, part) for key, part in space.items() if key in known} if space.keys() - given else {}


def recipe_of(values: Mapping[str, Any], means: Means) -> Rung:
    """Return the recipe that values of the search's space stand for."""
    kinds = [kind for kind in TRIED_STEPS if any(key.startswith(f"{kind}_") for key in values)]
    (rung,) = _with_steps(means, kinds, values)
    return rung


def _calibrated(means: Means) -> list[Rung]:
    more = min(MORE_CALIBRATION * means.calibration, means.train_images)
    if more < 2 * means.calibration or not means.bases[0].calibrates:
        return []
    return [Rung.of(means.bases[0], more)]


def can_keep_float(recipe: Recipe) -> bool:
    """Return whether layers of a recipe's models can be kept in float, and none are named that do."""
    export = recipe.export
    return isinstance(export, TFLite) and export.tunable and not export.policy.selects


def _selective(means: Means) -> list[Recipe]:
    """Return variants of the main recipe that keep the noisiest layers in float, the fewest first."""
    main = means.bases[0]
    if not can_keep_float(main):
        return []
    counts = dict.fromkeys(min(count, len(means.noisy_layers)) for count in FLOAT_LAYERS)
    names = [glob.escape(layer) for layer in means.noisy_layers]
    return [with_settings(main, {"float_layers": names[:count]}) for count in counts if count]


def _with_steps(means: Means, kinds: Sequence[str], values: Mapping[str, Any] | None = None) -> list[Rung]:
    if not all(kind in means.steps for kind in kinds) or not _can(means, kinds):
        return []
    steps = tuple(STEPS[kind]() for kind in STEPS if kind in kinds)
    for order in itertools.permutations(steps):
        try:
            recipe = Recipe(order, means.bases[0].export)
        except InputError:  # steps have an order
            continue
        return [Rung.of(with_settings(recipe, {**(values or {}), **means.settings}), means.calibration)]
    return []


def _find_given(settings: Mapping[str, Any], key: str) -> Any:
    """Return what the caller gave for a setting of a step, under its own name or that of all steps; None: nothing."""
    return settings.get(key, settings.get(key.partition("_")[2]))


def _can(means: Means, kinds: Sequence[str]) -> bool:
    """Return whether steps go with the main format."""
    try:
        for kind in kinds:
            STEPS[kind]().check_export(means.bases[0].export)
    except InputError:
        return False
    return True
