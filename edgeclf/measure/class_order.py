"""Remarks on class names: an order that was assumed, and accuracies that could be those of guessing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgeclf.inference.chance import could_be_chance

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
