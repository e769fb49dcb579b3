"""Opens the two that `compare` is given, predicts with them, and describes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgeclf.artifact.macs import count_macs, count_parameters
from edgeclf.artifact.model_file import ModelFile
from edgeclf.dataset import Dataset, Split
from edgeclf.errors import MissingExtraError
from edgeclf.image.shape import InputShape
from edgeclf.measure.accuracy import IntArray, predict_split, takes_order_of_classes
from edgeclf.measure.baseline import BaselineNetwork, OpenBaseline
from edgeclf.measure.class_order import describe_assumed_order, describe_chance, match_classes, name_predictions
from edgeclf.measure.compare_plan import ComparePlan
from edgeclf.measure.compare_report import ComparedModel, CompareReport
from edgeclf.measure.compare_sides import Side
from edgeclf.measure.comparison import ModelPredictions
from edgeclf.measure.plan import BenchPlan
from edgeclf.measure.statistics import wilson_interval
from edgeclf.measure.subjects import DatasetLoader, Subject, open_subject, split_of
from edgeclf.progress import Progress


@dataclass(frozen=True)
class NetworkCosts:
    """What a float network costs on a device; `int8_bytes` is an estimate."""

    macs: int
    int8_bytes: int


@dataclass(frozen=True)
class CompareParts:
    """What `compare` takes from the host side, which this side never imports.

    Attributes:
        open_network: opens a float network; None where TensorFlow is not installed.
        count_costs: counts those of a float network, for the size of its input; it returns None where it cannot.
        write_page: writes the HTML page, with the images compared; None where its packages are not installed.
    """

    open_network: OpenBaseline | None = None
    count_costs: Callable[[Path, tuple[int, int]], NetworkCosts | None] | None = None
    write_page: Callable[[CompareReport, Path, Split], object] | None = None


@dataclass(frozen=True)
class OpenedSide:
    """One of the two, opened: `labels` are empty where nobody named its classes."""

    side: Side
    shape: InputShape
    labels: tuple[str, ...]
    class_count: int
    notes: tuple[str, ...]
    model: Subject | BaselineNetwork


def find_opener(side: Side, host: CompareParts) -> OpenBaseline:
    """Return what opens float networks.

    Raises:
        MissingExtraError: TensorFlow is not installed.
    """
    if host.open_network is None:
        raise MissingExtraError(f"compare: the float network {side.path}", "train", "tensorflow")
    return host.open_network


def open_side(side: Side, plan: ComparePlan, load: DatasetLoader, host: CompareParts, progress: Progress) -> OpenedSide:
    """Open one of the two, and measure how pixels enter it where its file does not state it.

    Raises:
        ModelError: it is no image classifier.
    """
    request = BenchPlan(
        (str(side.path),),
        split=plan.split,
        runtime=plan.runtime,
        normalization=plan.normalization,
        labels=plan.labels,
        fit=plan.fit,
        trust_model=plan.trust_model,
    )
    if side.file is None:
        network = find_opener(side, host)(side.path, request, load, progress)
        labels = network.predictor.labels
        notes = tuple(note.removeprefix("float baseline: ") for note in network.notes)
        shape, count = InputShape(*network.predictor.size, network.fit), network.class_count
        return OpenedSide(side, shape, labels, len(labels) if count is None else count, notes, network)
    one = open_subject(side.file, side.name, request, load)
    return OpenedSide(side, one.shape, one.labels, one.class_count, one.notes, one)


def predict_side(
    one: OpenedSide, data: Dataset, plan: ComparePlan, rows: IntArray, progress: Progress
) -> ModelPredictions:
    """Predict the images `rows`, int64[n], of the split; `data` has the size that it takes.

    Raises:
        DataError: it does not fit the classes of the data.
    """
    images = split_of(data, plan.split).subset(rows)
    mapping = match_classes(one.labels, one.class_count, data)
    if isinstance(one.model, Subject):
        outputs = predict_split(
            one.model.file, images.images, runtime=plan.runtime, normalization=one.model.given, progress=progress
        ).indices
    else:
        outputs = one.model.predictor.top1(images.images, progress)
    indices = mapping[outputs]
    names = name_predictions(indices, outputs, data.class_names, one.labels)
    return ModelPredictions(one.side.name, str(one.side.path), images, tuple(data.class_names), indices, names)


def describe_side(one: OpenedSide, predictions: ModelPredictions, data: Dataset, host: CompareParts) -> ComparedModel:
    """Describe one of the two, with its accuracy on the images predicted."""
    side, labels = one.side, predictions.split.labels
    assumed = takes_order_of_classes(one.labels, data.class_names)
    of_edgeclf = side.run is not None or (side.file is not None and side.file.provenance is not None)
    doubt = describe_chance(predictions.indices, labels, len(data.class_names), assumed=assumed, own=of_edgeclf)
    more = (describe_assumed_order(data) if assumed else "", doubt)
    right = int((predictions.indices == labels).sum())
    costs, parameters, macs = None, None, None
    if isinstance(one.model, BaselineNetwork):
        parameters = one.model.predictor.parameters
        if host.count_costs is not None:
            costs = host.count_costs(side.path, one.shape.size)
            macs = costs.macs if costs else None
    elif side.file is not None and side.file.is_tflite:
        parameters, macs = count_parameters(side.file.graph), count_macs(side.file.graph)
    compressed = {path.name: path.stat().st_size for path in side.run.models()} if side.run else {}
    plain = f"{side.run.name}-int8.tflite" if side.run else ""
    return ComparedModel(
        name=side.name,
        path=str(side.path),
        kind=side.kind,
        input_size=one.shape.size,
        fit=one.shape.fit,
        top1=right / len(labels),
        top1_interval=wilson_interval(right, len(labels)),
        parameters=parameters,
        macs=macs,
        size_bytes=_size(side.file, side.path),
        int8_bytes=costs.int8_bytes if costs else None,
        compressed=compressed,
        known_by=side.known_by,
        notes=(*one.notes, *filter(None, more)),
        plain_int8=plain if plain in compressed else "",
    )


def _size(file: ModelFile | None, path: Path) -> int | None:
    if file is not None:
        return len(file.content)
    return path.stat().st_size if path.is_file() else None
