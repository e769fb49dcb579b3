#!/usr/bin/env python3
"""How many swapped labels `audit --deep` names first, and how well half of the photos forecast what all of them give.

    python tools/benchmarks/label_errors.py PHOTOS --weights FILE.tflite [--fraction 0.02] [--seeds 3] [--halves 3]

PHOTOS has `train`, and better `validation` and `test`, of class folders. For the first seed the photos are linked into
a temporary folder, where a recorded draw (`--seeds` counts from 0) puts a fraction of the training photos into the
folder of another class, each other class alike; then all that the command does is timed, from an empty cache on.
Further seeds swap labels in memory and use the same features. Named first: as many training photos as were swapped, in
the order of the report. The last lines compare the forecast of half of the photos, at the number that heads on all of
them are fitted on, with the error that these heads have on held-out photos; each of `--halves` is another half.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from edgeclf.dataset import Dataset, audit, list_source
from edgeclf.image.decoding import IMAGE_SUFFIXES
from edgeclf.measure.machine import describe_machine
from edgeclf.training.data_doctor.examine import Examination, examine
from edgeclf.training.data_doctor.features import PhotoFeatures, check_weights, extract_features
from edgeclf.training.data_doctor.heads import FrozenFeatures, assign_folds, reduce_features
from edgeclf.training.data_doctor.learning_curve import MeasuredCurve, measure_curve
from edgeclf.training.data_doctor.photo_list import PhotoList


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, metavar="PHOTOS")
    parser.add_argument("--weights", type=Path, required=True, metavar="FILE")
    parser.add_argument("--fraction", type=float, default=0.02)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--halves", type=int, default=3)
    arguments = parser.parse_args()
    print(json.dumps(describe_machine().to_dict()))
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["EDGECLF_CACHE"] = str(Path(temporary) / "cache")
        folder = Path(temporary) / "photos"
        swapped = link_swapped(arguments.photos, folder, arguments.fraction, seed=0)
        wall, work = time.monotonic(), time.process_time()
        listing = list_source(folder)
        audited = audit(listing)
        found = extract_features(listing, arguments.weights, check_weights(arguments.weights))
        examination = examine(audited, listing, found, wall)
        took = {"seconds": round(time.monotonic() - wall, 1), "cpu_seconds": round(time.process_time() - work, 1)}
        print(json.dumps({"photos": examination.report.images, "top1": examination.report.top1, **took}))
        print(json.dumps(judge(examination, set(swapped), seed=0)), flush=True)
        true = relabel(found, {str(folder / name): label for name, label in swapped.items()})
        for seed in range(1, arguments.seeds):
            names = draw_swaps(training_photos(true.dataset), true.dataset.class_names, arguments.fraction, seed)
            again = examine(audited, listing, relabel(true, names), time.monotonic())
            print(json.dumps(judge(again, {os.path.relpath(path, folder) for path in names}, seed)), flush=True)
        compare_halves(true, arguments.halves)


def link_swapped(photos: Path, folder: Path, fraction: float, seed: int) -> dict[str, str]:
    """Link the photos into a folder, some training photos under another class; return these with their own class."""
    files = sorted(path for path in photos.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    own = {str(path.relative_to(photos)): path.parent.name for path in files}
    classes = sorted(set(own.values()))
    train = {name: label for name, label in own.items() if name.split("/")[0] == "train"}
    moved = draw_swaps(train, classes, fraction, seed)
    swapped = {}
    for name, label in own.items():
        place = str(Path(name).parent.parent / moved[name] / Path(name).name) if name in moved else name
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(photos / name, folder / place)
        except OSError:
            shutil.copy2(photos / name, folder / place)
        if name in moved:
            swapped[place] = label
    return swapped


def draw_swaps(labels: dict[str, str], classes: Sequence[str], fraction: float, seed: int) -> dict[str, str]:
    """Draw a fraction of the photos, and another class for each."""
    random, names = np.random.default_rng(seed), sorted(labels)
    drawn = random.choice(len(names), round(fraction * len(names)), replace=False).tolist()
    others = {name: [c for c in classes if c != labels[name]] for name in (names[n] for n in drawn)}
    return {name: choices[int(random.integers(len(choices)))] for name, choices in others.items()}


def training_photos(dataset: Dataset) -> dict[str, str]:
    """Return the class of each training photo by its path."""
    train = dataset.splits["train"]
    return {path: dataset.class_names[label] for path, label in zip(train.paths, train.labels.tolist(), strict=True)}


def relabel(found: PhotoFeatures, labels: dict[str, str]) -> PhotoFeatures:
    """Give some photos another class."""
    names = found.dataset.class_names
    splits = {}
    for name, split in found.dataset.splits.items():
        changed = split.labels.copy()
        for row, path in enumerate(split.paths):
            if path in labels:
                changed[row] = names.index(labels[path])
        splits[name] = dataclasses.replace(split, labels=changed)
    dataset = dataclasses.replace(found.dataset, splits=MappingProxyType(splits))
    return dataclasses.replace(found, dataset=dataset)


def judge(examination: Examination, swapped: set[str], seed: int) -> dict[str, object]:
    """Count how many of the photos that are named first were swapped."""
    train = [doubt.path for doubt in examination.report.doubtful if doubt.split == "train"]
    first = [any(path.endswith(f"/{name}") for name in swapped) for path in train]
    count = len(swapped)
    return {
        "seed": seed,
        "swapped": count,
        "among_the_first": sum(first[:count]),
        "fraction_of_the_first": round(sum(first[:count]) / count, 3),
        "named": len(train),
        "found_among_all_named": round(sum(first) / count, 3),
        "estimated_errors": round(examination.report.label_errors, 1),
    }


def compare_halves(found: PhotoFeatures, halves: int) -> None:
    """Print what half of the photos of train and validation forecast, and what all of them give."""
    photos = PhotoList(found.dataset)
    rows = photos.is_for_learning()
    whole = curve_of(found, photos, rows)
    print(json.dumps({"all": [[round(n), round(e, 4)] for n, e in zip(whole.photos, whole.errors(), strict=True)]}))
    for number in range(halves):
        digests = [hashlib.blake2b(f"{number}{c}".encode(), digest_size=8).digest() for c in photos.hashes]
        half = curve_of(found, photos, rows & np.array([digest[0] % 2 == 0 for digest in digests]))
        expected = half.forecast(half.photos[-1], whole.photos[-1])
        inside = 0
        for label in range(len(photos.names)):
            low, high = half.forecast(half.photos[-1], whole.photos[-1], label).interval
            inside += low <= whole.errors(label)[-1] <= high
        row = {
            "half": number,
            "photos": round(half.photos[-1]),
            "error": round(half.errors()[-1], 4),
            "forecast": round(expected.error, 4),
            "interval": [round(bound, 4) for bound in expected.interval],
            "measured_with_all": round(whole.errors()[-1], 4),
            "inside": bool(expected.interval[0] <= whole.errors()[-1] <= expected.interval[1]),
            "classes_inside": f"{inside} of {len(photos.names)}",
        }
        print(json.dumps(row), flush=True)


def curve_of(found: PhotoFeatures, photos: PhotoList, rows: np.ndarray) -> MeasuredCurve:
    """Measure the learning curve of some photos, with folds, features and penalty of their own."""
    contents = [photos.hashes[number] for number in np.flatnonzero(rows).tolist()]
    labels = photos.labels[rows]
    folds = assign_folds(labels, contents)
    features = FrozenFeatures(reduce_features(found.values[rows]), labels, folds, len(photos.names))
    return measure_curve(features, contents, features.choose_strength())


if __name__ == "__main__":
    main()
