"""What all trials of a search learn from or start from: where it is missing the search stops, and refuses no trial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from edgeclf.artifact.run_folder import RunFolder
from edgeclf.errors import InputError
from edgeclf.image.shape import check_image_size
from edgeclf.keras_files.loading import locate_float_file
from edgeclf.keras_files.tflite_start import check_tflite_start, is_tflite_start
from edgeclf.progress import Progress
from edgeclf.training.budget.candidates import Candidate
from edgeclf.training.config import TrainConfig
from edgeclf.training.downloads import fetch_weights
from edgeclf.training.networks import find_network
from edgeclf.training.plan import TrainPlan
from edgeclf.training.starts import KerasDownload, ShippedBackbone, Start
from edgeclf.training.teacher import check_teacher


class MissingWeightsError(InputError):
    """A network does not start from the weights that it has in the rest of the search.

    Args:
        config: of the trial, with its network.
        start: name of the weights.
    """

    def __init__(self, config: TrainConfig, start: str) -> None:
        found = _find_weights(config, start)
        remedy = "bring them here" if found is None else found.remedy()
        super().__init__(
            f"{config.model} starts from {start} in this search, and these weights are missing on this machine: "
            f"{remedy}; the same command then goes on, and --weights none with another --out searches without them"
        )


def check_sources(request: TrainPlan, folder: Path) -> None:
    """Refuse a teacher, or a file with weights, that is not there any more.

    Args:
        request: of a trial.
        folder: its run folder.

    Raises:
        InputError: it is so.
    """
    config = request.config
    if config.teacher is not None:
        check_teacher(config.teacher, RunFolder(folder, must_exist=False), resumes=request.resume)
    if config.weights in ("auto", "none"):
        return
    if is_tflite_start(config.weights):
        check_tflite_start(config.weights)
    else:
        locate_float_file(config.weights, trust_model=request.trust_model)


def bring_weights(config: TrainConfig, start: str, progress: Progress) -> None:
    """Download weights, unless they are on this machine: without them a training would start from others.

    Args:
        config: of a trial, with its network.
        start: name of the weights.
        progress: where a download is announced.

    Raises:
        MissingWeightsError: they cannot be had.
    """
    if not _is_there(_find_weights(config, start), progress):
        raise MissingWeightsError(config, start)


def reach_weights(config: TrainConfig, shapes: Iterable[Candidate], progress: Progress) -> bool:
    """Return whether the weights of a search that has not begun can be had: tried with the first that are not here.

    Args:
        config: of the search.
        shapes: that it is about to try.
        progress: where a download is announced, and why it failed.
    """
    for shape in shapes:
        own = config.replace(model=shape.network, width=shape.width, image_size=shape.image_size)
        found = _find_weights(own, shape.start)
        if found is not None and not found.is_local:
            return _is_there(found, progress)
    return True


def _is_there(found: Start | None, progress: Progress) -> bool:
    """Return whether weights are on this machine, by a download where they come so."""
    if isinstance(found, KerasDownload):
        return fetch_weights(found.url, found.path, found.checksum, progress)
    return found is not None and found.is_local


def starts_from(record: Mapping[str, Any], start: str) -> bool:
    """Return whether a run began from weights of this name; in place of edgeclf's own backbone, from any.

    A training prefers ImageNet weights to the backbone wherever they can be downloaded.

    Args:
        record: its `run.json`.
        start: name of the weights.
    """
    origin = (record.get("start") or {}).get("origin")
    return origin == start or (start == ShippedBackbone.origin and origin is not None)


def _find_weights(config: TrainConfig, start: str) -> Start | None:
    """Return the weights of a name that a training takes, those on this machine first; None: there are none."""
    side = max(check_image_size(config.image_size or 96))
    named = (one for one in find_network(config.model or "").starts if one.origin == start)
    of_width = (one for one in named if config.width in (None, one.width))
    return min(of_width, key=lambda one: (not one.is_local, abs(one.rows - side), -one.rows), default=None)
