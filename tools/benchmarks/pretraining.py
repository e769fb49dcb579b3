#!/usr/bin/env python3
"""What pretraining without labels is worth where few photos have one: 1, 5 and 10 % of the labels, against scratch.

    python tools/benchmarks/pretraining.py PHOTOS --out FOLDER [--method barlow-twins --method rotation]
        [--fractions 0.01,0.05,0.1] [--seeds 0,1,2] [--pretrain KEY=VALUE,...] [--train KEY=VALUE,...] [--judge FOLDER]

PHOTOS holds train/ and test/ with class folders. Each method learns once from all photos of train/ without their labels
(seed 0). Then, for each seed, the photos of each class are put in an order by that seed, and the first 1, 5 and 10 % of
them (two at least) are what is trained on: the smaller draw is a part of the larger one. Validation is split off the
draw, so that no other label is used; all photos of test/ judge. To choose between methods the test split must not
serve: `--judge` names class folders of other photos, and FOLDER must be another one. Scratch is trained first; the
others get its complete settings, with the start alone changed (`--train` may name any setting, such as the epochs).
Take a network that ends in a global pooling, such as resnet8: a start keeps what lies in front of that, so that both
sides are the same network.

Prints a line of JSON a run, appended to FOLDER/rows.jsonl; a run whose line is there already is not made again. Then
mean and standard deviation over the seeds, and the mean of the paired differences to scratch, in percentage points.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import edgeclf
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.cli.values import parse_settings
from edgeclf.measure.machine import describe_machine
from edgeclf.training.config import TrainConfig
from edgeclf.training.pretraining.config import PretrainConfig

SCRATCH = "scratch"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder for the pretrained runs and the rows")
    parser.add_argument("--method", action="append", help="default: barlow-twins and rotation")
    parser.add_argument("--fractions", default="0.01,0.05,0.1", help="of the labels")
    parser.add_argument("--seeds", default="0,1,2", help="of the draws and the trainings")
    parser.add_argument("--pretrain", default="", metavar="KEY=VALUE,...", help="settings of the pretraining")
    parser.add_argument("--train", default="", metavar="KEY=VALUE,...", help="settings of all trainings")
    parser.add_argument("--judge", type=Path, metavar="FOLDER", help="class folders of the photos that judge")
    arguments = parser.parse_args()
    judging = arguments.judge or arguments.photos / "test"
    own = parse_settings([*filter(None, arguments.train.split(","))], TrainConfig)
    methods = arguments.method or ["barlow-twins", "rotation"]
    starts = {name: _pretrain(arguments.photos, name, arguments.pretrain, own, arguments.out) for name in methods}
    path = arguments.out / "rows.jsonl"
    asked = {"photos": str(arguments.photos.resolve()), "judge": str(judging.resolve()), "train": arguments.train}
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    rows = [row for row in rows if row.get("asked") == asked]
    for seed in map(int, arguments.seeds.split(",")):
        for fraction in map(float, arguments.fractions.split(",")):
            for row in _train_all((arguments.photos / "train", judging), (fraction, seed), starts, own, rows):
                row["asked"] = asked
                rows.append(row)
                with path.open("a") as stream:
                    stream.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)
    _summarize(rows)


def _pretrain(photos: Path, method: str, text: str, own: dict[str, Any], out: Path) -> Path:
    """Pretrain with one method, or take what an earlier call left, and return the run folder."""
    shared = {key: own[key] for key in ("model", "width", "image_size", "fit") if key in own}
    config = PretrainConfig(**{**shared, **parse_settings([*filter(None, text.split(","))], PretrainConfig)})
    report = edgeclf.pretrain(photos, config.replace(method=method), out=out / method, resume=True)
    print(report.to_json(), flush=True)
    return out / method


def _train_all(
    photos: tuple[Path, Path],
    draw: tuple[float, int],
    starts: dict[str, Path],
    own: dict[str, Any],
    rows: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """Train from scratch and from each start on one draw, and return the rows that are not among `rows` yet."""
    fraction, seed = draw
    known = {row["start"]: row for row in rows if (row["fraction"], row["seed"]) == draw}
    made: list[dict[str, Any]] = []
    if {SCRATCH, *starts} <= known.keys():
        return made
    with tempfile.TemporaryDirectory() as folder:
        count = _link_draw(*photos, Path(folder) / "set", fraction, seed)
        config = TrainConfig(**{**own, "weights": "none", "seed": seed})
        for name in (SCRATCH, *starts):
            if name in known:
                config = TrainConfig.from_dict(known[name]["config"]) if name == SCRATCH else config
                continue
            began, out = time.monotonic(), Path(folder) / "runs" / name
            start = {} if name == SCRATCH else {"weights": str(starts[name])}
            report = edgeclf.train(Path(folder) / "set", config.replace(**start), out=out)
            test = report.metrics["test"]
            assert test is not None
            row = {"start": name, "fraction": fraction, "seed": seed, "labels": count, "test": round(test.top1, 4)}
            row["seconds"] = round(time.monotonic() - began, 1)
            if name == SCRATCH:
                config = TrainConfig.from_dict(RunFolder(out).run_json["config"])
                row["config"] = config.to_dict()
            made.append(row)
    return made


def _link_draw(training: Path, judging: Path, folder: Path, fraction: float, seed: int) -> int:
    """Link the training photos of a draw and all that judge into `folder`, and count the former."""
    drawn = 0
    for place in sorted(training.iterdir()):
        files = np.array(sorted(place.iterdir()), dtype=object)
        order = np.random.default_rng([seed, *place.name.encode()]).permutation(len(files))
        chosen = files[order[: max(2, round(fraction * len(files)))]]
        drawn += len(chosen)
        for split, paths in (("train", list(chosen)), ("test", sorted((judging / place.name).iterdir()))):
            target = folder / split / place.name
            target.mkdir(parents=True)
            for path in paths:
                (target / path.name).symlink_to(path.resolve())
    return drawn


def _summarize(rows: list[dict[str, Any]]) -> None:
    machine = describe_machine()
    print(f"on {machine.processor}, {machine.cores} cores")
    for fraction in sorted({row["fraction"] for row in rows}):
        here = [row for row in rows if row["fraction"] == fraction]
        scratch = {row["seed"]: row["test"] for row in here if row["start"] == SCRATCH}
        for name in dict.fromkeys(row["start"] for row in here):
            found = {row["seed"]: row["test"] for row in here if row["start"] == name}
            gains = [100 * (found[seed] - scratch[seed]) for seed in found if seed in scratch]
            spread = statistics.stdev(found.values()) if len(found) > 1 else float("nan")
            mean, gain, labels = statistics.mean(found.values()), statistics.mean(gains), here[0]["labels"]
            print(
                f"{100 * fraction:5g} % ({labels} labels) {name:14} mean {mean:.4f}, deviation {spread:.4f}, "
                f"against scratch {gain:+.1f} points ({len(found)} seeds)"
            )


if __name__ == "__main__":
    main()
