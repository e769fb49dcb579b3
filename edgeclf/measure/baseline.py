"""What compressed models are compared to: the answers of the float network on the same images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeclf.measure.latency import Percentiles


@dataclass(frozen=True)
class Baseline:
    """A float network and, where there is data, its answers.

    Attributes:
        name: short, for tables.
        device: what it ran on, as TensorFlow names it: never assumed.
        predictions: int64[N], indices into the data's classes; None without data.
        paths: of the images answered, to prove that both sides saw the same; empty without data.
        latency_ms: of one image at a time on `device`; None where it was not measured.
        parameters: numbers in the network.
        size_bytes: of its file.
        threads: that it computed with; None on a GPU.
        input_range: what pixel values 0 and 255 became for it; None: it took them raw.
    """

    name: str
    device: str
    predictions: npt.NDArray[np.int64] | None = None
    paths: tuple[str, ...] = ()
    latency_ms: Percentiles | None = None
    parameters: int | None = None
    size_bytes: int | None = None
    threads: int | None = None
    input_range: tuple[float, float] | None = None

    def top1(self, labels: npt.NDArray[np.int64]) -> float | None:
        """Share of `labels` (int64[N]) that it answered rightly; None without answers."""
        if self.predictions is None:
            return None
        return float(np.mean(self.predictions == labels))
