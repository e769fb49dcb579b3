"""Measures top-1 when exported: of the float network, and of the exported file in the runtime that ships."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.normalization import RAW, Normalization
from edgeclf.compression.exporter import ExportedFile
from edgeclf.compression.pipeline.context import RecipeContext
from edgeclf.dataset import Dataset
from edgeclf.dataset.types import Split
from edgeclf.inference.classifier import Classifier

BoolArray = npt.NDArray[np.bool_]


def scored_split(data: Dataset | None) -> tuple[str, Split] | None:
    """Choose the split that top-1 is measured on: validation, else test; None: there are no images."""
    if data is None:
        return None
    for name in ("validation", "test"):
        if name in data.splits and len(data.splits[name]):
            return name, data.splits[name]
    return None


def score_float(context: RecipeContext, batch: int = 200) -> BoolArray | None:
    """Return which images of the scored split the float network predicts correctly, bool[N]; None without labels.

    Args:
        context: with the network and the images.
        batch: images a call.
    """
    scored, found = scored_split(context.data), predict_float(context, batch) if context.labelled else None
    return None if scored is None or found is None else np.asarray(found == scored[1].labels, bool)


def predict_float(context: RecipeContext, batch: int = 200) -> npt.NDArray[np.int64] | None:
    """Return the classes that the float network predicts for the scored split, int64[N]; None without images.

    Args:
        context: with the network and the images.
        batch: images a call.
    """
    scored = scored_split(context.data)
    if scored is None:
        return None
    from edgeclf.keras_files.predictor import KerasPredictor

    return KerasPredictor(context.original, batch_size=batch).top1(scored[1].images, context.progress)


def score_exported(exported: ExportedFile, context: RecipeContext) -> BoolArray | None:
    """Return which images of the scored split an exported graph predicts correctly, bool[N].

    Where they have no labels of the network's classes, correct is what the float network predicts. None: there are no
    images, or the file is no TFLite file, which nothing here runs.
    """
    scored = scored_split(context.data)
    if scored is None or not exported.is_tflite:
        return None
    name, split = scored
    is_float = exported.graph.inputs[0].dtype == "float32"
    given = RAW if exported.input_range is None else Normalization.from_range(*exported.input_range)
    classifier = Classifier(exported, normalize=given if is_float else None)
    expected = split.labels if context.float_labels is None else context.float_labels
    correct = np.zeros(len(split), bool)
    with context.progress.task(f"top-1 on {name}", len(split)) as task:
        for start in range(0, len(split), 100):
            part = slice(start, start + 100)
            correct[part] = classifier.top1(split.images[part]) == expected[part]
            task.advance(len(expected[part]))
    return correct
