"""What a teacher predicts for the training images: the soft targets of distillation, recorded in a file.

Its views are fixed: each image as it is and, where training mirrors images, mirrored, of which the mean counts; and, on
request, augmented views that the student sees as well (see `soft_targets`). They are predicted once and kept in the run
folder, so that a run that goes on learns from the same ones. That file is a teacher itself: predictions of a network
that is too slow for this machine are recorded on another one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.class_names import NUMBERED
from edgeclf.artifact.ensemble_folder import find_ensemble
from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.dataset import load_dataset
from edgeclf.dataset.types import Dataset, ImageView
from edgeclf.errors import InputError, ModelError
from edgeclf.image.shape import InputShape
from edgeclf.inference.ensemble import Ensemble, predict_probabilities
from edgeclf.inference.predictor import Predictor
from edgeclf.measure.class_order import assumed_order
from edgeclf.measure.formatting import percent
from edgeclf.training.augmentation import Augmentation, choose_augmentation
from edgeclf.training.config import TrainConfig
from edgeclf.training.plan import TrainPlan
from edgeclf.training.recorded_predictions import (
    RECORDED,
    RecordedPredictions,
    check_classes,
    check_size,
    normalize_rows,
    read_predictions,
    show_names,
)
from edgeclf.training.soft_targets import FixedViews, SoftTargets

_BATCH = 200

TeacherPredictions = dict[tuple[str, bool, FixedViews | None], RecordedPredictions]
"""What teachers predicted, by path, whether images were mirrored, and further views."""


def find_soft_targets(
    config: TrainConfig, dataset: Dataset, request: TrainPlan, folder: RunFolder, *, resumes: bool
) -> SoftTargets | None:
    """Return what the teacher predicts for the training images; None: there is no teacher.

    Args:
        config: complete, with the path of the teacher.
        dataset: the images at the size of the network that learns.
        request: with the source of the images, which are loaded at the teacher's size.
        folder: the run folder, whose recorded predictions a run that goes on takes.
        resumes: whether it is a run that goes on.

    Raises:
        InputError: the teacher cannot be read, or knows other classes or images; or views of objects are asked for.
        ModelError: it holds no image classifier, or is an ensemble whose members do not agree.
        UntrustedModelError: its file would run foreign code.
    """
    if config.teacher is None:
        return None
    views = _find_views(config)
    if views is not None and dataset.splits["train"].views > 1:
        raise InputError(
            "teacher_views is for photos, since a teacher predicts objects from all directions at once; leave it out"
        )
    if resumes and folder.teacher_path.is_file():
        return read_predictions(folder.teacher_path).for_training(dataset, str(folder.teacher_path), views)
    given = Path(config.teacher)
    if given.suffix == RECORDED:
        recorded = read_predictions(given)
    else:
        known = {} if request.teachers is None else request.teachers
        key = config.teacher, _mirrors(config), views
        recorded = known[key] = known[key] if key in known else _let_predict(config, dataset, request)
    targets = recorded.for_training(dataset, given.name, views)
    right = float((targets.probabilities.argmax(1) == dataset.splits["train"].labels).mean())
    request.progress.info(f"teacher: {given.name}, right on {percent(right, 1)} of the training images")
    return targets


def _let_predict(config: TrainConfig, dataset: Dataset, request: TrainPlan) -> RecordedPredictions:
    """Open the teacher, and let it predict the training images at its own size."""
    predictor, fit = _open_teacher(config.teacher or "", dataset, request)
    shape = InputShape(*predictor.size, fit)
    seen = load_dataset(
        request.data, image_size=shape.size, fit=shape.fit, split_seed=dataset.split_seed, progress=request.progress
    )
    return record_predictions(predictor, seen, request, mirrored=_mirrors(config), views=_find_views(config))


def _find_views(config: TrainConfig) -> FixedViews | None:
    """Return the augmented views that the teacher sees, too; None: none, or all would be alike."""
    if config.teacher_views == 1:
        return None
    recipe = choose_augmentation(config.augment, flip=bool(config.flip)).unmixed()
    return None if recipe == Augmentation() else FixedViews(recipe, config.teacher_views)


def _mirrors(config: TrainConfig) -> bool:
    """Return whether the student sees mirrored images."""
    return choose_augmentation(config.augment, flip=bool(config.flip)).flip


def record_predictions(
    predictor: Predictor, dataset: Dataset, request: TrainPlan, *, mirrored: bool, views: FixedViews | None = None
) -> RecordedPredictions:
    """Let a teacher predict the training images.

    Args:
        predictor: the teacher.
        dataset: with the split `train`, at the teacher's size.
        request: whose progress shows the bar.
        mirrored: take the mean with what it predicts for the mirrored images.
        views: that it predicts as well; None: none.

    Raises:
        InputError: it is of other classes than the data, or names none and has another number of outputs; or its
            predictions for so many views would be too large a file.
    """
    split = dataset.splits["train"]
    numbered = getattr(predictor, "label_source", "") == NUMBERED
    names = () if numbered else predictor.labels
    if names:
        check_classes(names, dataset, Path(request.config.teacher or "").name)  # before it predicts all images
    names = names or _assume_names(predictor, dataset, request)
    # How pixels enter a file that does not state it is measured on what it sees first: images of all classes.
    spread = np.linspace(0, len(split) - 1, min(len(split), _BATCH)).astype(np.int64)
    _predict(predictor, split.images[spread])
    for note in getattr(predictor, "notes", ()):
        request.progress.info(f"teacher: {note}")
    if views is not None:
        check_size(len(split), len(names), views.count)
    parts, of_views = [], []
    with request.progress.task("teacher (images)", len(split)) as task:
        for start in range(0, len(split), _BATCH):
            images = np.ascontiguousarray(split.images[start : start + _BATCH])
            found = _predict(predictor, images)
            if mirrored:
                found = (found + _predict(predictor, np.ascontiguousarray(images[:, :, ::-1]))) * np.float32(0.5)
            parts.append(found)
            if views is not None:
                of_views.append(_predict_views(predictor, images, split.hashes[start : start + _BATCH], views))
            task.advance(len(images))
    recorded = RecordedPredictions(names, split.hashes, np.concatenate(parts))
    if views is None:
        return recorded
    return dataclasses.replace(recorded, views=views, of_views=np.concatenate(of_views))


def _predict_views(
    predictor: Predictor, images: npt.NDArray[np.uint8], contents: Sequence[str], views: FixedViews
) -> npt.NDArray[np.float32]:
    """Let a teacher predict all views of some images: float32[N, K, C]."""
    numbers = (np.full(len(images), number) for number in range(views.count))
    return np.stack([_predict(predictor, views.draw(images, contents, number)) for number in numbers], axis=1)


def _assume_names(predictor: Predictor, dataset: Dataset, request: TrainPlan) -> tuple[str, ...]:
    """Name the outputs of a teacher that names none, by the classes of the data; one image shows how many it has.

    Raises:
        InputError: it has another number of outputs.
    """
    outputs, expected = _predict(predictor, dataset.splits["train"].images[:1]).shape[1], len(dataset.class_names)
    if outputs != expected:
        raise InputError(
            f"the teacher names no classes and has {outputs:,} outputs; expected {expected:,}, one for each class of "
            f"{dataset.source}"
        )
    names = assumed_order(dataset)
    order = f"its outputs were taken for the classes of the data in the order {show_names(names)}"
    request.progress.info(f"teacher: it names no classes, so {order}")
    return names


def check_teacher(path: str, folder: RunFolder, *, resumes: bool) -> None:
    """Refuse a teacher that is not there, before anything is downloaded, loaded or trained.

    Args:
        path: as the user named it.
        folder: the run folder; a run that goes on needs no more than the predictions that it recorded.
        resumes: whether it is a run that goes on.

    Raises:
        InputError: there is no such file, run or model.
    """
    if resumes and folder.teacher_path.is_file():
        return
    source = find_ensemble(path)
    for one in (path,) if source is None else source.members:
        if Path(one).exists():
            continue
        try:
            locate_model(one)
        except InputError as error:
            raise InputError(
                f"--teacher {one}: expected a run folder, a model file, recorded predictions ({RECORDED}) or the name "
                "of a model in the zoo; there is none of these"
            ) from error


def _open_teacher(path: str, dataset: Dataset, request: TrainPlan) -> tuple[Predictor, str]:
    """Open a teacher, or an ensemble of them, and return it with the fit of its input.

    Raises:
        ModelError: a member cannot be read, or the members do not agree.
    """
    source = find_ensemble(path)
    if source is None:
        return _open(path, dataset, request)
    opened = [_open(str(member), dataset, request) for member in source.members]
    fits = tuple(dict.fromkeys(fit for _, fit in opened))
    if len(fits) > 1:
        raise ModelError(
            f"{source.name}: its members take pictures of another shape in different ways ({', '.join(fits)}); a "
            "teacher must take them in one"
        )
    stacking = None if source.record is None else source.record.stacking
    return Ensemble([predictor for predictor, _ in opened], stacking=stacking, name=source.name), fits[0]


def _open(path: str, dataset: Dataset, request: TrainPlan) -> tuple[Predictor, str]:
    """Open a teacher, and return it with the fit of its input."""
    from edgeclf.keras_files.baseline import open_baseline
    from edgeclf.measure.plan import BenchPlan

    given = Path(path)
    if given.is_dir() or given.suffix in (".keras", ".h5", ".hdf5"):

        def load(shape: InputShape) -> Dataset:
            return load_dataset(request.data, image_size=shape.size, fit=shape.fit, split_seed=dataset.split_seed)

        opened = open_baseline(path, BenchPlan((path,), trust_model=request.trust_model), load, request.progress)
        return opened.predictor, opened.fit
    from edgeclf.inference.fine_classifier import FineClassifier

    classifier = FineClassifier(path)
    return classifier, classifier.input_shape.fit


def _predict(predictor: Predictor, images: ImageView | npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Compute probabilities float32[N, C] that add up to 1, as those of an 8-bit output do by chance alone."""
    return normalize_rows(predict_probabilities(predictor, np.asarray(images)))
