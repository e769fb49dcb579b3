"""Reads the features in front of a model file's last layer, for many images, on all cores."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.inner_scores import InnerScores, find_inner_scores
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import Normalization
from edgeclf.errors import ModelError
from edgeclf.inference.classifier import Classifier
from edgeclf.inference.score_reader import ScoreReader

Floats = npt.NDArray[np.float32]

_CHUNK = 50
_MOST_WORKERS = 8


class ImageRows(Protocol):
    """Images that are read when they are indexed, such as `edgeclf.dataset.ImageView`."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any, /) -> npt.NDArray[np.uint8]: ...


class FeatureClassifier(Classifier):
    """A classifier whose last layer's input can be read.

    Args:
        file: the model.
        normalization: how pixels enter it; None: the file knows it.

    Raises:
        ModelError: it has no such vector; the message names what was expected.
    """

    def __init__(self, file: ModelFile, normalization: Normalization | None = None) -> None:
        self._inner = _find_features(file)
        super().__init__(file, normalize=normalization)

    def features(self, image: npt.NDArray[np.uint8]) -> Floats:
        """Compute the features float32[D] of one uint8[height, width, 3]."""
        self.raw(image)
        return self._reader.features()

    def _open(self, file: ModelFile, runtime: str, threads: int) -> ScoreReader:
        return ScoreReader(file, runtime, threads, inner=self._inner)


def read_features(
    file: ModelFile,
    images: ImageRows,
    normalization: Normalization | None = None,
    advance: Callable[[int], object] = lambda count: None,
) -> Floats:
    """Compute the features float32[N, D] of images of the model's size, an interpreter a core.

    Args:
        file: the model.
        images: uint8[N, height, width, 3].
        normalization: how pixels enter it; None: the file knows it.
        advance: called with the number of images that are done, from this thread.

    Raises:
        ModelError: the model has no features that can be read.
    """
    workers = max(1, min(_MOST_WORKERS, os.cpu_count() or 1))
    idle = [FeatureClassifier(file, normalization) for _ in range(workers)]

    def read(start: int) -> Floats:
        classifier = idle.pop()
        try:
            return np.stack([classifier.features(image) for image in images[start : start + _CHUNK]])
        finally:
            idle.append(classifier)

    parts = []
    with ThreadPoolExecutor(workers) as pool:
        for part in pool.map(read, range(0, len(images), _CHUNK)):
            parts.append(part)
            advance(len(part))
    return np.concatenate(parts)


def _find_features(file: ModelFile) -> InnerScores:
    found = find_inner_scores(file.graph)
    if found is None or found.features is None:
        raise ModelError(
            f"{file.name}: expected a classifier that ends in one fully connected layer and a softmax, whose input are "
            "the features; this one ends in something else"
        )
    return found
