"""A float network that is asked for Grad-CAM maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.class_names import GivenLabels, read_given
from edgeclf.artifact.input_fit import resolve_network_fit
from edgeclf.artifact.labels import names_beside
from edgeclf.artifact.normalization import Normalization
from edgeclf.errors import InputError
from edgeclf.graph.grad_cam import GradCam
from edgeclf.graph.outputs import gives_probabilities
from edgeclf.image.drawing import Pixels
from edgeclf.inference.explain_report import FLOAT_NETWORK, GRAD_CAM, ExplainedSource
from edgeclf.inference.explaining import ReadPhoto, check_pictures
from edgeclf.inference.quantization import to_probabilities
from edgeclf.keras_files.input_range import choose_input_range, describe_own_input
from edgeclf.keras_files.loading import load_network
from edgeclf.progress import SILENT, Progress

_ROUNDING = 1e-3
Floats = npt.NDArray[np.float32]


class NetworkExplainer:
    """A float network that is asked for maps; an `edgeclf.inference.explaining.Explainer`.

    Args:
        path: a run folder, a `.keras` or `.h5` file.
        normalization: how pixels enter a network from elsewhere; None: the network knows it.
        labels: class names in the order of the outputs; None: those of the run, or of `labels.txt` beside it.
        fit: how pictures of another shape come to its input; None: by its run, else stretched.
        trust_model: load it even if that runs code from its file.
        progress: where is logged how pixels enter a network from elsewhere.

    Raises:
        ModelError: there is nothing to load, Grad-CAM needs another network, or it sees objects.
        InputError: nothing states how pixels enter the network, its run has another fit, or the labels do not fit.
        UntrustedModelError: the file would run foreign code.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        normalization: Normalization | None = None,
        labels: GivenLabels | None = None,
        fit: str | None = None,
        trust_model: bool = False,
        progress: Progress = SILENT,
    ) -> None:
        loaded = load_network(path, trust_model=trust_model)
        loaded = loaded.with_fit(resolve_network_fit(loaded.path, fit))
        notes = list(loaded.network.notes)
        if normalization is None and not describe_own_input(loaded):
            raise InputError(
                f"{loaded.path.name} does not state which input values it expects; add --normalize NAME (caffe, torch, "
                "tf, 0..1, raw, or mean/std)"
            )
        chosen = choose_input_range(loaded, normalization, None, progress)
        loaded = loaded if chosen.normalization is None else loaded.with_normalization(chosen.normalization)
        classes = loaded.network.classes
        if labels is not None:
            classes = read_given(labels, len(classes))
        elif loaded.run is None:
            found, note = names_beside(loaded.path, len(classes))
            classes, notes = found or classes, [*notes, *([note] if note else [])]
        self.labels: tuple[str, ...] = tuple(classes)
        self.notes: tuple[str, ...] = tuple(notes)
        self.input_shape = loaded.network.input.shape
        check_pictures(self.input_shape, str(loaded.path))
        self._grad_cam = GradCam(loaded.network, loaded.path.name)
        self._probabilities = gives_probabilities(loaded.network.model)
        self.source = ExplainedSource(FLOAT_NETWORK, str(loaded.path), GRAD_CAM, self._grad_cam.map_size)

    def prepare(self, photos: Sequence[str | Path], read: ReadPhoto) -> None:
        """Do nothing: how pixels enter the network is known."""

    def explain(self, image: Pixels, index: int | None) -> tuple[Floats, Floats]:
        """Compute probabilities float32[C] and the map float32[h, w] of a class (None: the best)."""
        outputs, values = self._grad_cam.explain(image, index)
        is_distribution = bool((outputs >= 0).all()) and abs(float(outputs.sum()) - 1) < _ROUNDING
        known = self._probabilities or is_distribution
        return outputs if known else to_probabilities(outputs, "logits"), values
