"""What all recipes of one compression share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeclf.compression.export.calibration import CalibrationSet
from edgeclf.compression.export.observation import FloatObservation
from edgeclf.dataset import Dataset
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.inference.input_range import InputRange
from edgeclf.keras_files.loading import FloatSource
from edgeclf.progress import Progress


@dataclass(frozen=True)
class Job:
    """One source on its way through all its recipes.

    Args:
        source: the float network as it was found.
        data: images for calibration, training and top-1.
        network: prepared: what training and quantization work on.
        input_choice: what pixel values 0 and 255 become before they enter the network, and who says so.
        calibration: the record of the calibration draw.
        images: uint8[N, H, W, 3], that draw.
        observed: the float graph and what flows through it on `images`.
        io: input and output type.
        seed: of the draw and of training.
        float_top1: of the source on the scored split, as a fraction.
        progress: where bars go.
    """

    source: FloatSource
    data: Dataset | None
    network: FloatNetwork
    input_choice: InputRange
    calibration: CalibrationSet | None
    images: np.ndarray | None
    observed: FloatObservation | None
    io: str
    seed: int
    float_top1: float | None
    progress: Progress

    @property
    def fingerprint(self) -> str | None:
        """Of the data; None without."""
        return None if self.data is None else self.data.fingerprint
