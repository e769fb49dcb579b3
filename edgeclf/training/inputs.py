"""All that is checked, found and loaded before the first step of a training run, on one worker or on several."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from edgeclf.dataset import load_dataset
from edgeclf.dataset.splitting import SPLIT_SEED
from edgeclf.dataset.types import Dataset
from edgeclf.errors import InputError
from edgeclf.measure.formatting import counted
from edgeclf.progress import Progress
from edgeclf.training.augmentation import LEVELS
from edgeclf.training.checkpoint import epochs_done
from edgeclf.training.config import TrainConfig
from edgeclf.training.defaults import complete
from edgeclf.training.distribution import Devices
from edgeclf.training.growing import GrownStart, find_grown_start
from edgeclf.training.networks import find_network
from edgeclf.training.pipeline import TrainingBatches
from edgeclf.training.plan import TrainPlan
from edgeclf.training.precision import FASTER, bfloat16_is_faster
from edgeclf.training.run_plan import RunPlan, plan_run
from edgeclf.training.run_record import RunRecord
from edgeclf.training.starting import StartingPoint, find_start

_FINISHED = -1


@dataclass(frozen=True)
class TrainingInputs:
    """What a run trains with: the complete configuration, its start, its images, their batches and its record."""

    config: TrainConfig
    start: StartingPoint
    dataset: Dataset
    batches: TrainingBatches
    record: RunRecord


def agree_on_run(request: TrainPlan, devices: Devices) -> RunPlan:
    """Plan the run on every worker, each of which has to find the same one.

    Raises:
        InputError: the settings or the folder cannot be used, or the workers do not see the same run.
    """
    if devices.workers > 1 and request.overwrite:
        raise InputError(
            "--overwrite cannot be used with several workers, because one might remove what another has begun; "
            "choose a new --out"
        )
    found = devices.run_on_all_workers(lambda: plan_run(request))
    _check_same_run(found, devices)
    return found


def load_inputs(request: TrainPlan, plan: RunPlan, devices: Devices) -> TrainingInputs:
    """Find the start, load the images and write the record of the run.

    Raises:
        InputError: settings, weights or data cannot be used, or are others than those of the run that is resumed.
    """

    def load() -> TrainingInputs:
        start = _find_start(request, plan)
        config = _complete_config(plan, start, devices, request.progress)
        seed = SPLIT_SEED if plan.parent is None else plan.parent.split_seed
        size = config.image_size or 32
        dataset = load_dataset(request.data, image_size=size, split_seed=seed, progress=request.progress)
        if isinstance(start, GrownStart):
            for line in start.find_growth(dataset).describe():
                request.progress.info(line)
        batches = _make_batches(config, dataset)
        _check_batch_size(batches.effective_batch_size, devices)
        record = RunRecord(plan.folder, config, dataset, start.identity())
        if devices.worker == 0:
            record.begin(plan.earlier)
        return TrainingInputs(config, start, dataset, batches, record)

    return devices.run_on_all_workers(load)


def _find_start(request: TrainPlan, plan: RunPlan) -> StartingPoint:
    if plan.parent is not None:
        return find_grown_start(plan.parent, trust_model=request.trust_model, earlier=plan.start)
    return find_start(
        plan.config, plan.probe, trust_model=request.trust_model, progress=request.progress, earlier=plan.start
    )


def _check_same_run(plan: RunPlan, devices: Devices) -> None:
    done = epochs_done(plan.folder.checkpoint_path) if plan.earlier else 0
    found = devices.all_gather(_FINISHED if plan.report else done)
    if len(set(found)) > 1:
        shown = ", ".join("finished" if number == _FINISHED else counted(number, "epoch") for number in found)
        raise InputError(
            f"{plan.folder.path}: the workers find different runs there ({shown}); give all of them the same folder "
            "with --out"
        )


def _complete_config(plan: RunPlan, start: StartingPoint, devices: Devices, progress: Progress) -> TrainConfig:
    config = complete(start.adapt_config(plan.config), plan.probe, pretrained=start.network is not None)
    if config.mixed_precision is None:
        # Several machines may differ in what they are fast at, and must train alike.
        alone = devices.workers == 1
        faster = alone and start.network is None and bfloat16_is_faster(config.model or "")
        config = config.replace(mixed_precision=faster)
        if faster:
            progress.info(FASTER)
    if config.progressive and not find_network(config.model or "").any_size:
        raise InputError(f"progressive needs a network for images of any size; {config.model} is built for one size")
    _check_batch_size(config.batch_size or 1, devices)
    return config


def _check_batch_size(batch_size: int, devices: Devices) -> None:
    if batch_size % devices.replicas:
        raise InputError(
            f"batch_size must be a multiple of the {devices.replicas} devices that divide it "
            f"({devices.description}), got {batch_size}; choose another --batch-size"
        )


def _make_batches(config: TrainConfig, dataset: Dataset) -> TrainingBatches:
    recipe = LEVELS[config.augment or "standard"]
    recipe = dataclasses.replace(recipe, flip=recipe.flip and bool(config.flip))
    train, classes = dataset.splits["train"], len(dataset.class_names)
    return TrainingBatches(train, classes, config.batch_size or 1, recipe, config.balance, config.seed)
