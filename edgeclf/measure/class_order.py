"""The order of classes: that of the data brought into a network's, or assumed, and what chance would give."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgeclf.dataset import Dataset
from edgeclf.errors import DataError
from edgeclf.inference.chance import could_be_chance
from edgeclf.measure.accuracy import class_indices

_SHOWN = 4
REMEDY = "--labels FILE, one name a line in the order of its outputs,"


def describe_assumed_order(class_names: Sequence[str]) -> str:
    """Say that the outputs of a network without class names were taken for the sorted classes of the data."""
    shown = ", ".join(class_names[:_SHOWN]) + (", ..." if len(class_names) > _SHOWN else "")
    return (
        "it names no classes, so its outputs were taken for the classes of the data in the order of their sorted "
        f"names ({shown}); {REMEDY} says another order"
    )


def describe_chance(
    predictions: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], classes: int, *, assumed: bool
) -> str:
    """Say that an accuracy could be that of guessing, and what would help; empty where it could not.

    Args:
        predictions: int64[N], indices into the classes of the data.
        labels: int64[N].
        classes: of the data.
        assumed: whether nobody named the classes of the network.
    """
    right = int((predictions == labels).sum())
    if not could_be_chance(right, labels, classes):
        return ""
    line = f"only {right:,} of {len(labels):,} images are right, which could be chance: "
    if assumed:
        return f"{line}its classes may have another order (give {REMEDY} then) or other input values (--input-range)"
    return f"{line}it may expect other input values (--input-range), or not have learned these classes"


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
