"""A classifier that can be asked where in the image the evidence for a class lies."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.map_head import find_map_head
from edgeclf.artifact.model_file import ModelFile
from edgeclf.errors import ModelError
from edgeclf.inference.classifier import Classifier
from edgeclf.inference.score_reader import ScoreReader


class MappingClassifier(Classifier):
    """A classifier with class activation maps, read from the file without gradients (see `artifact.map_head`).

    Args:
        file: the model.
        keywords: those of `Classifier`.

    Raises:
        ModelError: its head is not global average pooling and one fully connected layer.
        InputError: the engine cannot read tensors inside of a graph.
    """

    def __init__(self, file: ModelFile, **keywords: Any) -> None:
        if not file.is_tflite:
            raise ModelError(
                f"{file.name}: class activation maps are read from .tflite files, got another kind of file"
            )
        try:
            self._head = find_map_head(file.graph)
        except ModelError as error:
            raise ModelError(f"{file.name}: {error}") from error
        super().__init__(file, **keywords)

    @property
    def map_size(self) -> tuple[int, int]:
        """Height and width of the maps, in places."""
        return self._head.size

    def activation_map(self, index: int) -> npt.NDArray[np.float32]:
        """Compute what each place of the image that was classified last adds to the logit of a class: float32[h, w].

        The places cover the network's input evenly. Negative values speak against the class.
        """
        return self._head.class_map(self._reader.read_tensor(self._head.tensor), index)

    def _open(self, file: ModelFile, runtime: str, threads: int) -> ScoreReader:
        return ScoreReader(file, runtime, threads, also_read=(self._head.tensor,))
