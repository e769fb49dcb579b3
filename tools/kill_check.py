#!/usr/bin/env python3
"""Kills commands at random moments and checks that running them again works and that nothing half-written stays.

    python tools/kill_check.py [--times 10] [--seed 0]

Trains a small network on the embedded digits, compresses and measures it, each `--times` times, with `kill -9` after a
random fraction of the time that the command takes undisturbed. After each kill every file with a final name must be
complete: JSON parses, models are verified, `model.keras` and the checkpoint load. The command that is run again must
make what it is for: the resumed training ends with the weights of an undisturbed one, the model is there and verified,
the figures are there. What an earlier round made is removed first, so that it cannot stand in for it. Prints one line
of JSON; exit code 1 where something was wrong.
"""

from __future__ import annotations

import argparse
import atexit
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np

from edgeclf.artifact.provenance import integrity

TRAIN = ["train", "digits", "--model", "resnet8", "--image-size", "8", "--epochs", "6", "--resume", "--out"]


def run(arguments: list[str], kill_after: float | None = None) -> tuple[int, float]:
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeclf", *arguments, "--quiet"], stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        process.wait(kill_after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()
    return process.returncode, time.monotonic() - started


def damages(folder: Path) -> list[str]:
    """List the files with a final name that are not complete."""
    found = []
    for path in folder.rglob("*"):
        if not path.is_file() or any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        try:
            if path.suffix == ".json":
                json.loads(path.read_text())
            elif path.suffix == ".tflite" and integrity(path.read_bytes()) != "verified":
                found.append(f"{path}: not verified")
            elif path.suffix == ".npz":
                with np.load(path) as arrays:
                    [arrays[name] for name in arrays]
            elif path.suffix == ".keras":
                assert zipfile.ZipFile(path).testzip() is None
        except (ValueError, OSError, EOFError, KeyError, AssertionError, zipfile.BadZipFile, zlib.error) as error:
            found.append(f"{path}: {error!r}")
    return found


def missing(folder: Path, name: str) -> list[str]:
    """List what the command `name` should have made and has not."""
    if name == "train":
        return [] if json.loads((folder / "run.json").read_text())["finished"] else ["the run is not finished"]
    expected = {"compress": "compressed/*.tflite", "bench": "bench/bench.json"}[name]
    return [] if list(folder.glob(expected)) else [f"no {expected}"]


def weights(folder: Path) -> list[np.ndarray]:
    with np.load(folder / "checkpoint" / "state.npz") as arrays:
        return [arrays[name] for name in sorted(arrays) if name.startswith("weight_")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    draw, root, wrong = random.Random(arguments.seed), Path(tempfile.mkdtemp()), []
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    calm = root / "calm"
    steps = {
        "train": lambda folder: [*TRAIN, str(folder)],
        "compress": lambda folder: ["compress", str(folder), "--int8", "--overwrite"],
        "bench": lambda folder: ["bench", str(folder), "--data", "digits", "--runs", "200", "--overwrite"],
    }
    made = {"compress": "compressed", "bench": "bench"}
    seconds = {}
    for name, command in steps.items():
        status, seconds[name] = run(command(calm))
        if status:
            wrong.append(f"undisturbed {name}: exit code {status}")
    kills = dict.fromkeys(steps, 0)
    for name, command in steps.items():
        for number in itertools.count():
            # A draw near the end may come too late to kill anything; it is checked and not counted.
            if kills[name] == arguments.times or number == 3 * arguments.times:
                break
            folder = root / f"train-{number}" if name == "train" else calm
            if name in made:
                shutil.rmtree(folder / made[name])
            status, _ = run(command(folder), kill_after=draw.uniform(0.05, 1.0) * seconds[name])
            kills[name] += status == -9
            wrong += [f"{name} {number}: {damage}" for damage in damages(folder)]
            status, _ = run(command(folder))
            if status:
                wrong.append(f"{name} {number}: running it again gave exit code {status}")
            wrong += [f"{name} {number}, again: {problem}" for problem in damages(folder) + missing(folder, name)]
            if name == "train" and not all(map(np.array_equal, weights(folder), weights(calm))):
                wrong.append(f"train {number}: other weights than undisturbed")
    wrong += [f"{name}: killed {n} times only" for name, n in kills.items() if n < arguments.times]
    print(json.dumps({"kills": kills, "seconds": seconds, "wrong": wrong}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
