#!/usr/bin/env python3
"""What int8 costs float `.tflite` files from elsewhere, computed without edgeclf, beside what `bench` reports.

    python tools/benchmarks/tflite_sources.py PHOTOS FILE.tflite... [--normalize torch] [--unlabelled] [--split test]

Each file is compressed to int8. Then the plain runtime, `ai_edge_litert.interpreter`, classifies the split with the
float file and with the int8 file; pixels are normalized here. With labels: both top-1, their paired difference with its
95 % interval, and whether `bench --baseline FILE.tflite` reports the same numbers. Without (`--unlabelled`): the
fraction of photos for which both name the same class. Prints the machine, and one line of JSON a file.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

import edgeclf
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import parse_normalization
from edgeclf.dataset import load_dataset
from edgeclf.measure.class_order import order_classes
from edgeclf.measure.machine import describe_machine
from edgeclf.measure.paired_interval import difference_interval
from edgeclf.measure.statistics import discordant, wilson_interval


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--normalize", default="torch", help="how pixels enter the float files")
    parser.add_argument("--split", default="test")
    parser.add_argument("--calibration", type=int, default=500)
    parser.add_argument("--unlabelled", action="store_true")
    arguments = parser.parse_args()
    print(json.dumps(describe_machine().to_dict()))
    for file in arguments.files:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps({"file": file.name, **_measure(file, Path(folder), arguments)}), flush=True)


def _measure(file: Path, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    began = time.perf_counter()
    (made,) = edgeclf.compress(
        file,
        int8=True,
        data=arguments.photos,
        normalize=arguments.normalize,
        calibration=arguments.calibration,
        unlabelled=arguments.unlabelled,
        out=folder,
        speed=False,
    ).models
    seconds = time.perf_counter() - began
    shape = ModelFile.read(file).shape
    data = load_dataset(arguments.photos, image_size=(shape.height, shape.width))
    if not arguments.unlabelled:
        data = order_classes(data, edgeclf.Classifier(made.path).labels)
    split = data.splits[arguments.split]
    images, labels = np.asarray(split.images), split.labels
    norm = parse_normalization(arguments.normalize)
    ordered = images[..., ::-1] if norm.channel_order == "BGR" else images
    tensors = ((ordered - np.asarray(norm.mean)) / np.asarray(norm.std)).astype(np.float32)
    before = _classes(file, tensors.transpose(0, 3, 1, 2) if shape.channels_first else tensors)
    after = _classes(Path(made.path), images)
    row = {"images": len(images), "bytes": made.size_bytes, "seconds": round(seconds, 1)}
    if arguments.unlabelled:
        same = int((before == after).sum())
        return row | {"agreement": same / len(images), "interval": wilson_interval(same, len(images))}
    right = before == labels, after == labels
    report = edgeclf.bench(
        made.path, data=arguments.photos, split=arguments.split, baseline=file, normalize=arguments.normalize, runs=20
    )
    assert report.baseline is not None
    return row | {
        "float_top1": float(right[0].mean()),
        "int8_top1": float(right[1].mean()),
        "difference": float(right[1].mean() - right[0].mean()),
        "difference_interval": difference_interval(*discordant(*right), len(images)),
        "bench_agrees": (report.baseline.top1, report.models[0].top1) == (right[0].mean(), right[1].mean()),
    }


def _classes(path: Path, tensors: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Find the best class of each tensor; ties go to the lowest index: int64[N]."""
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    entry, result = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    found = np.empty(len(tensors), np.int64)
    for row, tensor in enumerate(tensors):
        interpreter.set_tensor(entry, tensor[None])
        interpreter.invoke()
        found[row] = interpreter.get_tensor(result)[0].argmax()
    return found


if __name__ == "__main__":
    main()
