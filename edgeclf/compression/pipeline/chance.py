"""Refuses a float network that is no better than guessing on the user's own labelled images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeclf.compression.pipeline.context import RecipeContext
from edgeclf.compression.pipeline.scoring import scored_split
from edgeclf.dataset import Dataset
from edgeclf.errors import DataError
from edgeclf.inference.chance import chance_level, could_be_chance
from edgeclf.keras_files.loading import LoadedNetwork
from edgeclf.measure.accuracy import LABELLED_RANGE_IMAGES, range_rows
from edgeclf.measure.statistics import wilson_interval

_USEFUL = 0.25
"""Of the way from chance to perfect: a network whose top-1 is surely below does not know these classes."""
_Z_999 = 3.29
"""Of the interval that counts as sure: a useful network must not be refused for a few unlucky images."""


def check_better_than_chance(loaded: LoadedNetwork, context: RecipeContext) -> tuple[str, ...]:
    """Refuse a network from elsewhere whose predictions are as good as guessing, where there are enough images to see.

    Where the split that is scored is too small to see it, training images are looked at besides. Where all are too few,
    and for a run of edgeclf's own, whose pixels and classes are known, a note is returned instead.

    Args:
        loaded: the network as it was found.
        context: with the float top-1.

    Returns:
        notes, a line each.

    Raises:
        DataError: the top-1 could be chance, and its 99.9 % interval (Wilson) ends below a quarter of the way from
            chance to perfect.
    """
    scored, data = scored_split(context.data), context.data
    if scored is None or context.float_correct is None or data is None:
        return ()
    split, classes = scored[0], len(context.original.classes)
    counted = _Counted(scored[1].labels, context.float_correct, classes)
    if not counted.could_be_chance:
        return ()
    if counted.too_few and "train" in data.splits:
        counted, split = _with_training_images(counted, context, data), f"{split} and training"
        if not counted.could_be_chance:
            return ()
    name = loaded.path.name if loaded.run is None else loaded.run.path.name
    count, right = len(counted.labels), int(counted.correct.sum())
    shown = f"{name}: {right} of {count} {split} labels are right ({right / count:.1%}; chance: {counted.chance:.1%})"
    if counted.too_few:
        return _warn(context, f"{shown}: too few images to see whether the network knows these classes")
    if loaded.run is not None:
        return _warn(context, f"{shown}: the network of this run is near chance; train it better first")
    entered = context.network_input
    raise DataError(
        f"{shown}: expected a network that is better than chance. Pixels entered as {entered.normalization.text} "
        f"({entered.source}): give with --normalize how it was trained (caffe, torch, tf, 0..1, raw, mean/std). Or its "
        f"classes stand in another order than {_shown(data.class_names)}: name them with --labels FILE, or "
        "name the folders so that they sort in its order"
    )


@dataclass(frozen=True)
class _Counted:
    """Which predictions are right, bool[N], of labelled images, int64[N], of so many classes."""

    labels: npt.NDArray[np.int64]
    correct: npt.NDArray[np.bool_]
    classes: int

    @property
    def chance(self) -> float:
        return chance_level(self.labels, self.classes)

    @property
    def could_be_chance(self) -> bool:
        return could_be_chance(self.correct, self.labels, self.classes)

    @property
    def too_few(self) -> bool:
        """Whether a useful network could be right as rarely as this; images of one class show nothing."""
        highest = wilson_interval(int(self.correct.sum()), len(self.labels), _Z_999)[1]
        return self.chance >= 1 or highest >= self.chance + _USEFUL * (1 - self.chance)


def _with_training_images(counted: _Counted, context: RecipeContext, data: Dataset) -> _Counted:
    from edgeclf.keras_files.predictor import KerasPredictor

    train = data.splits["train"]
    rows = range_rows(len(train), LABELLED_RANGE_IMAGES)
    predictor = KerasPredictor(context.original, batch_size=context.float_batch)
    hits = predictor.top1(np.asarray(train.images[rows])) == train.labels[rows]
    labels = np.concatenate([counted.labels, train.labels[rows]])
    return _Counted(labels, np.concatenate([counted.correct, hits]), counted.classes)


def _warn(context: RecipeContext, line: str) -> tuple[str, ...]:
    context.progress.warn(line)
    return (line,)


def _shown(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
