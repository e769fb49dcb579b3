"""Fits the probabilities of a finished model on validation images, and writes it anew."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from edgeclf.artifact.class_names import own_names
from edgeclf.artifact.fitted_probabilities import FittedProbabilities
from edgeclf.artifact.input_fit import own_fit
from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.model_file import ModelFile
from edgeclf.atomic import write_bytes
from edgeclf.compression.export.model_writer import replace_probabilities
from edgeclf.compression.probabilities.fit import fit_probabilities
from edgeclf.compression.probabilities.reading import ModelReader
from edgeclf.dataset import Dataset, load_dataset
from edgeclf.dataset.splitting import SPLIT_SEED
from edgeclf.dataset.types import Split
from edgeclf.errors import DataError, ModelError, OutputError
from edgeclf.image.shape import STRETCH
from edgeclf.measure.accuracy import class_indices
from edgeclf.progress import SILENT, Progress


def refit(
    model: str | Path,
    data: str | Path | Dataset,
    out: str | Path,
    *,
    precision: float | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> FittedProbabilities:
    """Fit the probabilities of a finished model, and write it to `out` with nothing else changed.

    Args:
        model: a file of edgeclf's own, a run folder, or a zoo name.
        data: with a validation split that did not train it; a folder, a manifest, a name, or a `Dataset`.
        out: the new file.
        precision: see `compression.probabilities.threshold.choose_thresholds`.
        overwrite: replace `out`.
        progress: where bars are shown.

    Raises:
        ModelError: edgeclf did not make the model, or its graph ends in no softmax.
        DataError: there are no validation images, too few of them, or their classes are not those of the model.
        OutputError: `out` is there already, or cannot be written.
    """
    file, path = ModelFile.read(locate_model(model)), Path(out)
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists; choose another file, or replace it with overwrite")
    names = own_names(file)[0]
    if file.integrity != "verified" or file.provenance is None or names is None:
        raise ModelError(f"{file.name}: expected a model of edgeclf compress, got one without its checksum")
    if not isinstance(data, Dataset):
        seed = file.provenance.data.get("split_seed")
        size, fit = (file.shape.height, file.shape.width), own_fit(file) or STRETCH
        split_seed = seed if isinstance(seed, int) else SPLIT_SEED
        data = load_dataset(data, image_size=size, fit=fit, split_seed=split_seed, progress=progress)
    split = data.splits.get("validation")
    if split is None or not len(split):
        raise DataError(f"{data.source}: has no validation images; probabilities are fitted on nothing else")
    order = class_indices(names, file.shape.classes, data.class_names)
    reader = ModelReader(file)
    outputs = reader.read(split.images, progress, "running the model on validation images")
    train = data.splits.get("train")
    known = None if train is None else dataclasses.replace(train, labels=_in_order(train, order))
    fit_ = fit_probabilities(file, reader, outputs, _in_order(split, order), known, precision, progress)
    if fit_.fitted is None:
        raise DataError(f"{file.name}: {fit_.note}")
    write_bytes(path, replace_probabilities(file, fit_.fitted, fit_.arrays, names))
    return fit_.fitted


def _in_order(split: Split, order: np.ndarray) -> np.ndarray:
    """Return the labels of a split as indices of the model's outputs."""
    places = np.full(int(order.max()) + 1, -1, np.int64)
    for index, label in enumerate(order):
        if label >= 0:
            places[label] = index
    return places[split.labels]
