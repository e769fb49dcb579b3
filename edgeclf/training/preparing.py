"""All that is checked, found and loaded before the first step of a training run, on one worker or on several."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeclf.dataset import Listing, load_dataset, probe
from edgeclf.dataset.probing import DataProbe
from edgeclf.dataset.types import Dataset
from edgeclf.errors import InputError, UnknownNameError
from edgeclf.progress import Progress
from edgeclf.training.augmentation import LEVELS
from edgeclf.training.checkpoint import epochs_done
from edgeclf.training.config import TrainConfig
from edgeclf.training.defaults import complete
from edgeclf.training.distribution import Devices
from edgeclf.training.earlier_run import CHECKPOINT, continued, find_earlier
from edgeclf.training.networks import NETWORKS
from edgeclf.training.pipeline import TrainingBatches
from edgeclf.training.precision import FASTER, bfloat16_is_faster
from edgeclf.training.run_record import record_start
from edgeclf.training.starting import StartingPoint, file_model, find_start

_FINISHED = -1


@dataclass(frozen=True)
class Opening:
    """What is known before weights or photos are read.

    Args:
        folder: the run folder.
        config: what the user said, or what the run that goes on was trained with.
        seen: number and size of the images.
        earlier: the record of the run that goes on, or is finished; None: a run begins.
    """

    folder: Path
    config: TrainConfig
    seen: DataProbe
    earlier: dict[str, Any] | None

    @property
    def report(self) -> dict[str, Any] | None:
        """The report of a finished run."""
        return self.earlier["report"] if self.earlier and self.earlier.get("finished") else None


@dataclass(frozen=True)
class Prepared:
    """What a run trains with: the complete configuration, its start, its images and their batches."""

    config: TrainConfig
    start: StartingPoint
    dataset: Dataset
    batches: TrainingBatches


def open_run(
    data: str | Path | Listing,
    config: TrainConfig,
    devices: Devices,
    *,
    out: Path | str | None,
    resume: bool,
    overwrite: bool,
) -> Opening:
    """Find the run folder and what lies in it; nothing is written.

    Raises:
        InputError: the settings or the folder cannot be used, or the workers do not see the same run.
    """
    if config.model is not None and config.model not in NETWORKS:
        raise UnknownNameError("model", config.model, NETWORKS)
    if devices.workers > 1 and overwrite:
        raise InputError(
            "--overwrite cannot be used with several workers, whose starts it would race; choose a new --out"
        )

    def look() -> Opening:
        seen = probe(data)
        file = config.weights not in ("auto", "none")
        model = file_model(Path(config.weights)) if file else complete(config, seen, pretrained=False).model
        folder = Path(out) if out else Path("runs") / (config.name or f"{seen.name}-{config.model or model}")
        earlier = find_earlier(folder, resume=resume, overwrite=overwrite)
        return Opening(folder, continued(config, earlier, folder) if earlier else config, seen, earlier)

    opening = devices.together(look)
    stand = _FINISHED if opening.report else epochs_done(opening.folder / CHECKPOINT) if opening.earlier else 0
    stands = devices.told(stand)
    if len(set(stands)) > 1:
        shown = ", ".join("finished" if s == _FINISHED else f"{s} epochs" for s in stands)
        raise InputError(
            f"{opening.folder}: the workers find different runs there ({shown}); give all of them one folder that they "
            "share with --out"
        )
    return opening


def prepare_run(
    data: str | Path | Listing, opening: Opening, devices: Devices, *, trust_model: bool, progress: Progress
) -> Prepared:
    """Find the start, load the images and write the record of the run.

    Raises:
        InputError: settings, weights or data cannot be used, or are others than those of the run that goes on.
    """

    def prepare() -> Prepared:
        earlier, seen = opening.earlier, opening.seen
        start = find_start(
            opening.config,
            seen,
            trust_model=trust_model,
            progress=progress,
            earlier=earlier.get("start") if earlier else None,
        )
        config = complete(start.adapted(opening.config), seen, pretrained=start.source is not None)
        if config.mixed_precision is None:
            # Several machines may differ in what they are fast at, and must train alike.
            alone = devices.workers == 1
            faster = alone and start.source is None and bfloat16_is_faster(config.model or "")
            config = config.replace(mixed_precision=faster)
            if faster:
                progress.say(FASTER)
        if config.progressive and not NETWORKS[config.model or ""].any_size:
            raise InputError(f"progressive needs a network for images of any size; {config.model} wants one size")
        _check_shares(config.batch_size or 1, devices)
        dataset = load_dataset(data, image_size=config.image_size or 32, progress=progress)
        batches = _batches(config, dataset)
        _check_shares(batches.effective_batch_size, devices)
        if devices.worker == 0:
            record_start(opening.folder, config, dataset, start.identity(), earlier)
        return Prepared(config, start, dataset, batches)

    return devices.together(prepare)


def _check_shares(batch_size: int, devices: Devices) -> None:
    if batch_size % devices.replicas:
        raise InputError(
            f"a batch must be a multiple of the {devices.replicas} devices that share it ({devices.description}), got "
            f"{batch_size} images; choose another --batch-size"
        )


def _batches(config: TrainConfig, dataset: Dataset) -> TrainingBatches:
    recipe = LEVELS[config.augment or "standard"]
    recipe = dataclasses.replace(recipe, flip=recipe.flip and bool(config.flip))
    train, classes = dataset.splits["train"], len(dataset.class_names)
    return TrainingBatches(train, classes, config.batch_size or 1, recipe, config.balance, config.seed)
