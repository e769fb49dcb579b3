#!/usr/bin/env python3
"""What an optimizer is worth for networks that begin at random: the same trainings with each, judged on other photos.

    python tools/benchmarks/optimizers.py PHOTOS --out FOLDER [--optimizers sgd,muon] [--networks resnet8,resnet20]
        [--images 10000] [--judged 5000] [--epochs 15] [--seeds 0,1] [--train KEY=VALUE,...]

PHOTOS holds class folders: the training split, since what is chosen here must not be chosen on a test split. For each
seed the photos of each class are put in an order by that seed; the first are trained on, and the last ones judge. A
setting of --train is that of every training; learning rates are the defaults of the optimizer.

Prints a line of JSON a run, appended to FOLDER/rows.jsonl; a run whose line is there already is not made again. Then,
for each network, top-1 on the photos that judge and the difference to the first optimizer, as means over the seeds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import edgeclf
from edgeclf.cli.values import parse_settings
from edgeclf.measure.machine import describe_machine
from edgeclf.training.config import TrainConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder for the rows")
    parser.add_argument("--optimizers", default="sgd,muon")
    parser.add_argument("--networks", default="resnet8,resnet20")
    parser.add_argument("--images", type=int, default=10_000, help="that are trained on, or split off for validation")
    parser.add_argument("--judged", type=int, default=5_000, help="that judge")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seeds", default="0", help="of the draws and the trainings")
    parser.add_argument("--train", default="", metavar="KEY=VALUE,...", help="settings of all trainings")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "rows.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    own = parse_settings([*filter(None, arguments.train.split(","))], TrainConfig)
    same = {"epochs": arguments.epochs, "images": arguments.images, "judged": arguments.judged, "train": own}
    for seed in map(int, arguments.seeds.split(",")):
        for network in arguments.networks.split(","):
            for optimizer in arguments.optimizers.split(","):
                key = {"network": network, "optimizer": optimizer, "seed": seed, **same}
                if any({name: row.get(name) for name in key} == key for row in rows):
                    continue
                row = _train(arguments, key, TrainConfig(model=network, optimizer=optimizer, seed=seed, **own))
                rows.append(row)
                with path.open("a") as stream:
                    stream.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)
    _summarize([row for row in rows if {name: row.get(name) for name in same} == same])


def _train(arguments: argparse.Namespace, key: dict[str, Any], config: TrainConfig) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        _link_draw(arguments.photos, Path(folder) / "set", (arguments.images, arguments.judged), config.seed)
        config = config.replace(epochs=arguments.epochs, weights="none")
        report = edgeclf.train(Path(folder) / "set", config, out=Path(folder) / "run")
        judged = report.metrics["test"]
        assert judged is not None
        return {**key, "top1": round(judged.top1, 4), "seconds": round(report.seconds, 1)}


def _link_draw(photos: Path, folder: Path, counts: tuple[int, int], seed: int) -> None:
    """Link as many photos as are trained on, and that judge, of equally many of each class, into `folder`."""
    classes = sorted(place for place in photos.iterdir() if place.is_dir())
    trained, judged = (count // len(classes) for count in counts)
    for place in classes:
        files = np.array(sorted(place.iterdir()), dtype=object)
        order = np.random.default_rng([seed, *place.name.encode()]).permutation(len(files))
        for split, chosen in (("train", order[:trained]), ("test", order[max(trained, len(files) - judged) :])):
            target = folder / split / place.name
            target.mkdir(parents=True)
            for path in files[chosen]:
                (target / path.name).symlink_to(path.resolve())


def _summarize(rows: list[dict[str, Any]]) -> None:
    machine = describe_machine()
    print(f"on {machine.processor}, {machine.cores} cores")
    for network in dict.fromkeys(row["network"] for row in rows):
        first: dict[int, float] = {}
        for optimizer in dict.fromkeys(row["optimizer"] for row in rows if row["network"] == network):
            own = [row for row in rows if (row["network"], row["optimizer"]) == (network, optimizer)]
            found = {row["seed"]: row["top1"] for row in own}
            first = first or found
            gains = [100 * (found[seed] - first[seed]) for seed in found if seed in first]
            gain = statistics.mean(gains) if gains else float("nan")
            print(f"{network:20} {optimizer:6} mean {statistics.mean(found.values()):.4f}, to the first {gain:+.2f}")


if __name__ == "__main__":
    main()
