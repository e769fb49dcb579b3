#!/usr/bin/env python3
"""What the fit of pictures to the input is worth: the same training with stretched, cropped and padded pictures.

    python tools/benchmarks/fit.py PHOTOS [--fits stretch crop pad] [--seeds 3] [--epochs 20] [--image-size 160x96]
        [--set KEY=VALUE]

Prints one line of JSON a run, and a table at the end: top-1 on the validation split a seed, their mean, and the mean
difference from the first fit over the seeds. Which fit is better is to be decided on validation images, so those of the
test split are not shown. `aspect` counts how many pictures differ from the input's aspect ratio by more than a tenth:
where there are none, the fits are the same.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import edgeclf
from edgeclf.cli.values import parse_image_size, parse_settings
from edgeclf.dataset import load_dataset
from edgeclf.errors import ImageError
from edgeclf.image.decoding import image_size
from edgeclf.image.shape import FITS, check_image_size
from edgeclf.training.config import TrainConfig

_NEAR = 1.1


def main() -> None:
    arguments = _parse()
    found: dict[str, list[float]] = {}
    given = {"epochs": arguments.epochs, "image_size": arguments.image_size}
    settings = {name: value for name, value in given.items() if value is not None}
    settings |= parse_settings(arguments.set, TrainConfig)
    size = None
    # Seed by seed, so that what is ready early can be compared.
    for seed in range(arguments.seeds):
        for fit in arguments.fits:
            config = TrainConfig(**{"seed": seed, **settings, "fit": fit})
            with tempfile.TemporaryDirectory() as folder:
                report = edgeclf.train(arguments.photos, config, out=Path(folder) / "run")
            validation = report.metrics["validation"]
            assert validation is not None
            size = report.image_size
            found.setdefault(fit, []).append(validation.top1)
            row = {"fit": fit, "seed": seed, "model": report.model, "image_size": size, "seconds": report.seconds}
            row |= {"images": validation.images, "validation_top1": round(validation.top1, 4)}
            print(json.dumps(row), flush=True)
    if size is not None:
        print(json.dumps({"aspect": _count_other_aspects(arguments.photos, check_image_size(size))}), flush=True)
    _print_table(found)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--fits", nargs="+", choices=FITS, default=list(FITS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="default: chosen by the data")
    parser.add_argument("--image-size", type=lambda text: parse_image_size(text, "--image-size"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any other setting")
    return parser.parse_args()


def _count_other_aspects(photos: Path, size: tuple[int, int]) -> dict[str, int]:
    """Count the pictures whose aspect ratio is not that of the input."""
    paths = [path for split in load_dataset(photos, image_size=size).splits.values() for path in split.paths]
    counts = {"pictures": 0, "other_aspect": 0}
    for path in paths:
        try:
            height, width = image_size(path)
        except (ImageError, OSError):  # a named set has no files
            continue
        ratio = (width / height) / (size[1] / size[0])
        counts["pictures"] += 1
        counts["other_aspect"] += not 1 / _NEAR <= ratio <= _NEAR
    return counts


def _print_table(found: dict[str, list[float]]) -> None:
    first = next(iter(found.values()))
    print(f"{'fit':8} {'validation top-1, %, a seed':32} {'mean':>6} {'difference':>10}")
    for fit, scores in found.items():
        listed = " ".join(f"{100 * score:.2f}" for score in scores)
        difference = statistics.mean(a - b for a, b in zip(scores, first, strict=True))
        print(f"{fit:8} {listed:32} {100 * statistics.mean(scores):6.2f} {100 * difference:+10.2f}")


if __name__ == "__main__":
    main()
