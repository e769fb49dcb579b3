"""What a teacher predicts for the training images: the soft targets of distillation, recorded in a file.

Its views are fixed: each image as it is and, where training mirrors images, mirrored; the mean of both counts. They are
predicted once and kept in the run folder, so that a run that goes on learns from the same ones. That file is a teacher
itself: predictions of a network that is too slow for this machine are recorded on another one.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.ensemble_folder import find_ensemble
from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.atomic import atomic_file
from edgeclf.dataset import load_dataset
from edgeclf.dataset.types import Dataset, ImageView
from edgeclf.errors import InputError, ModelError
from edgeclf.image.shape import InputShape
from edgeclf.inference.ensemble import Ensemble, as_probabilities
from edgeclf.inference.predictor import Predictor
from edgeclf.measure.class_order import assumed_order
from edgeclf.measure.formatting import percent
from edgeclf.training.config import TrainConfig
from edgeclf.training.plan import TrainPlan

RECORDED = ".npz"
_PARTS = ("classes", "contents", "probabilities")
_MOST_BYTES = 2 * 1024**3
"""Of a recorded file, unpacked: 50 million images of ten classes."""
_DAMAGE = (
    OSError, ValueError, EOFError, LookupError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What reading a file raises that is cut, encrypted, compressed in another way, or larger than it has bytes for."""
_SUM_TOLERANCE = 0.01
_BATCH = 200


@dataclass(frozen=True)
class RecordedPredictions:
    """Probabilities of a teacher, by the content of the images.

    Attributes:
        classes: C names, in the order of the columns.
        contents: N content hashes.
        probabilities: float32[N, C].
    """

    classes: tuple[str, ...]
    contents: tuple[str, ...]
    probabilities: npt.NDArray[np.float32]

    def write(self, path: Path) -> None:
        """Write them as `.npz`, atomically.

        Raises:
            OutputError: the folder cannot be written.
        """
        parts: dict[str, Any] = {
            "classes": np.array(self.classes),
            "contents": np.array(self.contents),
            "probabilities": self.probabilities,
        }
        with atomic_file(path) as stream:
            np.savez_compressed(stream, **parts)

    def for_training(self, dataset: Dataset, origin: str) -> npt.NDArray[np.float32]:
        """Return the probabilities of the training images, in the order of the classes of `dataset`: float32[N, C].

        Args:
            dataset: with the split `train`.
            origin: the teacher, for messages.

        Raises:
            InputError: they are of other classes, or lack a training image.
        """
        if sorted(self.classes) != sorted(dataset.class_names):
            raise InputError(
                f"{origin} knows the classes {_shown(self.classes)}, expected those of {dataset.source}: "
                f"{_shown(dataset.class_names)}; a teacher must have learned the same classes"
            )
        rows = {content: number for number, content in enumerate(self.contents)}
        split = dataset.splits["train"]
        missing = [path for path, content in zip(split.paths, split.hashes, strict=True) if content not in rows]
        if missing:
            raise InputError(
                f"{origin} has no predictions for {len(missing):,} of {len(split):,} training images, "
                f"e.g. {missing[0]}; record them anew with the photos as they are"
            )
        columns = [self.classes.index(name) for name in dataset.class_names]
        return self.probabilities[[rows[content] for content in split.hashes]][:, columns]


TeacherPredictions = dict[tuple[str, bool], RecordedPredictions]
"""What teachers predicted, by path and whether images were mirrored, too."""


def find_soft_targets(
    config: TrainConfig, dataset: Dataset, request: TrainPlan, folder: RunFolder, *, resumes: bool
) -> npt.NDArray[np.float32] | None:
    """Return what the teacher predicts for the training images, float32[N, C]; None: there is no teacher.

    Args:
        config: complete, with the path of the teacher.
        dataset: the images at the size of the network that learns.
        request: with the source of the images, which are loaded at the teacher's size.
        folder: the run folder, whose recorded predictions a run that goes on takes.
        resumes: whether it is a run that goes on.

    Raises:
        InputError: the teacher cannot be read, or knows other classes or images.
        ModelError: it holds no image classifier, or is an ensemble whose members do not agree.
        UntrustedModelError: its file would run foreign code.
    """
    if config.teacher is None:
        return None
    if resumes and folder.teacher_path.is_file():
        return read_predictions(folder.teacher_path).for_training(dataset, str(folder.teacher_path))
    given = Path(config.teacher)
    if given.suffix == RECORDED:
        recorded = read_predictions(given)
    else:
        known = {} if request.teachers is None else request.teachers
        key = config.teacher, bool(config.flip)
        recorded = known[key] = known[key] if key in known else _let_predict(config, dataset, request)
    targets = recorded.for_training(dataset, given.name)
    right = float((targets.argmax(1) == dataset.splits["train"].labels).mean())
    request.progress.info(f"teacher: {given.name}, right on {percent(right, 1)} of the training images")
    return targets


def _let_predict(config: TrainConfig, dataset: Dataset, request: TrainPlan) -> RecordedPredictions:
    """Open the teacher, and let it predict the training images at its own size."""
    predictor, fit = _open_teacher(config.teacher or "", dataset, request)
    shape = InputShape(*predictor.size, fit)
    seen = load_dataset(
        request.data, image_size=shape.size, fit=shape.fit, split_seed=dataset.split_seed, progress=request.progress
    )
    return record_predictions(predictor, seen, request, mirrored=bool(config.flip))


def record_predictions(
    predictor: Predictor, dataset: Dataset, request: TrainPlan, *, mirrored: bool
) -> RecordedPredictions:
    """Let a teacher predict the training images.

    Args:
        predictor: the teacher.
        dataset: with the split `train`, at the teacher's size.
        request: whose progress shows the bar.
        mirrored: take the mean with what it predicts for the mirrored images.

    Raises:
        InputError: it names no classes, and has another number of outputs than the data has classes.
    """
    split = dataset.splits["train"]
    with request.progress.task("teacher (images)", len(split)) as task:
        parts = []
        for start in range(0, len(split), _BATCH):
            images = split.images[start : start + _BATCH]
            found = _predict(predictor, images)
            if mirrored:
                found = (found + _predict(predictor, np.ascontiguousarray(images[:, :, ::-1]))) * np.float32(0.5)
            parts.append(found)
            task.advance(len(images))
    probabilities, names = np.concatenate(parts), predictor.labels
    if not names:
        if probabilities.shape[1] != len(dataset.class_names):
            raise InputError(
                f"the teacher names no classes and has {probabilities.shape[1]:,} outputs; expected "
                f"{len(dataset.class_names):,}, one for each class of {dataset.source}"
            )
        names = assumed_order(dataset)
        order = f"its outputs were taken for the classes of the data in the order {_shown(tuple(names))}"
        request.progress.info(f"teacher: it names no classes, so {order}")
    return RecordedPredictions(tuple(names), split.hashes, probabilities)


def read_predictions(path: Path) -> RecordedPredictions:
    """Read recorded predictions.

    Raises:
        InputError: the file is not there, is no such record, or its numbers are no probabilities.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {member.filename: member.file_size for member in archive.infolist()}
        if sorted(sizes) != sorted(f"{name}.npy" for name in _PARTS):
            raise InputError(
                f"{path}: expected recorded predictions with the arrays {', '.join(_PARTS)}, got {_shown(tuple(sizes))}"
            )
        if sum(sizes.values()) > _MOST_BYTES:
            raise InputError(f"{path}: unpacks to {sum(sizes.values()):,} bytes, at most {_MOST_BYTES:,} are read")
        with np.load(path, allow_pickle=False) as stored:
            classes, contents, probabilities = (stored[name] for name in _PARTS)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; name a teacher with --teacher") from error
    except _DAMAGE as error:
        raise InputError(f"{path}: cannot be read as recorded predictions ({error})") from error
    _check_arrays(path, classes, contents, probabilities)
    return RecordedPredictions(
        tuple(map(str, classes)), tuple(map(str, contents)), np.asarray(probabilities, np.float32)
    )


def _check_arrays(path: Path, classes: Any, contents: Any, probabilities: Any) -> None:
    if not all(isinstance(part, np.ndarray) for part in (classes, contents, probabilities)):
        raise InputError(f"{path}: expected recorded predictions, got parts that are no arrays of NumPy")
    kinds = (classes.dtype.kind, contents.dtype.kind, probabilities.dtype.kind)
    axes = (classes.ndim, contents.ndim, probabilities.ndim)
    if kinds != ("U", "U", "f") or axes != (1, 1, 2) or probabilities.shape != (len(contents), len(classes)):
        raise InputError(
            f"{path}: expected names of the classes, content hashes and a number a class and image, got arrays of the "
            f"shapes {classes.shape}, {contents.shape} and {probabilities.shape}"
        )
    if len(set(classes.tolist())) < len(classes):
        raise InputError(f"{path}: a class is named twice")
    values = np.asarray(probabilities, np.float64)
    if not (np.isfinite(values).all() and (values >= 0).all() and (abs(values.sum(1) - 1) < _SUM_TOLERANCE).all()):
        raise InputError(f"{path}: expected probabilities, rows of numbers from 0 on that add up to 1")


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
    from edgeclf.inference.classifier import Classifier

    classifier = Classifier(path)
    return classifier, classifier.input_shape.fit


def _predict(predictor: Predictor, images: ImageView | npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return as_probabilities(predictor.probabilities(np.asarray(images)))


def _shown(names: tuple[str, ...]) -> str:
    return ", ".join(f"{name:.40}" for name in names[:5]) + (", ..." if len(names) > 5 else "")
