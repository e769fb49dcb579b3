"""All that is checked, found and loaded before the first step of a training run, on one worker or on several."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

from edgeclf.dataset import load_dataset
from edgeclf.dataset.splitting import SPLIT_SEED
from edgeclf.dataset.types import Dataset
from edgeclf.dataset.used_images import add_used, run_of_weights, runs_of_teacher
from edgeclf.errors import InputError
from edgeclf.measure.formatting import counted
from edgeclf.training.augmentation import Augmentation, choose_augmentation
from edgeclf.training.budget.candidates import square_side
from edgeclf.training.checkpoint import epochs_done
from edgeclf.training.config import TrainConfig
from edgeclf.training.defaults import complete
from edgeclf.training.distribution import Devices
from edgeclf.training.fine_tuning import complete_fine_tuning, count_features
from edgeclf.training.growing import GrownStart, find_grown_start
from edgeclf.training.idle_settings import check_idle
from edgeclf.training.kernels import check_kernels
from edgeclf.training.networks import find_network
from edgeclf.training.objective import Classification, Objective
from edgeclf.training.pipeline import TrainingBatches
from edgeclf.training.plan import TrainPlan
from edgeclf.training.precision import FASTER, bfloat16_is_faster
from edgeclf.training.pretraining import find_method
from edgeclf.training.pretraining.config import PretrainConfig
from edgeclf.training.recorded_predictions import RecordedPredictions
from edgeclf.training.run_plan import RunPlan, plan_run
from edgeclf.training.run_record import RunRecord, check_photos
from edgeclf.training.soft_targets import SoftTargets
from edgeclf.training.starting import BACKBONE, StartingPoint, find_start
from edgeclf.training.teacher import find_soft_targets

_FINISHED = -1


@dataclass(frozen=True)
class TrainingInputs:
    """What a run trains with: the complete configuration, its start, its images, what it learns, batches and record."""

    config: TrainConfig
    start: StartingPoint
    dataset: Dataset
    objective: Objective
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
    _check_same_choice(found, devices)
    return found


def load_inputs(request: TrainPlan, plan: RunPlan, devices: Devices) -> TrainingInputs:
    """Find the start, load the images and write the record of the run.

    Raises:
        InputError: settings, weights or data cannot be used, or are others than those of the run that is resumed.
    """

    def load() -> TrainingInputs:
        if plan.earlier is not None:
            check_kernels(plan.earlier, plan.folder.path)
        start = _find_start(request, plan)
        if plan.config.quick:
            _check_quick(start, devices)
        _check_pretrained(plan, start)
        config = _complete_config(plan, start, devices, request)
        seed = SPLIT_SEED if plan.parent is None else plan.parent.split_seed
        shape, progress = config.input_shape, request.progress
        dataset = load_dataset(request.data, image_size=shape.size, fit=shape.fit, split_seed=seed, progress=progress)
        check_photos(plan.earlier, dataset, plan.folder.path)
        runs = [run_of_weights(plan.config.weights), *runs_of_teacher(plan.config.teacher)]
        runs += [] if plan.parent is None else [plan.parent.folder]
        dataset = add_used(dataset.train_on_views(), runs)
        if isinstance(start, GrownStart):
            for line in start.find_growth(dataset).describe():
                request.progress.info(line)
        targets = find_soft_targets(config, dataset, request, plan.folder, resumes=plan.earlier is not None)
        recipe = choose_augmentation(config.augment, flip=bool(config.flip))
        objective = _choose_objective(config, dataset, recipe, has_teacher=targets is not None)
        batches = _make_batches(config, dataset, recipe, objective, targets)
        _check_batch_size(batches.effective_batch_size, devices)
        record = RunRecord(plan.folder, config, dataset, start.identity(), plan.choice)
        if devices.worker == 0:
            record.begin(plan.earlier)
            if targets is not None and not (plan.earlier and plan.folder.teacher_path.is_file()):
                RecordedPredictions.of(dataset.class_names, targets).write(plan.folder.teacher_path)
        return TrainingInputs(config, start, dataset, objective, batches, record)

    return devices.run_on_all_workers(load)


def _check_quick(start: StartingPoint, devices: Devices) -> None:
    if devices.workers > 1:
        raise InputError("--quick trains on one machine; leave it out, or TF_CONFIG")
    if start.network is None:
        raise InputError(
            "--quick fits a classifier on the features of a pretrained network, and there is none to start from; name "
            "one with --weights FILE, or leave --quick out"
        )


def _check_pretrained(plan: RunPlan, start: StartingPoint) -> None:
    """Refuse settings that are for pretrained networks, where there is none."""
    if start.network is not None:
        return
    does = ""
    if plan.config.frozen_fraction:
        does = "frozen_fraction keeps the first layers of a pretrained network as they are"
    elif plan.config.head_first and plan.earlier is None:  # earlier versions began such runs
        does = "head_first fits the classifier on the features of a pretrained network"
    if does:
        raise InputError(
            f"{does}, and there is none to start from; name one with --weights FILE, or leave the setting out"
        )


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


def _check_same_choice(plan: RunPlan, devices: Devices) -> None:
    config = plan.config
    chosen = f"{config.model} {config.width} {config.image_size}"
    if len(set(devices.all_gather(zlib.crc32(chosen.encode()) >> 1))) > 1:
        raise InputError(
            f"the workers choose different networks, this one {chosen}: their ImageNet weights differ; name one with "
            "--model, --width and --image-size"
        )


def _complete_config(plan: RunPlan, start: StartingPoint, devices: Devices, request: TrainPlan) -> TrainConfig:
    config, progress = start.adapt_config(plan.config), request.progress
    if config.quick and request.callbacks:
        raise InputError("quick trains no epochs, and callbacks see the end of each; leave them or quick out")
    if devices.workers > 1 or request.callbacks:
        config = config.replace(quick=bool(config.quick))  # several workers, and callbacks, are for epochs
    if isinstance(config, PretrainConfig):
        config = find_method(config.method).complete(config, plan.probe)
    elif not start.self_supervised:
        config = _complete_fine_tuning(config, plan, start, request.named)
    config = complete(config, plan.probe, pretrained=start.network is not None)
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
    if plan.earlier is None:
        # once more, beside what was chosen; what an earlier version began goes on
        check_idle(config, request.config.list_given(request.named), request.named)
    return config


def _complete_fine_tuning(
    config: TrainConfig, plan: RunPlan, start: StartingPoint, named: frozenset[str]
) -> TrainConfig:
    """Choose what depends on a pretrained network; edgeclf's own small backbone knows too little to be kept so."""
    network = start.network
    # A run that is resumed has all its settings; those that an earlier version did not know stay off.
    if network is None or start.origin == BACKBONE or plan.earlier is not None:
        return config
    side = square_side(config.image_size) or 96
    parameters, macs = count_features(network, side)
    return complete_fine_tuning(config, plan.probe, parameters=parameters, macs=macs, folded=start.folded, named=named)


def _check_batch_size(batch_size: int, devices: Devices) -> None:
    if batch_size % devices.replicas:
        raise InputError(
            f"batch_size must be a multiple of the {devices.replicas} devices that divide it "
            f"({devices.description}), got {batch_size}; choose another --batch-size"
        )


def _choose_objective(config: TrainConfig, dataset: Dataset, recipe: Augmentation, *, has_teacher: bool) -> Objective:
    if isinstance(config, PretrainConfig):
        return find_method(config.method).make(recipe)
    classes = len(dataset.class_names)
    return Classification(classes, config.label_smoothing, has_teacher, config.teacher_weight, config.temperature)


def _make_batches(
    config: TrainConfig,
    dataset: Dataset,
    recipe: Augmentation,
    objective: Objective,
    targets: SoftTargets | None,
) -> TrainingBatches:
    train, classes = dataset.splits["train"], len(dataset.class_names)
    soft = None if targets is None else replace(targets, temperature=config.temperature)
    batch, views = config.batch_size or 1, objective.views
    return TrainingBatches(train, classes, batch, recipe, config.balance, config.seed, soft, views)
