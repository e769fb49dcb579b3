#!/usr/bin/env python3
"""Shrinks one trained run by several fractions and measures what that gains and costs, side by side.

    python tools/benchmarks/shrink.py RUN DATA [--recipes shrink50 shrink75-qat] [--set shrink_epochs=20 ...]
        [--split test] [--images 2000] [--out FOLDER]

For each recipe an int8 model is made, and where nothing but shrinking comes before it, a float32 one of the same
network as well; beside them the plain int8 model of RUN. All int8 models are timed in turns on one thread, and predict
the same images. Prints one line of JSON a model, with the paired difference of top-1 to the plain int8 model and its
interval, in percentage points.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import edgeclf
from edgeclf.artifact.macs import count_macs, count_parameters
from edgeclf.artifact.model_file import ModelFile
from edgeclf.cli.progress_bars import LineProgress
from edgeclf.cli.values import parse_settings
from edgeclf.compression import parse_recipe
from edgeclf.compression.choice import settings_record
from edgeclf.dataset import load_dataset
from edgeclf.measure.latency import measure_latency
from edgeclf.measure.machine import describe_machine
from edgeclf.measure.paired_interval import difference_interval
from edgeclf.measure.statistics import discordant, wilson_interval

BATCH = 256


def predict_correctly(path: str, data: str, split: str, most: int | None) -> Any:
    """Return which images of a split a model predicts correctly: bool[N]."""
    classifier = edgeclf.Classifier(path)
    shape = classifier.input_shape
    labelled = load_dataset(data, image_size=shape.size, fit=shape.fit).splits[split]
    chosen = np.linspace(0, len(labelled) - 1, min(len(labelled), most or len(labelled))).astype(np.int64)
    found = []
    for start in range(0, len(chosen), BATCH):
        part = chosen[start : start + BATCH]
        found.append(classifier.top1(np.asarray(labelled.images[part])) == labelled.labels[part])
    return np.concatenate(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("data")
    parser.add_argument("--recipes", nargs="+", default=["shrink50", "shrink75"], help="steps, without the format")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="as in edgeclf compress")
    parser.add_argument("--split", default="test")
    parser.add_argument("--images", type=int, help="so many of the split at most")
    parser.add_argument("--out", type=Path, help="keep the models there")
    arguments = parser.parse_args()
    settings = parse_settings(arguments.set, settings_record())
    names = ["int8"]
    for steps in arguments.recipes:
        parts = parse_recipe(f"{steps}-int8").steps
        names += [f"{steps}-float32"] if all(part.kind == "shrink" for part in parts) else []
        names.append(f"{steps}-int8")
    print(json.dumps(describe_machine().to_dict()), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        start = time.monotonic()
        report = edgeclf.compress(
            arguments.run,
            recipes=names,
            data=arguments.data,
            out=arguments.out or temporary,
            speed=False,
            progress=LineProgress(sys.stderr),
            **settings,
        )
        seconds = round(time.monotonic() - start)
        files = {name: ModelFile.read(made.path) for name, made in zip(names, report.models, strict=True)}
        timed = [name for name in names if name.endswith("int8")]
        latencies = dict(zip(timed, measure_latency([files[name] for name in timed]), strict=True))
        plain = None
        for name, made in zip(names, report.models, strict=True):
            correct = predict_correctly(made.path, arguments.data, arguments.split, arguments.images)
            plain = correct if plain is None else plain
            lost, gained = discordant(plain, correct)
            latency = latencies.get(name)
            line = {
                "recipe": name,
                "macs": count_macs(files[name].graph),
                "parameters": count_parameters(files[name].graph),
                "size_bytes": len(files[name].content),
                "median_ms": latency and latency.latency_ms.median,
                "times_as_fast": latency and round(latencies["int8"].latency_ms.median / latency.latency_ms.median, 3),
                "images": len(correct),
                "top1": float(correct.mean()),
                "top1_interval": wilson_interval(int(correct.sum()), len(correct)),
                "points_to_int8": 100 * (gained - lost) / len(correct),
                "points_interval": [100 * end for end in difference_interval(lost, gained, len(correct))],
            }
            print(json.dumps(line), flush=True)
        print(json.dumps({"compress_seconds": seconds}))


if __name__ == "__main__":
    main()
