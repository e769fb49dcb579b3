#!/usr/bin/env python3
"""Whether `.tflite` files keep their function when they are read as a start, and what they are worth beside scratch.

    python tools/benchmarks/tflite_starts.py PHOTOS FILE.tflite... [--count 50] [--train --image-size 128 --epochs 8]

For each file: the largest and the mean difference between the probabilities that the file's runtime and the network
read from it give for the same photos, how many of their labels agree, and the same after batch normalizations got
their statistics. With `--train`: top-1 from the file's weights and from scratch, same network, epochs and input.
Prints one line of JSON a file.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import edgeclf
from edgeclf.artifact.model_file import ModelFile
from edgeclf.dataset import load_dataset
from edgeclf.graph.batch_norm import restore_statistics
from edgeclf.inference.classifier import Classifier
from edgeclf.keras_files.tflite_start import read_tflite_start

import tf_keras  # isort: skip  (after edgeclf has set TensorFlow's environment)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=50, help="photos that the outputs are compared on")
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for file in arguments.files:
        row = {"file": file.name, **_compare(file, arguments.photos, arguments.count)}
        if arguments.train:
            row |= {"image_size": arguments.image_size, "epochs": arguments.epochs, **_train(file, arguments)}
        print(json.dumps(row), flush=True)


def _compare(path: Path, photos: Path, count: int) -> dict[str, Any]:
    file = ModelFile.read(path)
    split = load_dataset(photos, image_size=file.shape.height).splits["validation"]
    chosen = np.unique(np.linspace(0, len(split) - 1, count).astype(int))
    pixels = np.asarray(split.images[chosen])
    expected = np.asarray(Classifier(path).probabilities(pixels), np.float64)
    network, normalization, _ = read_tflite_start(path)
    entering = ((pixels - np.asarray(normalization.mean)) / np.asarray(normalization.std)).astype(np.float32)
    found = _run(network, entering)
    restore_statistics(network, entering)
    again = _run(network, entering)
    return {
        "photos": len(chosen),
        "largest_difference": round(float(np.abs(found - expected).max()), 4),
        "mean_largest_difference": round(float(np.abs(found - expected).max(axis=1).mean()), 4),
        "labels_agree": int((found.argmax(1) == expected.argmax(1)).sum()),
        "largest_difference_with_statistics": float(np.abs(again - found).max()),
    }


def _run(network: tf_keras.Model, tensors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    return np.concatenate([np.asarray(network(tensors[i : i + 10]), np.float64) for i in range(0, len(tensors), 10)])


def _train(path: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    name, width = path.stem.split("_")[:2], float(path.stem.split("_")[2])
    found: dict[str, Any] = {}
    settings = {"image_size": arguments.image_size, "epochs": arguments.epochs, "seed": arguments.seed}
    starts = {"start": {"weights": str(path)}, "scratch": {"weights": "none", "model": "-".join(name), "width": width}}
    for start, own in starts.items():
        with tempfile.TemporaryDirectory() as folder:
            report = edgeclf.train(arguments.photos, out=Path(folder) / "run", **settings, **own)  # type: ignore[misc]
        metrics = {split: one.top1 for split, one in report.metrics.items() if one is not None}
        found |= {f"{start}_{split}": round(top1, 4) for split, top1 in metrics.items()}
        found[f"{start}_seconds"] = report.seconds
    return found


if __name__ == "__main__":
    main()
