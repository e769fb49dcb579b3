"""Trains the members of an ensemble one after the other, and combines them."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence

import numpy as np
import tf_keras

from edgeclf.artifact.ensemble_folder import STACK, Stacking
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.dataset import Dataset, load_dataset
from edgeclf.dataset.used_images import add_used, run_of_weights, runs_of_teacher
from edgeclf.errors import InputError
from edgeclf.image.shape import InputShape
from edgeclf.inference.ensemble import Probabilities, combine
from edgeclf.measure.paired_interval import difference_interval
from edgeclf.measure.statistics import discordant, mcnemar_p
from edgeclf.progress import Progress
from edgeclf.training.config import TrainConfig
from edgeclf.training.ensembles.plan import EnsemblePlan, write_record
from edgeclf.training.ensembles.report import EnsembleReport, Member
from edgeclf.training.ensembles.stacking import check_fewest, cross_fit, fit_stacking
from edgeclf.training.evaluation import evaluate
from edgeclf.training.inference import predict_probabilities
from edgeclf.training.plan import TrainPlan
from edgeclf.training.run import train
from edgeclf.training.run_plan import hold_run
from edgeclf.training.run_record import TrainReport, describe_optimism
from edgeclf.training.teacher import TeacherPredictions


def train_ensemble(plan: EnsemblePlan, progress: Progress) -> EnsembleReport:
    """Train the members, combine them, and write `ensemble.json`.

    Args:
        plan: what is trained, and where it goes; its folder was begun.
        progress: where bars are shown.

    Raises:
        InputError: data, settings or the folder cannot be used.
        RunFailedError: a training diverged, or the disk is full.
    """
    reports: list[TrainReport] = []
    teachers: TeacherPredictions = {}
    if plan.resume:
        _check_begun(plan, progress)
    for seed in plan.seeds:
        reports.append(_train_member(plan, seed, teachers, progress))
        validation = reports[0].metrics["validation"]
        if plan.combine == STACK and validation is not None:  # known before the others are trained
            check_fewest(min(one.images for one in validation.per_class.values()))
    runs = [RunFolder(report.run) for report in reports]
    dataset = _load(plan, runs[0], progress)
    _check_photos(dataset, runs)
    splits = [split for split in ("validation", "test") if split in dataset.splits]
    members = [_predict(report, dataset, splits, progress) for report in reports]
    predictions = {split: np.stack([member[split] for member in members]) for split in splits}
    stacking = None
    if plan.combine == STACK:
        with progress.task("stacking", None):
            stacking = fit_stacking(predictions["validation"], dataset.splits["validation"].labels)
    report = _make_report(plan, reports, dataset, predictions, stacking)
    write_record(plan, finished=True, stacking=stacking)
    return report


def _train_member(plan: EnsemblePlan, seed: int, teachers: TeacherPredictions, progress: Progress) -> TrainReport:
    request = TrainPlan(
        plan.data,
        # one classifier on frozen features is as another
        plan.config.replace(seed=seed, quick=bool(plan.config.quick)),
        named=plan.named,
        out=plan.member_path(seed),
        resume=plan.resume,
        trust_model=plan.trust_model,
        progress=progress,
        teachers=teachers,
    )
    progress.info(f"member with seed {seed}: {request.out}")
    try:
        with hold_run(request) as run:
            return train(request, run)
    finally:
        # layers of the next member are named as if these had not been, and their memory is free
        tf_keras.backend.clear_session()
        gc.collect()


def _check_begun(plan: EnsemblePlan, progress: Progress) -> None:
    """Check the members that there are before the others are trained for hours; then the ensemble is unfinished.

    Raises:
        InputError: they were trained on other photos or classes than there are now.
    """
    runs = [RunFolder(plan.member_path(seed)) for seed in plan.begun]
    if runs:
        _check_photos(_load(plan, runs[0], progress), runs)
    if sum(run.run_json.get("finished") is True for run in runs) < plan.members:
        write_record(plan, finished=False)


def _load(plan: EnsemblePlan, run: RunFolder, progress: Progress) -> Dataset:
    config = TrainConfig.from_dict(run.run_json["config"])
    shape: InputShape = config.input_shape
    seed = run.run_json["data"]["split_seed"]
    dataset = load_dataset(plan.data, image_size=shape.size, fit=shape.fit, split_seed=seed, progress=progress)
    return add_used(dataset, [run_of_weights(config.weights), *runs_of_teacher(config.teacher)])


def _check_photos(dataset: Dataset, runs: Sequence[RunFolder]) -> None:
    """Refuse members that were trained on other photos or classes than there are now.

    Raises:
        InputError: it is so.
    """
    for run in runs:
        data = run.run_json["data"]
        if data["fingerprint"] != dataset.fingerprint or tuple(data["class_names"]) != tuple(dataset.class_names):
            raise InputError(
                f"{dataset.source}: the photos have changed since {run.path} was trained, and the members of an "
                "ensemble must have learned the same; train all of them anew with --overwrite"
            )


def _predict(
    report: TrainReport, dataset: Dataset, splits: Sequence[str], progress: Progress
) -> dict[str, Probabilities]:
    network = tf_keras.models.load_model(RunFolder(report.run).keras_path, compile=False)
    return {split: predict_probabilities(network, dataset.splits[split].images, progress) for split in splits}


def _make_report(
    plan: EnsemblePlan,
    reports: Sequence[TrainReport],
    dataset: Dataset,
    predictions: dict[str, Probabilities],
    stacking: Stacking | None,
) -> EnsembleReport:
    combined = {split: combine(found, stacking) for split, found in predictions.items()}
    average = {split: combine(found) for split, found in predictions.items()} if stacking else {}
    if stacking is not None:
        # what it was fitted on must not judge it
        combined["validation"] = cross_fit(predictions["validation"], dataset.splits["validation"].labels)
    labels = {split: dataset.splits[split].labels for split in predictions}
    right = {split: found.argmax(2) == labels[split] for split, found in predictions.items()}
    best = int(right["validation"].mean(axis=1).argmax())
    split = "test" if "test" in predictions else "validation"
    together = combined[split].argmax(1) == labels[split]
    lost, gained = discordant(right[split][best], together)
    metrics = {name: evaluate(found, labels[name], tuple(dataset.class_names)) for name, found in combined.items()}
    members = tuple(
        Member(
            run=report.run,
            seed=seed,
            validation_top1=float(right["validation"][place].mean()),
            test_top1=float(right["test"][place].mean()) if "test" in right else None,
        )
        for place, (seed, report) in enumerate(zip(plan.seeds, reports, strict=True))
    )
    return EnsembleReport(
        out=str(plan.out),
        combine=plan.combine,
        members=members,
        metrics={"test": None, **dict(sorted(metrics.items(), reverse=True))},
        best_member=reports[best].run,
        split=split,
        difference=(gained - lost) / len(together),
        difference_interval=difference_interval(lost, gained, len(together)),
        p_value=mcnemar_p(lost, gained),
        average_top1={name: float((found.argmax(1) == labels[name]).mean()) for name, found in average.items()},
        notes=_list_notes(split, dataset, plan.config, stacking),
        seconds=round(time.monotonic() - plan.began, 3),
    )


def _list_notes(split: str, dataset: Dataset, config: TrainConfig, stacking: Stacking | None) -> tuple[str, ...]:
    notes = [describe_optimism(dataset, config)]
    if split == "validation":
        notes.append("the best member was chosen by the validation images that it is compared on")
    if stacking is not None:
        notes.append(
            f"the stacking was fitted on {stacking.images:,} validation images; its validation top-1 is that of "
            "regressions that were fitted without the image they predict"
        )
    return (*notes, *dataset.list_notes())
