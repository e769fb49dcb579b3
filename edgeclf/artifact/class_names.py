"""Decides what the classes of a model file are called, in the order of its outputs, and says where that is from."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass

from edgeclf.artifact.labels import check_names, names_beside, read_labels
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.none_class import describe_none_classes

GivenLabels = str | os.PathLike[str] | Sequence[str]
"""A file with class names, one a line, or the names themselves, in the order of the outputs."""

NUMBERED = "numbers"
"""The source of labels that nobody gave: edgeclf numbers the outputs then. Such numbers are never taken for names."""
UNNAMED = "the file names no classes, so their numbers stand for them; --labels FILE names them"


@dataclass(frozen=True)
class ClassNames:
    """What the classes of a model are called.

    Attributes:
        names: in the order of the outputs; their numbers where `source` is `numbers`.
        source: `given`, `metadata`, `provenance`, `beside` (a list that lies beside the file) or `numbers`.
        notes: what was assumed or left out, a line each.
    """

    names: tuple[str, ...]
    source: str
    notes: tuple[str, ...] = ()


def name_classes(file: ModelFile, given: GivenLabels | None = None) -> ClassNames:
    """Decide what the classes of a model are called.

    What the caller gives goes first, then what the file carries, then a list of labels that lies beside it. A class
    that stands for none of these by its name alone, since nothing in the file records it, is noted.

    Args:
        file: the model.
        given: a file with class names or the names themselves; None: not given.

    Raises:
        InputError: `given` cannot be read, or does not fit the number of classes.
        ModelError: the file is no image classifier.
    """
    named = _name_outputs(file, given)
    recorded = file.provenance is not None and bool(file.provenance.data.get("none_classes"))
    note = "" if recorded else describe_none_classes(named.names)
    if not note:
        return named
    other = f"{note}; --labels FILE gives it another name"
    return dataclasses.replace(named, notes=(*named.notes, other))


def _name_outputs(file: ModelFile, given: GivenLabels | None) -> ClassNames:
    classes = file.shape.classes
    own, source = own_names(file)
    if given is not None:
        names = read_given(given, classes)
        if own is None or own == names:
            return ClassNames(names, "given")
        return ClassNames(names, "given", ("the class names given replace those that the file carries",))
    if own is not None and len(own) == classes:
        return ClassNames(own, source)
    notes = []
    if own is not None:
        notes.append(f"the file names {len(own)} labels for {classes} classes; --labels FILE names them")
    found, note = (None, "") if file.path is None else names_beside(file.path, classes)
    if note:
        notes.append(note)
    if found is not None:
        return ClassNames(found, "beside", tuple(notes))
    if own is None:
        notes.append(UNNAMED)
    return ClassNames(number_classes(classes), NUMBERED, tuple(notes))


def own_names(file: ModelFile) -> tuple[tuple[str, ...] | None, str]:
    """Read the class names that a file carries, and where in it they stand; None where edgeclf numbered them."""
    made = file.provenance
    if made is not None and made.data.get("class_source") == NUMBERED:
        return None, ""
    if file.metadata.labels is not None:
        return file.metadata.labels, "metadata"
    names = None if made is None else made.data.get("class_names")
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        return tuple(names), "provenance"
    return None, ""


def describe_single_output(file: ModelFile, labels: Sequence[str]) -> tuple[str, ...]:
    """Describe how a file from elsewhere with one output is read; empty where each class has an output of its own."""
    shape = file.shape
    if shape.outputs > 1 or file.provenance is not None:
        return ()
    line = f"its one output is taken for the probability of {labels[1]!r}, the second of two classes"
    if shape.scores == "logits":
        line += " (through a sigmoid, which it lacks; a network that estimates a quantity would look the same)"
    return (line,)


def read_given(given: GivenLabels, count: int) -> tuple[str, ...]:
    """Read the class names that a caller gives: from a file, or as they are.

    Raises:
        InputError: they cannot be read, or are more or fewer than `count`.
    """
    return check_names(read_names(given), count, str(given) if isinstance(given, (str, os.PathLike)) else "labels")


def plain_labels(given: GivenLabels) -> str | tuple[str, ...]:
    """Return the labels that a caller gives in the form that a plan keeps: a path as text, or a tuple of names."""
    return os.fsdecode(given) if isinstance(given, (str, os.PathLike)) else tuple(given)


def read_names(given: GivenLabels) -> tuple[str, ...]:
    """Read the class names that a caller gives, without a look at how many there are.

    Raises:
        InputError: they cannot be read.
    """
    return read_labels(given) if isinstance(given, (str, os.PathLike)) else tuple(given)


def number_classes(count: int) -> tuple[str, ...]:
    """Return the numbers that stand for the classes of a network that names none."""
    return tuple(map(str, range(count)))
