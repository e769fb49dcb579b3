#!/usr/bin/env python3
"""How well a model's probabilities hold on the test split, and what it calls unknown.

    python tools/benchmarks/unknown.py MODEL PHOTOS --other FOLDER [--fit] [--most 2000] [--seed 0]

MODEL is a file that `compress` fitted probabilities for; with `--fit` they are fitted first, on the validation split of
PHOTOS, which writes a copy to a temporary folder. FOLDER has photos of things that the model never saw; those below a
folder `test` are taken where there is one. Noise (uniform, Gaussian, coarse), plain colours and a black frame are
made. «Before» is the model's own output with the threshold 0.5 of `live`; nothing is chosen by what this script prints.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from sklearn.metrics import roc_auc_score

from edgeclf.artifact.class_names import own_names
from edgeclf.artifact.input_fit import own_fit
from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.model_file import ModelFile
from edgeclf.compression.probabilities.reading import ModelReader
from edgeclf.compression.probabilities.refit import refit
from edgeclf.dataset import Dataset, load_dataset
from edgeclf.image.decoding import IMAGE_SUFFIXES, decode, fit_image
from edgeclf.image.shape import STRETCH, InputShape
from edgeclf.inference.novelty import distances, fold
from edgeclf.inference.score_reader import calibrate, read_fitted_arrays
from edgeclf.measure.accuracy import class_indices
from edgeclf.measure.calibration import calibration_error
from edgeclf.measure.machine import describe_machine
from edgeclf.measure.statistics import wilson_interval

THRESHOLD_BEFORE = 0.5
NOISE = 200


class Model:
    """A fitted model file, and its figures for images."""

    def __init__(self, path: Path) -> None:
        self.file = ModelFile.read(path)
        made = self.file.provenance
        if made is None or made.probabilities is None:
            raise SystemExit(f"{path}: no fitted probabilities; add --fit")
        self.fitted = made.probabilities
        self.reader = ModelReader(self.file)
        self.arrays = read_fitted_arrays(self.file, self.fitted)

    def figures(self, images: Any) -> dict[str, np.ndarray]:
        """Best class, its probability before and after, novelty, and which images are refused, of uint8[N, H, W, 3]."""
        found = self.reader.read(images)
        after = calibrate(found.logits, found.raw, self.fitted.temperature)
        space, novelty = self.fitted.features, np.zeros(len(images))
        if space is not None:
            novelty = distances(fold(found.features, space.dimensions), self.arrays) / space.limit
        confidence = after.max(axis=1).astype(np.float64)
        return {
            "best": found.raw.argmax(axis=1),
            "before": found.plain.max(axis=1).astype(np.float64),
            "confidence": confidence,
            "novelty": novelty.astype(np.float64),
            "refused": ~((confidence >= self.fitted.threshold) & (novelty <= 1)),
            # one number for both: above 1 is refused
            "both": np.maximum(novelty, self.fitted.threshold / np.maximum(confidence, 1e-9)),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--other", type=Path, action="append", default=[])
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--most", type=int, default=2000, help="images of each other folder")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    path = locate_model(arguments.model)
    file = ModelFile.read(path)
    shape = InputShape(file.shape.height, file.shape.width, own_fit(file) or STRETCH)
    seed = {} if file.provenance is None else {"split_seed": int(file.provenance.data["split_seed"])}
    data = load_dataset(arguments.photos, image_size=(shape.height, shape.width), fit=shape.fit, **seed)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.fit:
            path = Path(folder) / "fitted.tflite"
            refit(arguments.model, data, path)
        model = Model(path)
    added = len(model.file.content) - len(file.content)
    record = {k: v for k, v in model.fitted.to_dict().items() if k != "notes"}
    print(json.dumps({"fitted": record, "bytes_added_by_fit": added if arguments.fit else None}))
    known = _measure_known(model, data)
    random = np.random.default_rng(arguments.seed)
    sets = {str(folder): _photos(folder, shape, arguments.most, random) for folder in arguments.other}
    rows = [_measure_unknown(model, name, images, known) for name, images in (sets | _made(shape, random)).items()]
    print(
        f"{'unknown images':28} {'count':>6} {'accepted before':>16} {'refused':>8} {'95 % interval':>18} {'AUROC':>7}"
    )
    for row in rows:
        low, high = row["refused_interval"]
        interval = f"{low:.1%} to {high:.1%}"
        shown = f"{row['accepted_before']:16.1%} {row['refused']:8.1%} {interval:>18} {row['auroc']:7.3f}"
        print(f"{row['name'][-28:]:28} {row['count']:6} {shown}")
    print(json.dumps({"unknown": rows}))
    print(f"on {describe_machine().processor}")


def _measure_known(model: Model, data: Dataset) -> dict[str, np.ndarray]:
    split, fitted = data.splits["test"], model.fitted
    names = own_names(model.file)[0] or ()
    order = class_indices(names, model.file.shape.classes, data.class_names)
    known = model.figures(split.images)
    right = order[known["best"]] == split.labels
    shown = ~known["refused"]
    count, correct = int(shown.sum()), int(right[shown].sum())
    precision, refused = wilson_interval(correct, count), wilson_interval(len(shown) - count, len(shown))
    errors = {
        name: [calibration_error(known[key], right, equal_mass=mass) for key in ("before", "confidence")]
        for name, mass in (("equal width", False), ("equal mass", True))
    }
    print(f"{len(split)} test images, top-1 {right.mean():.2%}")
    for name, (first, last) in errors.items():
        print(f"calibration error, 15 bins of {name}: {first:.2%} before, {last:.2%} after")
    promised = fitted.precision_interval[0] if fitted.precision_interval else None
    print(f"shown: {correct / count:.2%} right ({precision[0]:.2%} to {precision[1]:.2%}); promised: {promised:.2%}")
    print(f"refused known: {1 - count / len(shown):.2%} ({refused[0]:.2%} to {refused[1]:.2%})")
    before = float((known["before"] < THRESHOLD_BEFORE).mean())
    print(f"promised: at most {fitted.refused_bound:.2%}; by threshold {THRESHOLD_BEFORE} before: {before:.2%}")
    print(json.dumps({"errors": errors, "precision": [correct / count, *precision], "refused": refused}))
    return known


def _measure_unknown(model: Model, name: str, images: np.ndarray, known: dict[str, np.ndarray]) -> dict[str, Any]:
    found = model.figures(images)
    refused = int(found["refused"].sum())
    return {
        "name": name,
        "count": len(images),
        "accepted_before": float((found["before"] >= THRESHOLD_BEFORE).mean()),
        "refused": refused / len(images),
        "refused_interval": wilson_interval(refused, len(images)),
        "auroc": _auroc(known["both"], found["both"]),
        "auroc_novelty": _auroc(known["novelty"], found["novelty"]),
        "auroc_before": _auroc(-known["before"], -found["before"]),
    }


def _auroc(known: np.ndarray, unknown: np.ndarray) -> float:
    """Compute the area under the curve: how often a score is higher for the unknown image."""
    is_unknown = np.repeat((0, 1), (len(known), len(unknown)))
    return float(roc_auc_score(is_unknown, np.concatenate((known, unknown))))


def _photos(folder: Path, shape: InputShape, most: int, random: np.random.Generator) -> np.ndarray:
    below = folder / "test" if (folder / "test").is_dir() else folder
    paths = sorted(path for path in below.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    chosen = random.permutation(len(paths))[:most]
    return np.stack([fit_image(decode(paths[i]), shape) for i in chosen])


def _made(shape: InputShape, random: np.random.Generator) -> dict[str, np.ndarray]:
    height, width = shape.height, shape.width
    size = (NOISE, height, width, 3)
    cells = random.integers(0, 256, (NOISE, 4, 4, 3), np.uint8)
    coarse = [cv2.resize(cell, (width, height), interpolation=cv2.INTER_CUBIC) for cell in cells]
    plain = np.broadcast_to(random.integers(0, 256, (NOISE, 1, 1, 3), np.uint8), size)
    return {
        "uniform noise": random.integers(0, 256, size, np.uint8),
        "Gaussian noise": np.clip(random.normal(128, 40, size), 0, 255).astype(np.uint8),
        "coarse noise": np.stack(coarse),
        "plain colours": np.ascontiguousarray(plain),
        "black frame": np.zeros((1, height, width, 3), np.uint8),
    }


if __name__ == "__main__":
    main()
