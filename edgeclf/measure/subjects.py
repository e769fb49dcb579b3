"""Opens the models under test, each once, with the data at the size that each of them takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.class_names import NUMBERED, UNNAMED, GivenLabels, own_names
from edgeclf.artifact.input_fit import find_fit_refusal, resolve_fit
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import Normalization
from edgeclf.dataset import Dataset, Split
from edgeclf.dataset.types import SPLITS
from edgeclf.errors import DataError, InputError, UnknownNameError
from edgeclf.image.shape import STRETCH, InputShape
from edgeclf.inference.classifier import Classifier
from edgeclf.inference.input_range import InputRange, find_refusal
from edgeclf.measure.accuracy import LABELLED_RANGE_IMAGES, range_rows
from edgeclf.measure.class_order import match_classes
from edgeclf.measure.plan import BenchPlan

_MODELS = "compressed"
"""The folder of a run that its models lie in, which has the same name in all of them."""
DatasetLoader = Callable[[InputShape], Dataset]
"""Gives the same data at another image size, or with pictures fitted to it otherwise."""


@dataclass(frozen=True)
class Subject:
    """A model under test.

    Args:
        file: its content, read and parsed once.
        name: short, unique among those under test.
        height: of its input, pixels.
        width: of its input, pixels.
        labels: of its outputs; empty where nobody named them.
        class_count: number of its outputs.
        runtime: that runs it.
        runtime_version: of that package.
        integrity: `verified` or `unverified`.
        input_range: how pixels enter it; None: nothing decided it.
        given: the same where the file does not state it, so that every classifier of it must be given it.
        notes: remarks for the report.
        label_source: where the labels are from (see `ClassNames`).
        fit: how pictures come to its input.
    """

    file: ModelFile
    name: str
    height: int
    width: int
    labels: tuple[str, ...]
    class_count: int
    runtime: str
    runtime_version: str
    integrity: str
    input_range: InputRange | None
    given: Normalization | None
    notes: tuple[str, ...]
    label_source: str = NUMBERED
    fit: str = STRETCH

    @property
    def shape(self) -> InputShape:
        """Size of its input, and how pictures come to it."""
        return InputShape(self.height, self.width, self.fit)

    @property
    def path(self) -> str:
        """Of its file, as the user named it."""
        return str(self.file.path or self.file.name)


def open_subjects(
    files: Sequence[ModelFile], plan: BenchPlan, load: DatasetLoader | None, *, used: bool = False
) -> list[Subject]:
    """Open each file once, and measure the input range of those that do not state it.

    What `plan.normalization` and `plan.fit` say is for the models that do not know it; of those that know another a
    note says so.

    Args:
        files: the models.
        plan: how they are run.
        load: the images; None: there are none.
        used: whether `plan.normalization` was applied to the baseline, so that no model needs to take it.

    Raises:
        ModelError: a model cannot be opened.
        InputError: all of the models know another normalization than `plan.normalization`, or another fit.
        UnknownNameError, DataError: the split is missing or empty.
    """
    unique = list({file.path.resolve() if file.path else file.name: file for file in files}.values())
    given = plan.normalization
    refusals = [None if given is None else find_refusal(file, given) for file in unique]
    if refusals[0] is not None and all(refusals) and not used:
        raise InputError(refusals[0].text)
    if all(find_fit_refusal(file, plan.fit) for file in unique):
        resolve_fit(unique[0], plan.fit)  # raises
    return [open_subject(file, name, plan, load) for file, name in zip(unique, short_names(unique), strict=True)]


def open_subject(file: ModelFile, name: str, plan: BenchPlan, load: DatasetLoader | None) -> Subject:
    """Open a file, and measure its input range where it does not state it; arguments and errors as `open_subjects`.

    Args:
        name: of the model.
    """
    file.check()
    refusal = None if plan.normalization is None else find_refusal(file, plan.normalization)
    given = None if refusal else plan.normalization
    names = choose_labels(file, plan)
    other_fit = find_fit_refusal(file, plan.fit)
    fit = None if other_fit else plan.fit
    one = Classifier(file, runtime=plan.runtime, threads=1, normalize=given, labels=names, fit=fit)
    chosen = one.input_range
    if chosen is None and load is not None:
        images, labels = _labelled_images(one, load(one.input_shape), plan.split)
        chosen = one.choose_input_range(images, labels)
        # The range was measured once; every other classifier of this file is given the result.
        given = chosen.normalization
    notes = _choose_notes(one, kept=plan.labels is not None and names is None)
    if refusal and plan.normalization is not None:
        notes = (*notes, f"{plan.normalization.text} was not applied to it: it {refusal.reason}")
    if other_fit:
        notes = (*notes, f"the fit {plan.fit} was not applied to it: it {other_fit}")
    return Subject(
        file=file,
        name=name,
        height=one.height,
        width=one.width,
        labels=() if one.label_source == NUMBERED else one.labels,
        class_count=one.class_count,
        runtime=one.runtime,
        runtime_version=one.runtime_version,
        integrity=one.integrity,
        input_range=chosen,
        given=given,
        notes=notes,
        label_source=one.label_source,
        fit=one.input_shape.fit,
    )


def choose_labels(file: ModelFile, plan: BenchPlan) -> GivenLabels | None:
    """Return the labels that a model is given: none where edgeclf made it, whose classes are known.

    What other programs wrote into a file may be wrong.
    """
    return None if file.provenance is not None and own_names(file)[0] is not None else plan.labels


def _choose_notes(one: Classifier, *, kept: bool) -> tuple[str, ...]:
    """List the notes of a classifier that concern a bench; `kept`: it was not given the labels that others were."""
    notes = [note for note in one.notes if note != UNNAMED]
    return (
        (*notes, "it keeps the class names that it carries; --labels is for models without") if kept else tuple(notes)
    )


def _labelled_images(
    classifier: Classifier, data: Dataset, split: str
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Choose images to measure the input range on, with the index of the output that is right for each.

    They are training images where there are any: what is measured on the split shall not have been fitted to it.
    """
    images = split_of(data, split)
    if "train" in data.splits and len(data.splits["train"]):
        images = data.splits["train"]
    outputs = np.full(len(data.class_names), -1, np.int64)
    names = () if classifier.label_source == NUMBERED else classifier.labels
    mapping = match_classes(names, classifier.class_count, data)
    for output, index in enumerate(mapping):
        if index >= 0:
            outputs[index] = output
    rows = range_rows(len(images), LABELLED_RANGE_IMAGES)
    return np.asarray(images.images[rows]), outputs[images.labels[rows]]


def short_names(files: Sequence[ModelFile]) -> list[str]:
    """Shorten names to the stem of the file; where several have the same, as many folders stand in front as make them
    differ, without `compressed`, and behind those that have no path a number."""
    parts = []
    for file in files:
        folders = () if file.path is None else file.path.resolve().parent.parts[1:]
        parts.append([*(part for part in folders if part != _MODELS), (file.path or Path(file.name)).stem])
    found = ["/".join(one[-1:]) for one in parts]
    for depth in range(2, max(map(len, parts), default=1) + 1):
        counts = Counter(found)
        found = ["/".join(one[-depth:]) if counts[name] > 1 else name for one, name in zip(parts, found, strict=True)]
    taken = Counter[str]()
    for place, name in enumerate(found):
        taken[name] += 1
        found[place] = name if taken[name] == 1 else f"{name} ({taken[name]})"
    return found


def at_size(dataset: Dataset | DatasetLoader | None) -> DatasetLoader | None:
    """Make `dataset` a loader that loads each shape once.

    Raises:
        DataError: (from the loader) a whole data set was given at another size or fit than a model takes.
    """
    if dataset is None:
        return None
    given: dict[InputShape, Dataset] = {}

    def load(shape: InputShape) -> Dataset:
        if shape not in given:
            if not isinstance(dataset, Dataset):
                given[shape] = dataset(shape)
            elif dataset.shape == shape:
                given[shape] = dataset
            elif dataset.shape.size != shape.size:
                raise DataError(
                    f"a model takes images of {shape.width}x{shape.height} pixels, but the data was loaded at "
                    f"{dataset.width}x{dataset.height}"
                )
            else:
                raise DataError(f"a model takes images by the fit {shape.fit}, the data was loaded by {dataset.fit}")
        return given[shape]

    return load


def split_of(data: Dataset, split: str) -> Split:
    """Find the split of that name.

    Raises:
        UnknownNameError: there is no such split.
        DataError: the data have no photos for it.
    """
    if split in SPLITS and split not in data.splits:
        hint = "; --split validation measures on the photos that chose the epoch" if "validation" in data.splits else ""
        raise DataError(f"{data.source}: there are no {split} photos, only {' and '.join(data.splits)}{hint}")
    if split not in data.splits:
        raise UnknownNameError("split", split, data.splits)
    found = data.splits[split]
    if not len(found.labels):
        raise DataError(f"{data.source}: the split {split!r} has no image")
    return found
