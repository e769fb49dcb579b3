"""Measures top-1 when exported: of the float network, and of the exported file in the runtime that ships.

Probabilities are fitted on the same outputs, so that no image is run twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.none_class import none_indices
from edgeclf.compression.exporter import ExportedFile
from edgeclf.compression.pipeline.context import RecipeContext
from edgeclf.compression.probabilities.fit import Fit, fit_probabilities
from edgeclf.compression.probabilities.reading import ModelOutputs, ModelReader
from edgeclf.dataset import Dataset
from edgeclf.dataset.types import Split
from edgeclf.errors import RunFailedError

BoolArray = npt.NDArray[np.bool_]


def scored_split(data: Dataset | None) -> tuple[str, Split] | None:
    """Choose the split that top-1 is measured on: validation, else test; None: there are no images."""
    if data is None:
        return None
    for name in ("validation", "test"):
        if name in data.splits and len(data.splits[name]):
            return name, data.splits[name]
    return None


def score_float(context: RecipeContext) -> BoolArray | None:
    """Return which images of the scored split the float network predicts correctly, bool[N]; None without labels."""
    scored, found = scored_split(context.data), predict_float(context) if context.labelled else None
    return None if scored is None or found is None else np.asarray(found == scored[1].labels, bool)


def predict_float(context: RecipeContext) -> npt.NDArray[np.int64] | None:
    """Return the classes that the float network predicts for the scored split, int64[N]; None without images."""
    scored = scored_split(context.data)
    if scored is None:
        return None
    from edgeclf.keras_files.predictor import KerasPredictor

    return KerasPredictor(context.original, batch_size=context.float_batch).top1(scored[1].images, context.progress)


@dataclass(frozen=True)
class Scored:
    """What an exported graph computed for the scored split.

    Attributes:
        correct: bool[N], which images it predicts correctly.
        outputs: for the same images.
        reader: that computed them.
    """

    correct: BoolArray
    outputs: ModelOutputs
    reader: ModelReader


def score_exported(exported: ExportedFile, context: RecipeContext) -> Scored | None:
    """Run an exported graph on the scored split.

    Where they have no labels of the network's classes, correct is what the float network predicts. None: there are no
    images, or the file is no TFLite file, which nothing here runs.

    Raises:
        RunFailedError: the runtime fails, or what the model computes for an image is NaN or infinite.
    """
    scored = scored_split(context.data)
    if scored is None or not exported.is_tflite:
        return None
    name, split = scored
    reader = ModelReader(exported)
    try:
        outputs = reader.read(split.images, context.progress, f"top-1 on {name}")
    except RunFailedError as error:
        # The runtime finds out only here: layer normalization in int16x8, for one, has no kernels.
        why = str(error).rstrip(".")
        raise RunFailedError(f"{exported.name}: {why}; take another format for this network") from error
    if not np.isfinite(outputs.plain).all():
        raise RunFailedError(f"{exported.name}: what the model computes is NaN or infinite")
    ranked = outputs.raw if outputs.raw.shape[1] > 1 else outputs.plain
    expected = split.labels if context.float_labels is None else context.float_labels
    return Scored(ranked.argmax(axis=1) == expected, outputs, reader)


def fit_exported(exported: ExportedFile, scored: Scored | None, context: RecipeContext) -> Fit:
    """Fit probabilities on the outputs for the validation split, where that is what was scored."""
    split = scored_split(context.data)
    if not exported.is_tflite:
        lacks = f"--precision has no effect: {exported.name} cannot carry a threshold; a .tflite file can"
        return Fit(None, note="" if context.precision is None else lacks)
    if not (context.fit_probabilities and context.labelled) or scored is None or split is None or context.data is None:
        lacks = "--precision has no effect: probabilities are fitted on labelled validation images, and there are none"
        return Fit(None, note="" if context.precision is None else lacks)
    if split[0] != "validation":
        return Fit(None, note="probabilities are not fitted: there are no validation images")
    labels, train, none = split[1].labels, context.data.splits.get("train"), none_indices(context.original.classes)
    fit = fit_probabilities(
        exported, scored.reader, scored.outputs, labels, train, context.precision, context.progress, none
    )
    if fit.fitted is None or not context.doubt:
        return fit
    return replace(fit, fitted=replace(fit.fitted, notes=(*fit.fitted.notes, *context.doubt)))
