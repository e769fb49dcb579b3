#!/usr/bin/env python3
"""What starts are worth on few photos: one network and budget from a file, the shipped backbone, and scratch.

    python tools/benchmarks/transfer.py PHOTOS [--weights FILE.h5] [--epochs 20] [--seeds 3] [--balance weights]
        [--set KEY=VALUE] [--test]

Prints one line of JSON a run and one of means. Settings are chosen on the validation split; `--test` shows the test
split's figures as well, for the final record.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from unittest import mock

import edgeclf
from edgeclf.cli.values import parse_settings
from edgeclf.training.config import TrainConfig
from edgeclf.training.starts import KerasDownload


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--weights", type=Path, help="a pretrained network of the same kind")
    parser.add_argument("--starts", nargs="+", default=["file", "backbone", "none"])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--balance", default="weights")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--test", action="store_true")
    arguments = parser.parse_args()
    weights = {"file": str(arguments.weights), "backbone": "auto", "none": "none"}
    splits = ("validation", "test") if arguments.test else ("validation",)
    for start in arguments.starts:
        if start == "file" and arguments.weights is None:
            continue
        found = []
        for seed in range(arguments.seeds):
            settings = {
                "model": None if start == "file" else "mobilenet-v1",
                "image_size": 96,
                "epochs": arguments.epochs,
                "balance": arguments.balance,
                "weights": weights[start],
                "seed": seed,
            }
            config = TrainConfig(**(settings | parse_settings(arguments.set, TrainConfig)))
            # The shipped backbone is what is to be measured, also where a download would succeed.
            offline = mock.patch.object(KerasDownload, "load", return_value=None)
            with tempfile.TemporaryDirectory() as folder, offline:
                report = edgeclf.train(arguments.photos, config, out=Path(folder) / "run")
            row = {name: round(report.metrics[name].top1, 4) for name in splits}
            found.append(row)
            print(json.dumps({"start": start, "seed": seed, "seconds": report.seconds, **row}), flush=True)
        means = {name: round(statistics.mean(row[name] for row in found), 4) for name in splits}
        print(json.dumps({"start": start, "mean": means}), flush=True)


if __name__ == "__main__":
    main()
