#!/usr/bin/env python3
"""What each part of fine-tuning is worth on few photos: variants of the settings, the same start, several seeds.

    python tools/benchmarks/fine_tuning.py PHOTOS --weights FILE.tflite --out rows.jsonl --variant default \\
        --variant momentum:batch_norm_momentum=0.999 --variant quick:quick=true [--set epochs=8] [--seeds 3]
        [--test] [--int8]

A variant is a name and the settings that it has beside those of `--set`; after a change of edgeclf it needs another
name. Prints a line of JSON a run and a table of means at the end; a run whose line is in `--out` already is not made
again. Settings are chosen on the validation split; `--test` adds the figures of the test split, for the final record,
and `--int8` those of the int8 model that `compress` makes of the run, and its file size.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import edgeclf
from edgeclf.cli.values import parse_settings
from edgeclf.measure.machine import describe_machine
from edgeclf.training.config import TrainConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--weights", default="auto")
    parser.add_argument("--out", type=Path, required=True, help="lines of JSON, one a run; appended to")
    parser.add_argument("--variant", action="append", required=True, metavar="NAME[:KEY=VALUE,...]")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--test", action="store_true")
    parser.add_argument("--int8", action="store_true", help="with --test: top-1 of the int8 model as well")
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in arguments.out.read_text().splitlines()] if arguments.out.exists() else []
    known = {row["key"] for row in rows}
    for seed in range(arguments.seeds):
        for variant in arguments.variant:
            name, _, text = variant.partition(":")
            pairs = [*arguments.set, *filter(None, text.split(","))]
            settings = {"weights": arguments.weights, **parse_settings(pairs, TrainConfig), "seed": seed}
            key = json.dumps([name, str(arguments.photos.resolve()), settings], sort_keys=True)
            if key in known:
                continue
            row = {"variant": name, "seed": seed, "key": key, **_train(arguments.photos, settings, arguments)}
            rows.append(row)
            with arguments.out.open("a") as stream:
                stream.write(json.dumps(row) + "\n")
            print(json.dumps({k: v for k, v in row.items() if k != "key"}), flush=True)
    print(f"on {describe_machine().processor}")
    names = [variant.partition(":")[0] for variant in arguments.variant]
    for name in names:
        found = [row for row in rows if row["variant"] == name]
        means = {
            k: statistics.mean(row[k] for row in found)
            for k in ("validation", "test", "int8_test", "seconds")
            if found and all(k in row for row in found)
        }
        print(f"{name:24} " + "  ".join(f"{k} {v:.4g}" for k, v in means.items()) + f"  ({len(found)} runs)")


def _train(photos: Path, settings: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    began = time.monotonic()
    int8: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        report = edgeclf.train(photos, TrainConfig(**settings), out=run)
        seconds = round(time.monotonic() - began, 1)
        if arguments.test and arguments.int8:
            int8 = _compress(run, photos)
    splits = ("validation", "test") if arguments.test else ("validation",)
    metrics = {name: report.metrics[name] for name in splits}
    found: dict[str, Any] = {name: round(one.top1, 4) for name, one in metrics.items() if one is not None}
    loss = metrics["validation"]
    found["validation_loss"] = round(loss.loss, 4) if loss is not None else None
    found |= {"model": report.model, "image_size": report.image_size}
    return {**found, "kept_epoch": report.kept_epoch, "seconds": seconds, **int8}


def _compress(run: Path, photos: Path) -> dict[str, Any]:
    began = time.monotonic()
    edgeclf.compress(run, recipes=["int8"])
    seconds = round(time.monotonic() - began, 1)
    model = edgeclf.bench(run, data=photos).models[0]
    return {
        "int8_test": model.top1,
        "int8_difference": model.difference,
        "int8_difference_interval": model.difference_interval,
        "int8_bytes": model.size_bytes,
        "int8_seconds": seconds,
    }


if __name__ == "__main__":
    main()
