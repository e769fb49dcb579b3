"""Opens the float network that `bench` compares with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from edgeclf.artifact.class_names import GivenLabels, read_given
from edgeclf.artifact.input_fit import run_fit
from edgeclf.artifact.labels import names_beside
from edgeclf.artifact.normalization import RAW
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.dataset import Dataset
from edgeclf.image.shape import STRETCH, InputShape
from edgeclf.keras_files.input_range import choose_input_range, describe_own_input
from edgeclf.keras_files.loading import load_network
from edgeclf.keras_files.predictor import BATCH, KerasPredictor
from edgeclf.measure.baseline import BaselineNetwork
from edgeclf.measure.class_order import order_classes
from edgeclf.measure.plan import BenchPlan
from edgeclf.progress import SILENT, Progress

Data = Dataset | Callable[[InputShape], Dataset] | None


def open_baseline(path: str | Path, plan: BenchPlan, data: Data = None, progress: Progress = SILENT) -> BaselineNetwork:
    """Open a float network with its input scaling.

    Args:
        path: what `compress` takes: a run folder, a `.keras` or `.h5` file, a SavedModel.
        plan: with the normalization and the fit given, and whether to load layers that may carry code. A network that
            knows its own is not given another: that one is for the models.
        data: the images, or a function that loads them for an input, on which an unknown input range is
            measured; None: the normalization given, else raw pixels.
        progress: where remarks go.

    Raises:
        ModelError: the file does not hold an image classifier.
        InputError: neither the file nor the plan states the input range, and there is no data.
        UntrustedModelError: the file would run foreign code.
    """
    loaded = load_network(path, trust_model=plan.trust_model)
    for note in loaded.network.notes:
        progress.info(note)
    trained = run_fit(loaded.path)
    loaded = loaded.with_fit(trained or plan.fit or STRETCH)
    dataset = data(loaded.network.input.shape) if callable(data) else data
    classes, found = _class_names(loaded.path, len(loaded.network.classes), plan.labels)
    notes, normalization = list(found), plan.normalization
    if trained and plan.fit not in (None, trained):
        notes.append(f"the fit {plan.fit} was not applied to it: it was trained with {trained}")
    if dataset is not None and classes is not None and len(classes) == len(dataset.class_names):
        dataset = order_classes(dataset, classes)
    if own := describe_own_input(loaded):
        if normalization is not None and not normalization.agrees_with(RAW):
            notes.append(f"{normalization.text} was not applied to it: {own}")
        normalization = None
    elif dataset is not None:
        chosen = choose_input_range(loaded, normalization, dataset, progress)
        normalization = chosen.normalization
        notes += chosen.notes
    scaled = loaded if normalization is None else loaded.with_normalization(normalization)
    network = scaled.network if classes is None else dataclasses.replace(scaled.network, classes=classes)
    file = loaded.path
    return BaselineNetwork(
        # A SavedModel may have been exported for one batch size.
        predictor=KerasPredictor(network, labels=classes or (), batch_size=1 if loaded.kind == "SavedModel" else BATCH),
        name=f"{file.parent.name}/{file.name}" if file.parent.name else file.name,
        size_bytes=file.stat().st_size if file.is_file() else None,
        normalization=None if normalization == RAW else normalization,
        class_count=len(network.classes),
        notes=tuple(f"float baseline: {note}" for note in notes),
        of_a_run=RunFolder.is_one(_folder(loaded.path)),
        fit=network.input.fit,
    )


def _class_names(path: Path, count: int, given: GivenLabels | None) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Return the class names of a network, and a note on a list that lies beside it; None where nobody named them."""
    folder = _folder(path)
    names = (RunFolder(folder).run_json.get("data") or {}).get("class_names") if RunFolder.is_one(folder) else None
    if names:
        return tuple(names), ()
    if given is not None:
        return read_given(given, count), ()
    found, note = names_beside(path, count)
    return found, (note,) if note else ()


def _folder(path: Path) -> Path:
    """Return the folder that may be a run folder: that of the file, since `bench` names a run's `model.keras`."""
    return path if path.is_dir() else path.parent
