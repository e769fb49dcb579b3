"""Chooses the input range of a float network that was loaded from a file."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.normalization import RAW, Normalization
from edgeclf.dataset import Dataset
from edgeclf.errors import InputError
from edgeclf.graph.inner_scaling import scales_input
from edgeclf.inference.input_range import InputRange, resolve_input_range
from edgeclf.inference.range_measurement import NETWORK_CONVENTION, Predict, measure_input_range
from edgeclf.keras_files.loading import LoadedNetwork
from edgeclf.measure.accuracy import LABELLED_RANGE_IMAGES, range_rows
from edgeclf.progress import Progress

_BATCH = 64


def choose_input_range(
    loaded: LoadedNetwork,
    given: Normalization | None,
    data: Dataset | None,
    progress: Progress,
    *,
    labelled: bool = True,
) -> InputRange:
    """Choose how pixels enter the network.

    A run's network and one with a scaling layer inside take raw pixels, and a TFLite file may know its own. For others
    it is measured on training images.

    Returns:
        the normalization, and where it comes from.

    Raises:
        InputError: nothing names it and there are no images to measure on, or a network that knows it is given another.
    """
    known = None if loaded.file is None else resolve_input_range(loaded.file, given)
    if known is not None:
        entered = dataclasses.replace(known.range, normalization=known.applied or RAW)
        progress.info(entered.sentence)
        return entered
    own = describe_own_input(loaded)
    if given is not None:
        if loaded.run is not None and not given.agrees_with(RAW):
            raise InputError(
                f"{loaded.run.path} knows its input: expected raw pixels ({own}), got {given.text}; leave --normalize "
                "and --input-range out"
            )
        chosen = InputRange(given, "given")
        progress.info(chosen.sentence)
        if own and not given.agrees_with(RAW):
            progress.warn(f"{loaded.path.name} scales its input inside; {given.text} is applied once more, before that")
        return chosen
    if own:
        return InputRange(RAW, "network")
    if data is None:
        raise InputError(
            f"{loaded.path.name} does not state which input values it expects; add --normalize NAME (caffe, torch, tf, "
            "0..1, raw, or mean/std), or --data to measure it"
        )
    # `bench --split all` has one split, whose images no training has seen
    split = data.splits["train"] if "train" in data.splits else next(iter(data.splits.values()))
    rows = range_rows(len(split), LABELLED_RANGE_IMAGES)
    # a SavedModel may know one batch size alone
    predict = _predictor(loaded, 1 if loaded.kind == "SavedModel" else _BATCH)
    labels = split.labels[rows] if labelled else None
    measured = measure_input_range(predict, np.asarray(split.images[rows]), labels, NETWORK_CONVENTION)
    (progress.info if measured.decided else progress.warn)(measured.sentence)
    if measured.doubt:
        progress.warn(f"{loaded.path.name}: {measured.doubt} ({', '.join(data.class_names[:5])}, ...)")
    return measured


def describe_own_input(loaded: LoadedNetwork) -> str:
    """Return why a network takes raw pixels, whatever is given; empty: it does not state what it takes."""
    if loaded.run is not None:
        return "it is the network of a run"
    return "it scales its input inside" if scales_input(loaded.network.trackable) else ""


def _predictor(loaded: LoadedNetwork, batch: int) -> Predict:
    def predict(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        parts = [np.asarray(loaded.network.call(images[at : at + batch])) for at in range(0, len(images), batch)]
        found = np.concatenate(parts).astype(np.float32)
        if (found >= 0).all() and np.allclose(found.sum(axis=1), 1, atol=1e-3):
            return found
        powers = np.exp(found - found.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)

    return predict
