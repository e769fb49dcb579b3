"""Fits the probabilities of a finished model on validation images, and writes it anew."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeclf.artifact.class_names import own_names
from edgeclf.artifact.compressed_size import gzip_size
from edgeclf.artifact.fitted_probabilities import FittedProbabilities
from edgeclf.artifact.input_fit import own_fit
from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.none_class import find_none_classes, none_indices
from edgeclf.artifact.provenance import Provenance
from edgeclf.atomic import check_writable, write_bytes, write_text
from edgeclf.compression.export.model_writer import replace_probabilities
from edgeclf.compression.probabilities.fit import UNKNOWN_TRAINING, fit_probabilities
from edgeclf.compression.probabilities.reading import ModelReader
from edgeclf.dataset import Dataset, load_dataset
from edgeclf.dataset.splitting import SPLIT_SEED
from edgeclf.dataset.types import Split
from edgeclf.errors import DataError, InputError, ModelError, OutputError
from edgeclf.image.shape import STRETCH
from edgeclf.json_text import read_json, write_json
from edgeclf.measure.accuracy import class_indices
from edgeclf.measure.formatting import percent
from edgeclf.measure.statistics import wilson_interval
from edgeclf.printable import printable
from edgeclf.progress import SILENT, Progress
from edgeclf.records import Record

_NAMED = 10


@dataclass(frozen=True)
class RefitReport(Record):
    """What was fitted, and where it was written.

    Attributes:
        model: the file that was read.
        path: the file that was written.
        size_bytes: of it.
        data: the source of the images.
        probabilities: what was fitted.
        before: what the file carried before; None: nothing.
    """

    model: str
    path: str
    size_bytes: int
    data: str
    probabilities: FittedProbabilities
    before: FittedProbabilities | None = None


def refit(
    model: str | Path,
    data: str | Path | Dataset,
    out: str | Path | None = None,
    *,
    precision: float | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> RefitReport:
    """Fit the probabilities of a finished model, and write it to `out` with nothing else changed.

    Args:
        model: a file of edgeclf's own, a run folder, or a zoo name.
        data: with a validation split that did not train it; a folder, a manifest, a name, or a `Dataset`.
        out: the new file; None: the model itself, which `overwrite` must allow.
        precision: see `compression.probabilities.threshold.choose_thresholds`.
        overwrite: replace `out`.
        progress: where bars are shown.

    Raises:
        ModelError: edgeclf did not make the model, or it names no classes.
        DataError: there are no validation images, too few of them, their classes are not those of the model, or its
            graph ends in nothing that probabilities can be fitted on.
        InputError: `precision` is no fraction.
        OutputError: `out` is there already, or cannot be written.
    """
    if precision is not None and not 0 < precision < 1:
        raise InputError(f"precision must be a fraction between 0 and 1, such as 0.95, got {precision:g}")
    place = locate_model(model)
    path = _choose_path(Path(model), place, out, overwrite=overwrite)
    check_writable(path.parent)
    file = ModelFile.read(place)
    names = own_names(file)[0]
    if file.integrity != "verified" or file.provenance is None:
        raise ModelError(f"{file.name}: expected a model of edgeclf compress, got one without its checksum")
    if names is None:
        raise ModelError(f"{file.name}: names no classes; compress the network again, with --labels FILE")
    if not isinstance(data, Dataset):
        seed = file.provenance.data.get("split_seed")
        size, fit = (file.shape.height, file.shape.width), own_fit(file) or STRETCH
        split_seed = seed if isinstance(seed, int) else SPLIT_SEED
        data = load_dataset(data, image_size=size, fit=fit, split_seed=split_seed, progress=progress)
    split = data.splits.get("validation")
    if split is None or not len(split):
        raise DataError(f"{data.source}: has no validation images; probabilities are fitted on nothing else")
    order = class_indices(names, file.shape.classes, data.class_names)
    _check_all_classes(file.name, names, order, data.source)
    reader = ModelReader(file)
    outputs = reader.read(split.images, progress, "running the model on validation images")
    train = data.splits.get("train")
    known = None if train is None else dataclasses.replace(train, labels=_in_order(train, order))
    labels = _in_order(split, order)
    fit_ = fit_probabilities(file, reader, outputs, labels, known, precision, progress, none_indices(names))
    if fit_.fitted is None:
        raise DataError(f"{file.name}: {fit_.note}")
    correct = int((outputs.plain.argmax(axis=1) == labels).sum())
    notes = _doubts(file.provenance, data, (correct, len(outputs.plain)))
    unfitted = (fit_.note,) if fit_.note else ()
    fitted = dataclasses.replace(fit_.fitted, notes=(*fit_.fitted.notes, *unfitted, *notes))
    content = replace_probabilities(file, fitted, fit_.arrays, names)
    write_bytes(path, content)
    _update_record(path, file.content, content, fitted)
    return RefitReport(
        model=str(place),
        path=str(path),
        size_bytes=path.stat().st_size,
        data=str(data.source),
        probabilities=fitted,
        before=file.provenance.probabilities,
    )


def _choose_path(model: Path, place: Path, out: str | Path | None, *, overwrite: bool) -> Path:
    """Return where the new file goes: to `out`, or in the place of the model, which is no model of the zoo."""
    path = place if out is None else Path(out)
    if out is None and place != model and not place.is_relative_to(model):  # a folder may have the name of a model
        raise OutputError(
            f"{model} is a model of the zoo, which stays as it is; name a file for the new one with --out"
        )
    if out is None and not overwrite:
        raise OutputError(f"{path} would be replaced; name another file with --out, or add --overwrite")
    if path.is_dir() or (path.exists() and not overwrite):
        raise OutputError(f"{path} exists; name another file with --out, or replace it with --overwrite")
    return path


def _update_record(path: Path, before: bytes, content: bytes, fitted: FittedProbabilities) -> None:
    """Bring the record that `compress` wrote beside a model up to date, where it is that of the file before."""
    place = path.with_suffix(".json")
    try:
        values: Any = read_json(place)
        if values["sha256"] != hashlib.sha256(before).hexdigest() or not isinstance(values["model"], dict):
            return
    except (OSError, ValueError, LookupError, TypeError):
        return
    sizes = {"size_bytes": len(content), "written_bytes": len(content), "gzip_bytes": gzip_size(content)}
    model = {**values["model"], **sizes, "probabilities": fitted.to_dict()}
    values = {**values, "model": model, "sha256": hashlib.sha256(content).hexdigest()}
    write_text(place, write_json(values) + "\n")


def _check_all_classes(model: str, names: tuple[str, ...], order: np.ndarray, source: str) -> None:
    """Refuse images without some class, which the check of features would not know; `none` may be missing."""
    nothing = find_none_classes(names)
    absent = [name for name, label in zip(names, order, strict=False) if label < 0 and name not in nothing]
    if absent:
        raise DataError(
            f"{source}: has no images of {', '.join(absent[:_NAMED])}, which {model} would call unknown ever after; "
            "expected images of all its classes"
        )


def _doubts(made: Provenance, data: Dataset, scored: tuple[int, int]) -> tuple[str, ...]:
    """Return what speaks against the promise where the images are not those that the model was made with.

    Args:
        made: of the model.
        data: that it was fitted on.
        scored: how many of its validation images are right, of how many.
    """
    if data.fingerprint == made.data.get("fingerprint"):
        known = () if made.probabilities is None else made.probabilities.notes
        return tuple(note for note in known if note.startswith(UNKNOWN_TRAINING))
    note = (
        f"fitted on {printable(data.name)}, which the model was not made with: the promise holds where none of these "
        "images trained it"
    )
    before = made.metrics.get("validation") or made.metrics.get("test") or {}
    top1 = before.get("top1") if isinstance(before, dict) else None
    if isinstance(top1, float) and top1 < wilson_interval(*scored)[0]:
        shares = f"{percent(scored[0] / scored[1], 1)} of them are right, {percent(top1, 1)} when it was made"
        note += f"; {shares}: they may have"
    return (note,)


def _in_order(split: Split, order: np.ndarray) -> np.ndarray:
    """Return the labels of a split as indices of the model's outputs."""
    places = np.full(int(order.max()) + 1, -1, np.int64)
    for index, label in enumerate(order):
        if label >= 0:
            places[label] = index
    return places[split.labels]
