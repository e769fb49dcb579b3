"""Runs an exported model on images and keeps its outputs, its logits and its pooled features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.inner_scores import InnerScores, find_inner_scores
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import RAW, Normalization
from edgeclf.compression.exporter import ExportedFile
from edgeclf.dataset import ImageView
from edgeclf.errors import ModelError
from edgeclf.image.views import cut_views
from edgeclf.inference.classifier import Classifier
from edgeclf.inference.score_reader import ScoreReader
from edgeclf.progress import SILENT, Progress

Images = npt.NDArray[np.uint8] | ImageView
MOST_FEATURES = 1 << 15
"""Numbers in a vector of features that is read of each image: a network that flattens whole maps in front of its last
layer has up to millions."""
_CHUNK = 100


@dataclass(frozen=True)
class ModelOutputs:
    """What a model computed for N images.

    Attributes:
        raw: its output in its own type, [N, outputs]; of objects seen from several directions `plain`.
        plain: probabilities of the output itself, float32[N, C].
        logits: float32[N, outputs]; None: they cannot be read.
        features: float32[N, D]; None: they cannot be read.
    """

    raw: npt.NDArray[Any]
    plain: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32] | None
    features: npt.NDArray[np.float32] | None


class _InnerClassifier(Classifier):
    """A classifier whose logits and features can be read.

    Args:
        file: the model.
        normalization: how pixels enter a float input; None: the file knows.
        inner: what is read.
    """

    def __init__(self, file: ModelFile, normalization: Normalization | None, inner: InnerScores | None) -> None:
        self._inner = inner
        super().__init__(file, normalize=normalization)

    def _open(self, file: ModelFile, runtime: str, threads: int) -> ScoreReader:
        return ScoreReader(file, runtime, threads, inner=self._inner or InnerScores(file.graph.output_indices[0]))

    def read(self, images: Images, progress: Progress, title: str) -> ModelOutputs:
        """Classify images one at a time, as a device does; of objects seen from several directions the mean is kept."""
        if images.shape[1] != self.height:
            return self._read_objects(images, progress, title)
        reader, inner = self._reader, self._inner
        raws, logits, features = [], [], []
        with progress.task(title, len(images)) as task:
            for start in range(0, len(images), _CHUNK):
                chunk = np.asarray(images[start : start + _CHUNK])
                for image in chunk:
                    raws.append(self.raw(image))
                    if inner is not None:
                        logits.append(reader.logits())
                    if inner is not None and inner.features is not None:
                        features.append(reader.features())
                task.advance(len(chunk))
        return ModelOutputs(
            np.stack(raws),
            np.stack([reader.plain_probabilities(raw) for raw in raws]),
            np.stack(logits) if logits else None,
            np.stack(features) if features else None,
        )

    def _read_objects(self, images: Images, progress: Progress, title: str) -> ModelOutputs:
        found = []
        with progress.task(title, len(images)) as task:
            for number in range(len(images)):
                views = cut_views(np.asarray(images[number : number + 1]), self.height)
                plain = [self._reader.plain_probabilities(self.raw(view)) for view in views]
                found.append(np.mean(plain, axis=0, dtype=np.float32))
                task.advance()
        mean = np.stack(found)
        return ModelOutputs(mean, mean, None, None)


class ModelReader:
    """Reads the outputs of a model for images; logits and features where its graph has them.

    Args:
        file: what an exporter made, or a finished model.

    Attributes:
        inner: the tensors that are read; None: the graph ends in no softmax.
        left_out: why features are not read that the graph has; empty: they are, or it has none.

    Raises:
        ModelError: it is no image classifier.
    """

    def __init__(self, file: ModelFile) -> None:
        given = None
        if isinstance(file, ExportedFile) and file.graph.inputs[0].dtype == "float32":
            given = RAW if file.input_range is None else Normalization.from_range(*file.input_range)
        self.inner, self.left_out = _find(file), ""
        if self.inner is not None and self.inner.features is not None:
            count = file.graph.tensors[self.inner.features].elements
            if count > MOST_FEATURES:
                self.inner = InnerScores(self.inner.logits)
                self.left_out = (
                    f"things never seen are not looked for: the last layer takes {count:,} numbers, at most "
                    f"{MOST_FEATURES:,} of each image are kept"
                )
        self._classifier = _InnerClassifier(file, given, self.inner)

    def read(self, images: Images, progress: Progress = SILENT, title: str = "running the model") -> ModelOutputs:
        """Run the model on uint8[N, H, W, 3] of its own size, at least one of them.

        Args:
            images: of the model's size, or views of it one below the other.
            progress: where a bar is shown.
            title: of the bar.
        """
        return self._classifier.read(images, progress, title)


def _find(file: ModelFile) -> InnerScores | None:
    try:
        return find_inner_scores(file.graph)
    except ModelError:
        return None
