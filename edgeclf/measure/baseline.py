"""What compressed models are compared to: the predictions of the float network on the same images.

The network itself needs TensorFlow, which this side never imports: the host hands in a `BaselineNetwork`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.normalization import Normalization
from edgeclf.dataset import Dataset
from edgeclf.image.shape import STRETCH, InputShape
from edgeclf.inference.predictor import Predictor
from edgeclf.measure.accuracy import Images, takes_order_of_classes
from edgeclf.measure.class_order import describe_assumed_order, describe_chance, match_classes, name_predictions
from edgeclf.measure.plan import BenchPlan
from edgeclf.measure.stopwatch import Percentiles, call_latency
from edgeclf.measure.subjects import DatasetLoader, split_of
from edgeclf.progress import SILENT, Progress


@dataclass(frozen=True)
class Baseline:
    """A float network and, where there is data, its predictions.

    Attributes:
        name: short, for tables.
        device: what it ran on, as TensorFlow names it: never assumed.
        predictions: int64[N], indices into the data's classes; None without data.
        paths: of the images predicted, to prove that both sides saw the same; empty without data.
        latency_ms: of one image at a time on `device`; None where it was not measured.
        parameters: numbers in the network.
        size_bytes: of its file.
        threads: that it computed with; None on a GPU.
        normalization: how pixels entered it; None: it took them raw.
        notes: on its classes, on how pixels entered it, and on an accuracy that could be chance.
        names: N names of what it predicted, also of classes that the data do not have; None without data.
    """

    name: str
    device: str
    predictions: npt.NDArray[np.int64] | None = None
    paths: tuple[str, ...] = ()
    latency_ms: Percentiles | None = None
    parameters: int | None = None
    size_bytes: int | None = None
    threads: int | None = None
    normalization: Normalization | None = None
    notes: tuple[str, ...] = ()
    names: tuple[str, ...] | None = None

    def top1(self, labels: npt.NDArray[np.int64]) -> float | None:
        """Fraction of `labels` (int64[N]) that it predicted; None without predictions."""
        if self.predictions is None:
            return None
        return float(np.mean(self.predictions == labels))


class TimedPredictor(Predictor, Protocol):
    """A predictor that can be timed, such as `KerasPredictor`.

    Attributes:
        device: name of the device with the hardware's name, for people.
        threads: that it computes one operator with; None on a GPU.
        parameters: numbers in the network; None where that is unknown.
    """

    device: str
    threads: int | None
    parameters: int | None

    def top1(self, images: Images, progress: Progress = SILENT) -> npt.NDArray[np.int64]:
        """Find the index of the best class of each of uint8[N, H, W, 3]: int64[N]."""
        ...

    def single_call(self) -> Callable[[], object]:
        """Make a function that classifies one image and returns once the result is on the host; for stopwatches."""
        ...


@dataclass(frozen=True)
class BaselineNetwork:
    """A float network that the host has opened.

    Attributes:
        predictor: runs it; its labels are empty where nobody named the classes.
        name: short, for tables.
        size_bytes: of its file; None for a folder.
        normalization: how pixels enter it; None: it takes them raw.
        class_count: number of classes; None: that of the labels.
        notes: on how its classes are named, and on how pixels enter it.
        of_a_run: whether edgeclf trained it.
        fit: how pictures come to its input.
    """

    predictor: TimedPredictor
    name: str
    size_bytes: int | None = None
    normalization: Normalization | None = None
    class_count: int | None = None
    notes: tuple[str, ...] = ()
    of_a_run: bool = False
    fit: str = STRETCH


OpenBaseline = Callable[[Path, BenchPlan, "Dataset | DatasetLoader | None", Progress], BaselineNetwork]
"""Opens a float network for a plan: (file or folder, plan, data or None, progress)."""


def measure_baseline(
    network: BaselineNetwork,
    *,
    dataset: Dataset | DatasetLoader | None = None,
    split: str = "test",
    progress: Progress = SILENT,
) -> Baseline:
    """Predict a split with a float network, matching classes as for a model file, and time it.

    Raises:
        UnknownNameError, DataError: the split is missing or empty, or the network does not fit the data.
    """
    predictor = network.predictor
    predictions: npt.NDArray[np.int64] | None = None
    paths: tuple[str, ...] = ()
    names: tuple[str, ...] | None = None
    notes = network.notes
    if dataset is not None:
        data = dataset if isinstance(dataset, Dataset) else dataset(InputShape(*predictor.size, network.fit))
        images = split_of(data, split)
        count = len(predictor.labels) if network.class_count is None else network.class_count
        mapping = match_classes(predictor.labels, count, data)
        outputs, paths = predictor.top1(images.images, progress), images.paths
        predictions = mapping[outputs]
        names = name_predictions(predictions, outputs, data.class_names, predictor.labels)
        assumed = takes_order_of_classes(predictor.labels, data.class_names)
        doubt = describe_chance(
            predictions, images.labels, len(data.class_names), assumed=assumed, own=network.of_a_run
        )
        found = (describe_assumed_order(data) if assumed else "", doubt)
        notes += tuple(f"float baseline: {note}" for note in found if note)
    with progress.task("timing the float baseline", None):
        latency = call_latency(predictor.single_call())
    return Baseline(
        name=network.name,
        device=predictor.device,
        predictions=predictions,
        paths=paths,
        latency_ms=latency,
        parameters=predictor.parameters,
        size_bytes=network.size_bytes,
        threads=predictor.threads,
        normalization=network.normalization,
        notes=notes,
        names=names,
    )
