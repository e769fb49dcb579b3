"""Opens the members of an ensemble: their model files where all have one, else their float networks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.ensemble_folder import EnsembleSource
from edgeclf.artifact.input_fit import find_fit_refusal
from edgeclf.artifact.locate import folder_models, locate_model
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.dataset import Dataset
from edgeclf.errors import MissingExtraError, ModelError
from edgeclf.image.shape import InputShape
from edgeclf.inference.classifier import Classifier
from edgeclf.inference.engine import find_engine
from edgeclf.inference.ensemble import Probabilities, as_probabilities, check_members
from edgeclf.inference.predictor import Predictor, check_numbers
from edgeclf.measure.baseline import OpenBaseline
from edgeclf.measure.class_order import match_classes
from edgeclf.measure.latency import fill_input, timed_call
from edgeclf.measure.plan import BenchPlan
from edgeclf.measure.subjects import DatasetLoader, choose_labels, open_subject, split_of
from edgeclf.progress import Progress

MODEL, NETWORK = "model", "network"
_FLOAT = (".keras", ".h5", ".hdf5")
_CHUNK = 200


@dataclass(frozen=True)
class OpenedMember:
    """A member that can predict.

    Attributes:
        name: short.
        path: of its model file or its network.
        kind: `model` or `network`.
        shape: of its input.
        predictor: gives its class names.
        probabilities: computes its outputs float32[N, C] for uint8[N, H, W, 3].
        single_call: classifies one image; for stopwatches.
        notes: remarks on how it is read.
    """

    name: str
    path: str
    kind: str
    shape: InputShape
    predictor: Predictor
    probabilities: Callable[[npt.NDArray[np.uint8]], Probabilities]
    single_call: Callable[[], object]
    notes: tuple[str, ...]

    def predict(self, data: Dataset, split: str, progress: Progress) -> Probabilities:
        """Predict a split: float32[N, C], in the order of the classes of `data`, at its own input size."""
        images = split_of(data, split).images
        parts = []
        with progress.task(f"{self.name}: {len(images):,} images", len(images)) as task:
            for start in range(0, len(images), _CHUNK):
                chunk = np.ascontiguousarray(images[start : start + _CHUNK])
                parts.append(self.probabilities(chunk))
                task.advance(len(chunk))
        found = np.concatenate(parts)
        # of a model file the graph says what it ends in; of a network all its outputs do, not those of a few images
        found = as_probabilities(found) if self.kind == NETWORK else found
        check_numbers(found, self.name)
        mapping = match_classes(self.predictor.labels, found.shape[1], data)
        if sorted(mapping) != list(range(len(data.class_names))):
            raise ModelError(
                f"{self.path}: has {found.shape[1]} classes and {data.source} {len(data.class_names)}; a member of an "
                "ensemble must have learned those of the data"
            )
        return found[:, np.argsort(mapping)]


def open_members(
    source: EnsembleSource,
    plan: BenchPlan,
    load: DatasetLoader | None,
    open_network: OpenBaseline | None,
    progress: Progress,
    *,
    tempered: bool = True,
) -> tuple[OpenedMember, ...]:
    """Open the members of an ensemble, which agree on their classes and on how photos were split.

    Args:
        source: names them.
        plan: of the measurement.
        load: the data; None: there are none.
        open_network: opens a float network; None where TensorFlow is not installed.
        progress: where bars go.
        tempered: whether probabilities of model files are by their fitted temperatures, which a stacking knows not of.

    Raises:
        ModelError: a member is missing, or the members do not agree.
        MissingExtraError: a float network is needed, and TensorFlow is not installed.
    """
    compressed = all(_has_model(path) for path in source.members)
    opened = []
    for path, name in zip(source.members, _short_names(source), strict=True):
        if compressed:
            opened.append(_open_model(path, name, plan, load, tempered=tempered))
        elif open_network is None:
            raise MissingExtraError(f"the float network of {path}", "train", "tensorflow")
        else:
            opened.append(_open_network(path, name, plan, load, open_network, progress))
    if all(one.predictor.labels for one in opened):
        check_members([(one.name, one.predictor.labels) for one in opened], source.name)
    _check_splits(source)
    return tuple(opened)


def _has_model(path: Path) -> bool:
    if RunFolder.is_one(path):
        return bool(folder_models(path))
    return path.suffix.lower() not in _FLOAT and not (path / "saved_model.pb").is_file()


def _short_names(source: EnsembleSource) -> list[str]:
    names = [path.name for path in source.members]
    return names if len(set(names)) == len(names) else [str(path) for path in source.members]


def _open_model(path: Path, name: str, plan: BenchPlan, load: DatasetLoader | None, *, tempered: bool) -> OpenedMember:
    file = ModelFile.read(locate_model(path))
    found = open_subject(file, name, plan, load)
    fit = None if find_fit_refusal(file, plan.fit) else plan.fit
    labels = choose_labels(file, plan)
    classifier = Classifier(file, runtime=plan.runtime, normalize=found.given, labels=labels, fit=fit, threshold=0)
    session = find_engine(plan.runtime).open(file)
    fill_input(session)
    notes = tuple(f"{name}: {note}" for note in found.notes)
    return OpenedMember(
        name,
        str(file.path or path),
        MODEL,
        classifier.input_shape,
        classifier,
        functools.partial(classifier.probabilities, tempered=tempered),
        timed_call(session),
        notes,
    )


def _open_network(
    path: Path,
    name: str,
    plan: BenchPlan,
    load: DatasetLoader | None,
    open_network: OpenBaseline,
    progress: Progress,
) -> OpenedMember:
    network = open_network(path, replace(plan, models=(str(path),)), load, progress)
    predictor = network.predictor
    notes = tuple(f"{name}: {note.removeprefix('float baseline: ')}" for note in network.notes)
    shape = InputShape(*predictor.size, network.fit)
    return OpenedMember(
        name, str(path), NETWORK, shape, predictor, predictor.probabilities, predictor.single_call(), notes
    )


def _check_splits(source: EnsembleSource) -> None:
    """Refuse runs whose photos were split by other seeds: what tests one may have trained another."""
    seeds = {
        str(path): (RunFolder(path).run_json.get("data") or {}).get("split_seed")
        for path in source.members
        if RunFolder.is_one(path)
    }
    if len(set(seeds.values())) > 1:
        first = next(iter(seeds))
        other = next(path for path in seeds if seeds[path] != seeds[first])
        raise ModelError(
            f"{first} and {other} split their photos by different seeds, so the test photos of one may have trained "
            "the other; train the members of an ensemble with the same split"
        )
