"""Extracts frozen features of all photos of a data set, once: through LiteRT from a model file, else by TensorFlow."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import Normalization
from edgeclf.dataset import Dataset, Listing, load_dataset
from edgeclf.dataset.contents import shorten
from edgeclf.dataset.used_images import read_used, run_of_weights
from edgeclf.inference.feature_reader import FeatureClassifier, read_features
from edgeclf.inference.input_range import resolve_input_range
from edgeclf.keras_files.tflite_start import check_tflite_start, find_normalization, is_tflite_start
from edgeclf.progress import SILENT, Progress

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PhotoFeatures:
    """The photos of all splits, and their features.

    Attributes:
        dataset: the photos, at the network's size.
        values: float32[N, D], split after split in the order of the data set.
        origin: name of the network.
        notes: what was assumed, a line each.
        learned: how many of the photos the network was trained on with their labels, or chose its epoch by.
    """

    dataset: Dataset
    values: Floats
    origin: str
    notes: tuple[str, ...] = ()
    learned: int = 0


@dataclass(frozen=True)
class FeatureSource:
    """A model file whose features are read, checked; None: a float network is chosen as `train --quick` does.

    Attributes:
        file: the model file.
        normalization: how pixels enter it; None: the file knows it.
        notes: what was assumed of that, a line each.
    """

    file: ModelFile
    normalization: Normalization | None = None
    notes: tuple[str, ...] = ()


def check_weights(weights: str | Path | None) -> FeatureSource | None:
    """Open a model file that features are read from, and refuse one that has none; None: it is no model file.

    Raises:
        ModelError: it cannot be read, is damaged, or has no features.
        InputError: its input cannot take photos.
    """
    if weights is None or not is_tflite_start(weights):
        return None
    file = check_tflite_start(weights)
    known = resolve_input_range(file, None)
    normalization, notes = (None, ()) if known is not None else find_normalization(file)
    FeatureClassifier(file, normalization)
    return FeatureSource(file, normalization, notes)


def extract_features(
    listing: Listing,
    weights: str | Path | None,
    source: FeatureSource | None,
    *,
    trust_model: bool = False,
    progress: Progress = SILENT,
) -> PhotoFeatures:
    """Load the photos at the network's size, and compute their features.

    Args:
        listing: of the data set.
        weights: what `train --weights` takes; None: the same choice as `train --quick`.
        source: the model file of `weights`, if it is one (see `check_weights`).
        trust_model: load a network even if that runs code from its file.
        progress: where bars are shown.

    Raises:
        DataError: the data set cannot be used.
        InputError: there is no pretrained network.
    """
    if source is None:
        with progress.task("loading TensorFlow", None):
            from edgeclf.training.data_doctor.network_features import extract_network_features

        found = extract_network_features(listing, weights, trust_model=trust_model, progress=progress)
    else:
        found = _read_model_features(listing, source, progress)
    return found if weights is None else _count_learned(found, weights)


def _read_model_features(listing: Listing, source: FeatureSource, progress: Progress) -> PhotoFeatures:
    shape = FeatureClassifier(source.file, source.normalization).input_shape
    dataset = load_dataset(listing, image_size=shape.size, fit=shape.fit, progress=progress)
    parts = []
    with progress.task("features (photos)", sum(map(len, dataset.splits.values()))) as task:
        for split in dataset.splits.values():
            parts.append(read_features(source.file, split.images, source.normalization, task.advance))
    return PhotoFeatures(dataset, np.concatenate(parts), source.file.name, source.notes)


def _count_learned(found: PhotoFeatures, weights: str | Path) -> PhotoFeatures:
    """Return the features with the number of photos whose labels their network knows, and with what that means."""
    run = run_of_weights(str(weights))
    if run is None or run.is_pretraining:  # which has seen no labels
        return found
    used, notes = read_used([run])
    contents = frozenset[str]().union(*used.values())
    hashes = [one for split in found.dataset.splits.values() for one in split.hashes]
    learned = sum(shorten(one) in contents for one in hashes)
    meaning = "labels that it learned look right even where they are wrong, and the share of right ones is too high"
    if learned:
        seen = f"{found.origin} was trained on {learned:,} of these {len(hashes):,} photos"
        notes += (f"{seen}: {meaning}; look through a network that was not",)
    elif not used and not notes:
        notes = (f"which photos {found.origin} was trained on is not known; if it was on these, {meaning}",)
    return dataclasses.replace(found, notes=(*found.notes, *notes), learned=learned)
