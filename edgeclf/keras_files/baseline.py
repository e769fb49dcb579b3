"""Opens the float network that `bench` compares with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from edgeclf.artifact.run_folder import RunFolder
from edgeclf.dataset import Dataset
from edgeclf.keras_files.input_range import decide_input_range
from edgeclf.keras_files.loading import load_network
from edgeclf.keras_files.predictor import BATCH, KerasPredictor
from edgeclf.measure.baseline import BaselineNetwork
from edgeclf.measure.plan import BenchPlan
from edgeclf.progress import SILENT, Progress

Data = Dataset | Callable[[int, int], Dataset] | None


def open_baseline(path: str | Path, plan: BenchPlan, data: Data = None, progress: Progress = SILENT) -> BaselineNetwork:
    """Open a float network with its input scaling.

    Args:
        path: what `compress` takes: a run folder, a `.keras` or `.h5` file, a SavedModel.
        plan: with the input range given, and whether to load layers that may carry code.
        data: the images, or a function that loads them at a (height, width), on which an unknown input range is
            measured; None: the range given, else raw pixels.
        progress: where remarks go.

    Raises:
        ModelError: the file does not hold an image classifier.
        InputError: neither the file nor the plan states the input range, and there is no data.
        UntrustedModelError: the file would run foreign code.
    """
    loaded = load_network(path, trust_model=plan.trust_model)
    for note in loaded.network.notes:
        progress.info(note)
    size = (loaded.network.input.height, loaded.network.input.width)
    dataset = data(*size) if callable(data) else data
    span = plan.input_range
    if dataset is not None:
        span = decide_input_range(loaded, plan.input_range, dataset, progress)
    scaled = loaded if span is None else loaded.with_input_range(*span)
    classes = _class_names(loaded.path, len(loaded.network.classes))
    network = dataclasses.replace(scaled.network, classes=classes)
    file = loaded.path
    return BaselineNetwork(
        # A SavedModel may have been exported for one batch size.
        predictor=KerasPredictor(network, batch_size=1 if loaded.kind == "SavedModel" else BATCH),
        name=f"{file.parent.name}/{file.name}" if file.parent.name else file.name,
        size_bytes=file.stat().st_size if file.is_file() else None,
        input_range=span,
    )


def _class_names(path: Path, classes: int) -> tuple[str, ...]:
    """Return the names of the outputs of a run folder's network; for a network from elsewhere, their numbers."""
    folder = path if path.is_dir() else path.parent
    names = (RunFolder(folder).run_json.get("data") or {}).get("class_names") if RunFolder.is_one(folder) else None
    return tuple(names) if names else tuple(map(str, range(classes)))
