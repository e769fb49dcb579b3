"""Refuses a float network that is no better than guessing on the user's own labelled images."""

from __future__ import annotations

from edgeclf.compression.pipeline.context import RecipeContext
from edgeclf.compression.pipeline.scoring import scored_split
from edgeclf.errors import DataError
from edgeclf.inference.range_measurement import chance_level, could_be_chance
from edgeclf.keras_files.loading import LoadedNetwork
from edgeclf.measure.statistics import wilson_interval

_USEFUL = 0.25
"""Of the way from chance to perfect: a network whose top-1 is surely below does not know these classes."""


def check_better_than_chance(loaded: LoadedNetwork, context: RecipeContext) -> tuple[str, ...]:
    """Refuse a network from elsewhere whose predictions are as good as guessing, where there are enough images to see.

    A few images cannot show it: then, and for a run of edgeclf's own, whose pixels and classes are known, a note is
    returned instead.

    Args:
        loaded: the network as it was found.
        context: with the float top-1.

    Returns:
        notes, a line each.

    Raises:
        DataError: the top-1 could be chance, and its 95 % interval (Wilson) ends below a quarter of the way from chance
            to perfect.
    """
    scored = scored_split(context.data)
    if scored is None or context.float_top1 is None or context.data is None:
        return ()
    split, labels, classes = scored[0], scored[1].labels, len(context.original.classes)
    count = len(labels)
    right = round(context.float_top1 * count)
    if not could_be_chance(right, labels, classes):
        return ()
    chance = chance_level(labels, classes)
    interval = wilson_interval(right, count)
    name = loaded.path.name if loaded.run is None else loaded.run.path.name
    counted = f"{name}: {right} of {count} {split} labels are right ({right / count:.1%}; chance: {chance:.1%})"
    if interval[1] >= chance + _USEFUL * (1 - chance):
        return _warn(context, f"{counted}: too few images to see whether the network knows these classes")
    if loaded.run is not None:
        return _warn(context, f"{counted}: the network of this run is near chance; train it better first")
    entered = context.network_input
    raise DataError(
        f"{counted}: expected a network that is better than chance. Pixels entered as {entered.normalization.text} "
        f"({entered.source}): say with --normalize how it was trained (caffe, torch, tf, 0..1, raw, mean/std). Or its "
        f"classes stand in another order than {_shown(context.data.class_names)}: name them with --labels FILE, or "
        "name the folders so that they sort in its order"
    )


def _warn(context: RecipeContext, line: str) -> tuple[str, ...]:
    context.progress.warn(line)
    return (line,)


def _shown(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
