#!/usr/bin/env python3
"""What a change of a data set costs: files read, photos decoded and seconds, in turns against another tree.

    python tools/benchmarks/image_store.py CLOTHING_FOLDER [--many CIFAR10_JPEG_FOLDER] [--old OLD_TREE] [--rounds 3]

Each load is a process of its own, with a cache that only its tree uses. Both trees load the same copy of the folder,
made in a temporary folder. `cold`: an empty cache; `warm`: nothing has changed; `added`: one photo more; `renamed`: a
class folder has another name. Files and decodes are counted in loads that are not timed, by wrapping `open` and
OpenCV. Prints one line of JSON: medians over the rounds, wall and processor seconds of `load_dataset` alone. Files come
from the page cache, since both trees read the same ones.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2

ROOT = Path(__file__).resolve().parents[2]
WARM_LOADS = 6
SETTLED_SECONDS = 2.1  # files written less than two seconds before a load are read again by the next
LOAD = """
import builtins, io, json, os, sys, time
import cv2
import edgeclf
from edgeclf.dataset import load_dataset
folder, size, counted = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "count"
opened, decoded = [], []
def wrap(module, name, calls):
    real = getattr(module, name)
    def spy(*given, **named):
        calls.append(given[0])
        return real(*given, **named)
    setattr(module, name, spy)
if counted:
    for module in (builtins, io, os):
        wrap(module, "open", opened)
    wrap(cv2, "imread", opened)
    wrap(cv2, "imread", decoded)
    wrap(cv2, "imdecode", decoded)
started, worked = time.perf_counter(), time.process_time()
data = load_dataset(folder, image_size=size)
figures = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - worked}
if counted:
    photos = [str(path) for path in opened if isinstance(path, (str, os.PathLike)) and str(path).startswith(folder)]
    figures = {"files": len(set(photos)), "reads": len(photos), "decodes": len(decoded)}
print(json.dumps(figures | {"fingerprint": data.fingerprint, "tree": edgeclf.__file__}))
"""


class Tree:
    """One version of edgeclf and its cache."""

    def __init__(self, path: Path, cache: Path, size: int) -> None:
        self.path, self.cache, self.size = path, cache, size

    def load(self, folder: Path, mode: str) -> dict[str, Any]:
        environment = {**os.environ, "PYTHONPATH": str(self.path), "EDGECLF_CACHE": str(self.cache)}
        command = [sys.executable, "-c", LOAD, str(folder), str(self.size), mode]
        # From another folder, since Python looks in the current one before PYTHONPATH.
        done = subprocess.run(command, env=environment, cwd="/", stdout=subprocess.PIPE, text=True, check=True)
        figures = dict(json.loads(done.stdout))
        assert Path(figures.pop("tree")).is_relative_to(self.path), "another edgeclf was loaded"
        return figures

    def forget(self) -> None:
        shutil.rmtree(self.cache, ignore_errors=True)


class Photos:
    """A copy of a data set that changes."""

    def __init__(self, source: Path, target: Path) -> None:
        shutil.copytree(source, target)
        self.folder, self.added, self.renamed = target, 0, 0
        self.examples = sorted(target.rglob("*.jpg"))
        self.name = self.examples[0].parent.name

    def add(self) -> None:
        """Add a photo that is not there yet."""
        self.added += 1
        example = self.examples[self.added]
        pixels = cv2.imread(str(example))
        cv2.imwrite(str(example.with_name(f"added{self.added}.jpg")), 255 - pixels)

    def rename(self) -> None:
        """Give the first class another name, in all splits."""
        self.renamed += 1  # first in the order of the classes, and last
        name = f"{'az'[self.renamed % 2]}-renamed{self.renamed}"
        for folder in [path for path in self.folder.rglob(self.name) if path.is_dir()]:
            folder.rename(folder.with_name(name))
        self.examples = sorted(self.folder.rglob("*.jpg"))
        self.name = name


def measure(trees: dict[str, Tree], photos: Photos, rounds: int, changes: bool) -> dict[str, Any]:
    """Figures of each case and tree."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}

    def load(case: str, mode: str, number: int) -> None:
        order = list(trees) if number % 2 else list(reversed(trees))
        figures = {name: trees[name].load(photos.folder, mode) for name in order}
        assert len({one["fingerprint"] for one in figures.values()}) == 1, f"{case}: the trees disagree"
        for name in order:
            found.setdefault(case, {}).setdefault(name, []).append(figures[name])

    for number in range(rounds):
        for tree in trees.values():
            tree.forget()
        load("cold", "time", number)
        for again in range(WARM_LOADS):
            load("warm", "time", again)
        if changes:
            photos.add()
            load("added", "time", number)
            time.sleep(SETTLED_SECONDS)
            load("between", "time", number)
            photos.rename()
            load("renamed", "time", number)
            load("between", "time", number)
    for case in ("cold", "warm", "added", "between", "renamed") if changes else ("cold", "warm"):
        if case == "cold":
            for tree in trees.values():
                tree.forget()
        elif case == "added":
            photos.add()
        elif case == "between":
            time.sleep(SETTLED_SECONDS)
        elif case == "renamed":
            photos.rename()
        load(case, "count", 0)
    found.pop("between", None)
    return {case: {name: summarize(figures) for name, figures in by.items()} for case, by in found.items()}


def summarize(figures: list[dict[str, Any]]) -> dict[str, float]:
    """Medians of the timed loads, and the counts of the counted one."""
    timed = [one for one in figures if "seconds" in one]
    medians = {key: round(statistics.median(one[key] for one in timed), 3) for key in ("seconds", "cpu_seconds")}
    return medians | {key: figures[-1][key] for key in ("files", "reads", "decodes")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="photos, in which one is added and a class is renamed")
    parser.add_argument("--many", type=Path, help="many small files, loaded cold and warm")
    parser.add_argument("--old", type=Path, help="another checkout to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    document: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        paths = {"new": ROOT} | ({"old": arguments.old.resolve()} if arguments.old else {})
        for source, size, changes in ((arguments.folder, 96, True), (arguments.many, 32, False)):
            if source is None:
                continue
            photos = Photos(source, Path(temporary) / source.name)
            time.sleep(SETTLED_SECONDS)
            trees = {name: Tree(path, Path(temporary) / "cache" / name, size) for name, path in paths.items()}
            document[source.name] = measure(trees, photos, arguments.rounds, changes)
    print(json.dumps(document))


if __name__ == "__main__":
    main()
