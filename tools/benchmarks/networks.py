#!/usr/bin/env python3
"""Trains, compresses and measures every network: one table of what each is worth on the same images and minutes.

    python tools/benchmarks/networks.py --small CIFAR10 --photos CLOTHING --out FOLDER [--minutes 15]
        [--networks vgg qarepvgg] [--start resnet50v2=FILE.h5] [--document docs/networks.md]

Networks are trained from scratch on a draw of `--images` training images of `--small` (with `train/` and `test/`), and
validated on images that are split off them; those that make sense by transfer alone on `--photos`, from `--start` or
whatever weights are in reach. Each trains for as many epochs as fit into `--minutes` by a short training on fewer
images, becomes int8 by post-training quantization and, where it can, by quantization-aware training, and is benched on
the test images.

A network whose result lies in FOLDER is not trained again. FOLDER/networks.json has all figures, FOLDER/networks.md the
table; `--document` puts the table into a page, between its lines `<!-- measured -->` and `<!-- end -->`.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import edgeclf
from edgeclf import atomic
from edgeclf.dataset import probe
from edgeclf.errors import EdgeclfError, InputError, ModelError
from edgeclf.measure.machine import describe_machine
from edgeclf.training.networks import NETWORKS, find_network

BATCH = 64
MOST_EPOCHS, MOST_TRANSFER_EPOCHS = 60, 12
TIMED_IMAGES = 2_000
"""Training images of the short training that tells the time of an epoch."""
SLACK = 1.25
"""A schedule that is cut short never comes to its low rates: a little longer is allowed."""
FIVE_STRIDES, ENLARGED = 32, 96
"""Networks that halve the image five times leave nothing of 32 pixels: they get it enlarged."""
TRAINING_FRACTION = 0.8
"""Of all photos, those that are trained on, about."""
MARKS = ("<!-- measured -->", "<!-- end -->")


@dataclass(frozen=True)
class Deadline:
    """Ends a training that turned out much slower than measured, after the epoch in which its time was over."""

    end: float

    def on_epoch_end(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        return time.monotonic() > self.end


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=Path, help="small images: a folder with train/ and test/")
    parser.add_argument("--photos", type=Path, help="photos, for networks that make sense by transfer alone")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), metavar="NAME")
    parser.add_argument("--images", type=int, default=10_000, help="training images drawn from --small")
    parser.add_argument("--test-images", type=int, help="of --small; all unless given")
    parser.add_argument("--seed", type=int, default=0, help="of the draw and of the training")
    parser.add_argument("--minutes", type=float, default=15.0, help="for the training of a network")
    parser.add_argument("--epochs", type=int, help="instead of as many as fit into --minutes")
    parser.add_argument("--qat-epochs", type=int, default=3)
    parser.add_argument("--start", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--document", type=Path, help="page whose table is renewed")
    arguments = parser.parse_args()
    starts = dict(start.split("=", 1) for start in arguments.start)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.networks:
        result = arguments.out / f"{name}.json"
        source = arguments.photos if find_network(name).transfer_only else arguments.small
        if result.exists() or source is None:
            print(f"{name}: {'has a result' if result.exists() else 'no images given'}, left out", flush=True)
            continue
        row = measure_network(name, source, starts.get(name), arguments)
        atomic.write_text(result, json.dumps(row))
        print(json.dumps(row), flush=True)
    write_tables(arguments)


def draw(source: Path, arguments: argparse.Namespace, images: int, test_images: int | None) -> Path:
    """Write a manifest of the drawn training and test images (None: all), which seed and counts determine."""
    manifest: Path = arguments.out / f"{source.name}-{images}-seed{arguments.seed}.csv"
    if manifest.exists():
        return manifest
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(("path", "label", "split"))
    for split, count in (("train", images), ("test", test_images)):
        files = sorted(path for path in (source / split).glob("*/*") if path.is_file())
        random = np.random.default_rng(arguments.seed)
        wanted = len(files) if count is None else min(count, len(files))
        chosen = sorted(random.choice(len(files), wanted, replace=False))
        rows.writerows((files[i].resolve(), files[i].parent.name, split) for i in chosen)
    atomic.write_text(manifest, text.getvalue())
    return manifest


def measure_network(name: str, source: Path, start: str | None, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train, compress and bench one network."""
    transfer, run = find_network(name).transfer_only, arguments.out / name
    data = source if transfer else draw(source, arguments, arguments.images, arguments.test_images)
    found = probe(data)
    images = round(TRAINING_FRACTION * found.images) if transfer else arguments.images
    size = find_network(name).default_size(min(found.median_height, found.median_width))
    if find_network(name).multiple == FIVE_STRIDES:
        size = max(size, ENLARGED)
    weights = start or ("auto" if transfer else "none")
    settings = {"model": name, "image_size": size, "batch_size": BATCH, "weights": weights, "seed": arguments.seed}
    chosen = arguments.out / f"{name}-epochs.txt"  # an interrupted training goes on with the same schedule
    if not chosen.exists():
        epochs = arguments.epochs or choose_epochs(source, images, settings, arguments)
        atomic.write_text(chosen, str(min(epochs, MOST_TRANSFER_EPOCHS) if transfer else epochs))
    trained = edgeclf.train(
        data,
        out=run,
        resume=True,
        epochs=int(chosen.read_text()),
        callbacks=[Deadline(time.monotonic() + 60 * arguments.minutes * SLACK)],
        **settings,
    )
    recipes, refused = compress(run, arguments)
    report = edgeclf.bench(run, data=data, out=run / "bench", overwrite=True)
    return {
        "network": name,
        "data": data.stem,
        "image_size": trained.image_size,
        "epochs": trained.epochs,
        "training_seconds": round(trained.seconds),
        "started_from": trained.started_from or "scratch",
        "parameters": trained.parameters,
        "float_top1": report.baseline.top1 if report.baseline else None,
        "test_images": report.data.images if report.data else None,
        "models": {recipes[Path(model.path).name]: describe(model) for model in report.models},
        "qat_refused": refused,
        "machine": describe_machine().processor,
    }


def choose_epochs(source: Path, images: int, settings: dict[str, Any], arguments: argparse.Namespace) -> int:
    """Choose the number of epochs that fit into the minutes, by the second epoch of a training on fewer images."""
    data = draw(source, arguments, min(TIMED_IMAGES, images), test_images=BATCH)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        edgeclf.train(data, out=run, epochs=2, **settings)
        with (run / "history.csv").open() as stream:
            *_, last = csv.DictReader(stream)
    seconds = float(last["seconds"]) * images / min(TIMED_IMAGES, images)
    return int(min(MOST_EPOCHS, max(1, 60 * arguments.minutes / seconds)))


def compress(run: Path, arguments: argparse.Namespace) -> tuple[dict[str, str], str | None]:
    """Make the float, the int8 and, where it can be, the quantization-aware model.

    Returns:
        recipe by file name, and why quantization-aware training cannot be.
    """
    made = edgeclf.compress(run, recipes=["float32", "int8"], speed=False, overwrite=True, seed=arguments.seed).models
    refused = None
    try:
        trained = edgeclf.compress(
            run, recipes=["qat-int8"], qat_epochs=arguments.qat_epochs, speed=False, overwrite=True, seed=arguments.seed
        )
        made = (*made, *trained.models)
    except (ModelError, InputError) as error:
        refused = str(error)
    return {Path(model.path).name: model.recipe for model in made}, refused


def describe(model: Any) -> dict[str, Any]:
    return {
        "top1": model.top1,
        "difference": model.difference,
        "difference_interval": model.difference_interval,
        "size_bytes": model.size_bytes,
        "median_ms": model.latency_ms.median,
        "parameters": model.parameters,
        "macs": model.macs,
    }


def write_tables(arguments: argparse.Namespace) -> None:
    """Write what was measured so far as JSON and Markdown, and into the page."""
    rows = [json.loads(path.read_text()) for name in NETWORKS if (path := arguments.out / f"{name}.json").exists()]
    table = make_table(rows)
    atomic.write_text(arguments.out / "networks.json", json.dumps({"draw_seed": arguments.seed, "networks": rows}))
    atomic.write_text(arguments.out / "networks.md", table)
    if arguments.document is not None:
        before, _, rest = arguments.document.read_text().partition(MARKS[0])
        _, _, after = rest.partition(MARKS[1])
        atomic.write_text(arguments.document, f"{before}{MARKS[0]}\n{table}{MARKS[1]}{after}")


def make_table(rows: list[dict[str, Any]]) -> str:
    """Make the Markdown table, and the sentence that compares RepVGG with QARepVGG."""
    lines = [
        "| network | data | input | epochs | float top-1 | int8 top-1 | int8 after QAT | int8 file | float median "
        "| int8 median |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        models = row["models"]
        float32, int8, qat = (models.get(recipe, {}) for recipe in ("float32", "int8", "qat-int8"))
        cells = (
            f"`{row['network']}`",
            f"{row['data']}, from {row['started_from']}",
            f"{row['image_size']}",
            f"{row['epochs']}",
            fraction(row["float_top1"]),
            fraction(int8.get("top1")),
            fraction(qat.get("top1")),
            f"{int8['size_bytes']:,} B" if int8 else "–",
            *(f"{part['median_ms']:.3g} ms" if part else "–" for part in (float32, int8)),
        )
        lines.append("| " + " | ".join(cells) + " |")
    losses = {row["network"]: row["models"].get("int8", {}).get("difference") for row in rows}
    pair = [losses.get(name) for name in ("repvgg", "qarepvgg")]
    if None not in pair:
        shown = [f"{100 * float(loss):+.1f}" for loss in pair if loss is not None]
        lines += ["", f"Int8 minus float, percentage points: RepVGG {shown[0]}, QARepVGG {shown[1]}."]
    return "\n".join(lines) + "\n"


def fraction(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


if __name__ == "__main__":
    try:
        main()
    except EdgeclfError as error:
        raise SystemExit(f"error: {error}") from None
