#!/usr/bin/env python3
"""What ten photos a class are worth: sets drawn from a larger one, each variant of the settings trained on each.

    python tools/benchmarks/few_photos.py PHOTOS --out rows.jsonl --variant ours:weights=FILE.tflite \\
        --variant frozen:weights=FILE.tflite,quick=true [--classes 5] [--photos-a-class 10] [--draws 10]

PHOTOS holds train/ and test/ with class folders. Each draw takes classes and their training photos by its own seed; all
test photos of these classes judge. Prints a line of JSON a run, then mean and standard deviation over the draws; a run
whose line is in `--out` already is not made again.
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
from edgeclf.cli.values import parse_settings
from edgeclf.measure.machine import describe_machine
from edgeclf.training.config import TrainConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="lines of JSON, one a run; appended to")
    parser.add_argument("--variant", action="append", required=True, metavar="NAME[:KEY=VALUE,...]")
    parser.add_argument("--classes", type=int, default=5)
    parser.add_argument("--photos-a-class", type=int, default=10)
    parser.add_argument("--draws", type=int, default=10)
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in arguments.out.read_text().splitlines()] if arguments.out.exists() else []
    sets = {"photos": str(arguments.photos.resolve()), "count": arguments.photos_a_class, "of": arguments.classes}
    asked = dict(variant.partition(":")[::2] for variant in arguments.variant)
    # those of other photos or settings are other results, whatever their variant is called
    rows = [row for row in rows if row.get("sets") == sets and row.get("settings") == asked.get(row["variant"])]
    known = {(row["variant"], row["draw"]) for row in rows}
    for draw in range(arguments.draws):
        with tempfile.TemporaryDirectory() as folder:
            names = _draw(arguments.photos, Path(folder) / "set", arguments.classes, arguments.photos_a_class, draw)
            for name, text in asked.items():
                if (name, draw) in known:
                    continue
                config = TrainConfig(**parse_settings([*filter(None, text.split(","))], TrainConfig))
                began = time.monotonic()
                report = edgeclf.train(Path(folder) / "set", config, out=Path(folder) / "runs" / name)
                test = report.metrics["test"]
                assert test is not None
                seconds = round(time.monotonic() - began, 1)
                row = {"variant": name, "settings": text, "sets": sets, "draw": draw, "classes": names}
                row |= {"test": round(test.top1, 4), "seconds": seconds}
                rows.append(row)
                with arguments.out.open("a") as stream:
                    stream.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)
    print(f"on {describe_machine().processor}")
    for name in asked:
        found: list[float] = [row["test"] for row in rows if row["variant"] == name]
        seconds = statistics.mean(row["seconds"] for row in rows if row["variant"] == name)
        spread = statistics.stdev(found) if len(found) > 1 else float("nan")
        print(
            f"{name:24} mean {statistics.mean(found):.4f}, deviation {spread:.4f}, {seconds:.0f} s ({len(found)} draws)"
        )


def _draw(photos: Path, folder: Path, classes: int, count: int, seed: int) -> list[str]:
    """Link the photos of a draw into `folder`, and return its classes."""
    random = np.random.default_rng(seed)
    every = sorted(path.name for path in (photos / "train").iterdir() if path.is_dir())
    chosen = sorted(random.choice(every, classes, replace=False).tolist())
    for name in chosen:
        files: dict[str, Any] = {split: sorted((photos / split / name).iterdir()) for split in ("train", "test")}
        files["train"] = [files["train"][k] for k in random.choice(len(files["train"]), count, replace=False)]
        for split, paths in files.items():
            place = folder / split / name
            place.mkdir(parents=True)
            for path in paths:
                (place / path.name).symlink_to(path.resolve())
    return chosen


if __name__ == "__main__":
    main()
