#!/usr/bin/env python3
"""What compression costs one trained run on its test split: int8 over several calibration draws, and trained recipes.

    python tools/benchmarks/compression_cost.py RUN DATA [--draws 5] [--recipes qat-int8 prune50-int8]

The first part makes int8 with `--draws` different calibration samples and gives each one's paired difference to the
float network, and their mean. The second part makes each of `--recipes` once. The third times the first int8 file,
in turns, against TensorFlow's own post-training conversion of the same network without any metadata. Prints one line of
JSON each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

import edgeclf
from edgeclf.artifact.model_file import ModelFile
from edgeclf.cli.progress_bars import LineProgress
from edgeclf.dataset import load_dataset
from edgeclf.measure.latency import measure_latency

import tensorflow as tf  # isort: skip  (after edgeclf.compression has set its environment)
import tf_keras  # isort: skip


def bare(run: Path, data: str, size: int, path: Path) -> None:
    train = load_dataset(data, image_size=size).splits["train"].images
    chosen = np.linspace(0, len(train) - 1, 200).astype(int)
    converter = tf.lite.TFLiteConverter.from_keras_model(tf_keras.models.load_model(run / "model.keras", compile=False))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([train[[i]].astype(np.float32)] for i in chosen)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    path.write_bytes(converter.convert())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--recipes", nargs="*", default=["qat-int8", "prune50-int8"])
    parser.add_argument("--split", default="test")
    arguments = parser.parse_args()
    run, data, progress = arguments.run, arguments.data, LineProgress(sys.stderr)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        jobs = [("int8", seed) for seed in range(arguments.draws)] + [(name, 0) for name in arguments.recipes]
        made = {}
        for recipe, seed in jobs:
            out = folder / f"{recipe}-{seed}"
            (made[recipe, seed],) = edgeclf.compress(
                run, recipes=recipe, data=data, seed=seed, out=out, progress=progress
            ).models
        report = edgeclf.bench(
            [model.path for model in made.values()],
            data=data,
            split=arguments.split,
            baseline=run / "model.keras",
            runs=100,
            progress=progress,
        )
        print(json.dumps({"float": report.baseline.top1, "images": report.data.images}), flush=True)
        points = []
        for (recipe, seed), model, result in zip(made, made.values(), report.models, strict=True):
            line = {
                "recipe": recipe,
                "draw": seed,
                "top1": result.top1,
                "points": round(100 * result.difference, 3),
                "interval": [round(100 * end, 3) for end in result.difference_interval],
                "size_bytes": result.size_bytes,
                "gzip_bytes": result.gzip_bytes,
                "sparsity": model.sparsity,
                "seconds": model.seconds,
            }
            print(json.dumps(line), flush=True)
            points += [line["points"]] if recipe == "int8" else []
        if points:
            print(
                json.dumps({"recipe": "int8", "mean_points": round(statistics.mean(points), 3), "draws": len(points)})
            )
            size = report.models[0].input_size[0]
            bare(run, data, size, folder / "bare.tflite")
            paths = [folder / "bare.tflite", next(iter(made.values())).path]
            files = [ModelFile.read(path) for path in paths]
            rounds = [[t.latency_ms.median for t in measure_latency(files, runs=2000, seed=turn)] for turn in range(5)]
            ratio = statistics.median(ours / plain for plain, ours in rounds)
            print(
                json.dumps({"bare_ms": min(r[0] for r in rounds), "file_ms": min(r[1] for r in rounds), "ratio": ratio})
            )


if __name__ == "__main__":
    main()
