"""Predicts a split with every core, and with the same predictions as one plain loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import Normalization
from edgeclf.dataset import ImageView
from edgeclf.errors import DataError
from edgeclf.inference.classifier import Classifier
from edgeclf.measure.machine import usable_cores
from edgeclf.progress import SILENT, Progress

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]
Images = npt.NDArray[np.uint8] | ImageView

RANGE_IMAGES = 64
LABELLED_RANGE_IMAGES = 256
"""The same with labels, where the first few do not decide."""
_CHUNK = 64


@dataclass(frozen=True)
class SplitPredictions:
    """What a model predicts for N images.

    Attributes:
        indices: int64[N], of the best class among the model's own outputs.
        shown: float32[N], its probability as `predict` shows it.
        plain: float32[N], the same of the model's own output, before what was fitted.
    """

    indices: IntArray
    shown: FloatArray
    plain: FloatArray


def predict_split(
    model: ModelFile,
    images: Images,
    *,
    runtime: str = "litert",
    normalization: Normalization | None = None,
    workers: int | None = None,
    progress: Progress = SILENT,
) -> SplitPredictions:
    """Find the highest raw output for each image, and its probability; ties go to the lowest index.

    Each worker thread has an interpreter of its own with one thread; the interpreter releases Python's lock while it
    computes. Images go through one at a time, as on a device: a batch may round differently.

    Args:
        model: the model file.
        images: uint8[N, H, W, 3] of the model's own size, or anything that slices into that.
        runtime: name of the runtime.
        normalization: how pixels enter the network; None lets the file decide, or a measurement on up to 64 images of
            this split.
        workers: worker threads; None takes one for each core that this process may use.
        progress: where the bar goes.

    Raises:
        ModelError: the model cannot be opened.
        InputError: the model refuses the normalization given.
    """
    total = len(images)
    starts = range(0, total, _CHUNK)
    idle: SimpleQueue[Classifier] = SimpleQueue()
    count = max(1, min(workers or usable_cores(), len(starts)))
    for _ in range(count):
        classifier = Classifier(model, runtime=runtime, threads=1, normalize=normalization)
        if classifier.input_range is None and total:
            # All workers must come to the same result, so all measure on the same images.
            classifier.choose_input_range(images[range_rows(total)])
        idle.put(classifier)
    found = SplitPredictions(np.empty(total, np.int64), np.empty(total, np.float32), np.empty(total, np.float32))

    def predict(start: int) -> int:
        classifier = idle.get()
        try:
            chunk = np.ascontiguousarray(images[start : start + _CHUNK])
            part = slice(start, start + len(chunk))
            found.indices[part], found.shown[part], found.plain[part] = classifier.top1_with_confidence(chunk, start)
            return len(chunk)
        finally:
            idle.put(classifier)

    with ThreadPoolExecutor(count) as pool, progress.task(f"{model.name}: {total:,} images", total) as task:
        pending: set[Future[int]] = {pool.submit(predict, start) for start in starts}
        try:
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    task.advance(future.result())
        finally:
            for future in pending:
                future.cancel()
    return found


def range_rows(total: int, most: int = RANGE_IMAGES) -> IntArray:
    """Choose up to `most` rows, spread over `total`, on which an unknown input range is measured."""
    return np.linspace(0, total - 1, min(total, most)).astype(np.int64)


def class_indices(labels: Sequence[str], class_count: int, class_names: Sequence[str]) -> IntArray:
    """Map each of the model's outputs to its index among the data's classes: int64[class_count], -1 where it has none.

    A model with labels is matched by name (surrounding blanks aside, and letter case where no two classes differ by it
    alone), so that a network with another order or with more classes is scored rightly. One that names no classes
    (`labels` is empty), or whose labels are numbers that are not the data's own names, is taken to have the data's
    classes in their order.

    Raises:
        DataError: the model lacks one of the data's classes, or has no labels and another number of outputs.
    """
    as_known = _spelling(labels, class_names)
    positions = {as_known(name): index for index, name in enumerate(class_names)}
    known = {as_known(label) for label in labels}
    missing = [name for name in class_names if as_known(name) not in known]
    if takes_order_of_classes(labels, class_names):
        if class_count != len(class_names):
            raise DataError(
                f"the model has {class_count} outputs without labels, but the data has {len(class_names)} classes; "
                "name its classes with --labels FILE, one a line in the order of its outputs"
            )
        return np.arange(class_count, dtype=np.int64)
    if missing:
        raise DataError(
            f"the model does not know the class {missing[0]!r} of the data"
            + (f" (nor {len(missing) - 1} more)" if len(missing) > 1 else "")
            + f"; its labels: {', '.join(labels[:12])}{', ...' if len(labels) > 12 else ''}"
        )
    found = [positions.get(as_known(label), -1) for label in labels]
    return np.array(found + [-1] * (class_count - len(found)), dtype=np.int64)[:class_count]


def takes_order_of_classes(labels: Sequence[str], class_names: Sequence[str]) -> bool:
    """Return whether a model's labels are mere numbers, so that its outputs stand for the data's classes in order."""
    as_known = _spelling(labels, class_names)
    known = {as_known(label) for label in labels}
    missing = any(as_known(name) not in known for name in class_names)
    return missing and tuple(labels) == tuple(map(str, range(len(labels))))


def _spelling(labels: Sequence[str], class_names: Sequence[str]) -> Callable[[str], str]:
    """Choose how names are compared: without regard to letter case, unless two names of one side differ by it alone."""

    def folded(name: str) -> str:
        return name.strip().casefold()

    distinct = all(len(set(map(folded, names))) == len(set(names)) for names in (labels, class_names))
    return folded if distinct else str.strip
