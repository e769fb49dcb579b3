"""The order of classes: that of the data brought into a network's, or assumed, and what chance would give."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from edgeclf.dataset import NAMED, Dataset
from edgeclf.errors import DataError
from edgeclf.inference.chance import chance_level, could_be_chance
from edgeclf.inference.input_range import InputRange
from edgeclf.measure.accuracy import IntArray, class_indices, takes_order_of_classes

_SHOWN = 4
OTHER = "(another class)"
"""What stands for a prediction of no class of the data whose name is not known."""
REMEDY = "--labels FILE, one name a line in the order of its outputs,"


def assumed_order(data: Dataset) -> tuple[str, ...]:
    """Return the order that the classes of a network are assumed to have that was trained on `data` and names none.

    That of the sorted names, as Keras' `image_dataset_from_directory` numbers folders; of a named set, which comes with
    numbers, the order of these.
    """
    paths = next((split.paths for split in data.splits.values() if split.paths), ("",))
    if data.source in NAMED and paths[0].rpartition("/")[2].isdigit():
        names = NAMED[data.source].class_names
        if sorted(names) == list(data.class_names):
            return names
    return data.class_names


def match_classes(labels: Sequence[str], class_count: int, data: Dataset) -> IntArray:
    """Map each output to its index among the data's classes (see `class_indices`), by name or by the assumed order.

    Raises:
        DataError: the model lacks one of the data's classes, or has no labels and another number of outputs.
    """
    found = class_indices(labels, class_count, data.class_names)
    if takes_order_of_classes(labels, data.class_names):
        return class_indices(assumed_order(data), class_count, data.class_names)
    return found


def name_predictions(
    indices: IntArray, outputs: IntArray, class_names: Sequence[str], labels: Sequence[str]
) -> tuple[str, ...]:
    """Name what was predicted for each of N images.

    Args:
        indices: int64[N], into `class_names`, -1 for a class that the data do not have.
        outputs: int64[N], of the model, into `labels`.
        class_names: of the data.
        labels: of the model; none: such a class stays `OTHER`.
    """
    pairs = zip(indices.tolist(), outputs.tolist(), strict=True)
    return tuple(class_names[k] if k >= 0 else labels[a] if labels else OTHER for k, a in pairs)


def describe_assumed_order(data: Dataset) -> str:
    """Describe in which order the outputs of a network without class names were taken for the classes of the data."""
    names = assumed_order(data)
    origin = "their sorted names" if names == data.class_names else f"their numbers in {data.source}"
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return (
        f"it names no classes, so its outputs were taken for the classes of the data in the order of {origin} "
        f"({shown}); {REMEDY} gives another order"
    )


def describe_chance(
    predictions: IntArray,
    labels: IntArray,
    classes: int,
    *,
    assumed: bool,
    entered: InputRange | None = None,
    own: bool = False,
) -> str:
    """Describe that an accuracy could be that of guessing, and what would help; empty where it could not.

    Args:
        predictions: int64[N], indices into the classes of the data.
        labels: int64[N].
        classes: of the data.
        assumed: whether nobody named the classes of the network.
        entered: how pixels entered it, where that is known.
        own: whether edgeclf made it, so that pixels and classes cannot be mistaken.
    """
    correct = predictions == labels
    count, right = len(labels), int(correct.sum())
    guessed = chance_level(labels, classes)
    # A few images can all be right and yet too few to exclude chance: that is no reason to doubt the order.
    if right / max(1, count) >= (1 + guessed) / 2 or not could_be_chance(correct, labels, classes):
        return ""
    how = f" (now {entered.normalization.text}, {entered.source})" if entered is not None else ""
    line = f"only {right:,} of {count:,} images are right, which could be chance: "
    if own:
        return f"{line}it has hardly learned these classes, or these images are too few to show it"
    if assumed:
        return (
            f"{line}its classes may have another order (give {REMEDY} then), or pixels may enter it in another way "
            f"than it was trained with{how}: --normalize"
        )
    return (
        f"{line}pixels may enter it in another way than it was trained with{how}: --normalize; or it has not learned "
        "these classes"
    )


def order_classes(data: Dataset, names: tuple[str, ...]) -> Dataset:
    """Number the classes of a data set in the order of `names`.

    Raises:
        DataError: these are not the names of its classes.
    """
    if len(names) != len(data.class_names):
        raise DataError(f"{data.source} has {len(data.class_names)} classes, expected the {len(names)} that are named")
    place = np.argsort(class_indices(names, len(names), data.class_names))
    splits = {
        name: dataclasses.replace(split, labels=place[split.labels].astype(np.int64))
        for name, split in data.splits.items()
    }
    return dataclasses.replace(data, class_names=names, splits=splits)
