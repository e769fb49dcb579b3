"""Compares two trainings on the images that neither used: paired accuracy, by class, and what each costs."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgeclf.dataset import SPLIT_SEED, Dataset, Listing, Split, check_classes, list_source, load_dataset
from edgeclf.dataset.contents import shorten
from edgeclf.dataset.known_images import choose_unseen
from edgeclf.errors import DataError, InputError
from edgeclf.image.shape import InputShape
from edgeclf.inference.engine import find_engine
from edgeclf.measure.accuracy import IntArray
from edgeclf.measure.changes import count_flips
from edgeclf.measure.compare_opening import (
    CompareParts,
    OpenedSide,
    describe_side,
    find_opener,
    open_side,
    predict_side,
)
from edgeclf.measure.compare_plan import ComparePlan
from edgeclf.measure.compare_report import CompareReport, save_comparison
from edgeclf.measure.compare_sides import Side, check_classes_agree, check_photos_agree, find_sides, list_settings
from edgeclf.measure.comparison import compare_models
from edgeclf.measure.outputs import Written, find_outputs
from edgeclf.measure.report import BenchData
from edgeclf.measure.subjects import DatasetLoader, split_of
from edgeclf.progress import SILENT, Progress

JSON_NAME = "compare.json"


def run_compare(plan: ComparePlan, host: CompareParts | None = None, *, progress: Progress = SILENT) -> CompareReport:
    """Compare two trainings.

    Raises:
        InputError: classes, photos or an output do not allow it.
        ModelError: a network cannot be used.
        MissingExtraError: a float network needs TensorFlow, which is not installed.
    """
    began, host = time.monotonic(), host or CompareParts()
    sides = find_sides(plan.first, plan.second)
    check_classes_agree(sides[0].name, sides[1].name, (sides[0].class_names, sides[1].class_names))
    for side in sides:
        if side.file is None:
            find_opener(side, host)
    if plan.data is None:
        check_photos_agree(*sides)
    find_engine(plan.runtime)
    outputs = find_outputs(plan, (), page=host.write_page is not None, name=JSON_NAME)
    listing = _list_photos(plan, sides, progress)
    check_classes(listing)
    load = _loader(listing, sides, progress)
    opened = [open_side(side, plan, load, host, progress) for side in sides]
    check_classes_agree(sides[0].name, sides[1].name, (opened[0].labels, opened[1].labels))
    report, images = _compare(plan, opened, load, listing, host, progress)
    report = dataclasses.replace(report, seconds=round(time.monotonic() - began, 3))
    write_page = host.write_page

    def save(path: Path, written: Written) -> None:
        save_comparison(dataclasses.replace(report, written=written), path)

    draw = None if write_page is None else lambda path: write_page(report, path, images)
    return dataclasses.replace(report, written=outputs.write(save, draw))


def _list_photos(plan: ComparePlan, sides: Sequence[Side], progress: Progress) -> Listing:
    """List the images named, or those that the second one was trained on, or the first.

    Raises:
        DataError: they are not there, or nobody recorded them.
    """
    if plan.data is not None:
        return list_source(plan.data, progress)
    recorded = [side for side in reversed(sides) if side.source]
    if not recorded:
        raise DataError(
            f"neither {sides[0].name} nor {sides[1].name} recorded its photos; name labelled images with --data"
        )
    for side in recorded:
        try:
            return list_source(side.source, progress)
        except InputError as error:  # also where the record is of an earlier version
            missing = error
    raise DataError(f"the photos of {recorded[-1].name} are missing ({missing}); name where they are now with --data")


def _loader(listing: Listing, sides: Sequence[Side], progress: Progress) -> DatasetLoader:
    seed = next((side.split_seed for side in reversed(sides) if side.split_seed is not None), SPLIT_SEED)

    @functools.cache
    def load(shape: InputShape) -> Dataset:
        return load_dataset(listing, image_size=shape.size, fit=shape.fit, split_seed=seed, progress=progress)

    return load


def _compare(
    plan: ComparePlan,
    opened: Sequence[OpenedSide],
    load: DatasetLoader,
    listing: Listing,
    host: CompareParts,
    progress: Progress,
) -> tuple[CompareReport, Split]:
    """Predict the images that are left with both, and compare; also returns these images at the second one's size."""
    whole = load(opened[1].shape)
    opened = [dataclasses.replace(one, side=one.side.settle(whole, listing.splits, plan.split)) for one in opened]
    sides = (opened[0].side, opened[1].side)
    rows = _choose_rows(whole, plan.split, sides, listing)
    images = split_of(whole, plan.split).subset(rows)
    found = [predict_side(one, load(one.shape), plan, rows, progress) for one in opened]
    (verdict,) = compare_models([found[1]], found[0].indices, found[0].names)
    if verdict.difference is None or verdict.difference_interval is None or verdict.p_value is None:
        raise ValueError("a comparison of two has a difference")
    models = [
        describe_side(one, predictions, load(one.shape), host) for one, predictions in zip(opened, found, strict=True)
    ]
    left_out = len(whole.splits[plan.split]) - len(rows)
    report = CompareReport(
        first=models[0],
        second=models[1],
        data=_describe_data(whole, plan.split, len(rows)),
        left_out=left_out,
        difference=verdict.difference,
        difference_interval=verdict.difference_interval,
        p_value=verdict.p_value,
        per_class=verdict.comparison.per_class,
        flips=verdict.comparison.flips,
        flip_counts=count_flips(verdict.comparison.flips),
        settings=list_settings(*sides),
        notes=(*whole.notes, *_list_notes(plan, sides, whole, left_out)),
        seconds=0.0,
    )
    return report, images


def _choose_rows(data: Dataset, split: str, sides: Sequence[Side], listing: Listing) -> IntArray:
    """Choose the images of a split that neither of the two used in training: int64[n].

    Raises:
        UnknownNameError: there is no such split.
        DataError: no image is left.
    """
    used = ("train",) if split == "validation" else ("train", "validation")
    rows = np.arange(len(split_of(data, split)))
    for side in sides:
        # what was not recorded is found by the rule of that run's own split
        own = data if side.split_seed is None else dataclasses.replace(data, split_seed=side.split_seed)
        own_splits = (split,) if side.known_by == "assumed" else listing.splits
        rows = np.intersect1d(rows, choose_unseen(own, split, side.history.known, own_splits, used))
    if not len(rows):
        raise DataError(
            f"{data.source}: {sides[0].name} and {sides[1].name} have used all {len(data.splits[split]):,} images of "
            f"the split {split!r} in training; name other photos with --data"
        )
    return rows.astype(np.int64)


def _describe_data(data: Dataset, split: str, images: int) -> BenchData:
    names = tuple(data.class_names)
    return BenchData(data.name, str(data.source), split, images, names, data.fingerprint, data.split_seed)


def _list_notes(plan: ComparePlan, sides: Sequence[Side], data: Dataset, left_out: int) -> list[str]:
    """List what makes the two hard to compare."""
    notes, split = [], plan.split
    if split == "validation":
        notes.append(
            "the validation images compared also chose the epoch of a training, so both figures are optimistic"
        )
    if left_out:
        whole = len(data.splits[split])
        notes.append(f"{left_out:,} of {whole:,} {split} images are left out: one of the two used them in training")
    sources = [side.source for side in sides]
    if plan.data is None and all(sources) and sources[0] != sources[1]:
        trained = f"{sides[0].name} was trained on {sources[0]}, {sides[1].name} on {sources[1]}"
        notes.append(f"{trained}; the images compared are of {data.source}")
    for side in sides:
        if remark := side.history.describe_missing(side.name):
            notes.append(remark)
        if side.run is not None and side.run.run_json.get("finished") is False:
            notes.append(f"{side.name} is not finished: its network is the best so far")
        if side.known_by == "split rule":
            rule = "by the rule of the split, in which an image lies by its content"
            notes.append(f"{side.name} did not record its photos: what it was trained on is decided {rule}")
        elif side.known_by == "assumed":
            among = f"no {split} image of {data.source} was among it"
            notes.append(f"nothing records what {side.name} was trained on: it is assumed that {among}")
    had = [side.known.of_split(split) for side in sides if side.known is not None]
    here = set(map(shorten, data.splits[split].hashes))
    if len(had) == len(sides) and (gone := len(had[0].intersection(*had) - here)):
        notes.append(f"{gone:,} {split} images that both runs had are missing from {data.source}")
    return notes
