#!/usr/bin/env python3
"""How like the int8 file's class activation map is to Grad-CAM of the float network, and what `live --heatmap` costs.

    python tools/benchmarks/heatmaps.py RUN PHOTOS [--count 10] [--out FOLDER] [--frames 200]

RUN is a run folder with a compressed model. PHOTOS are class folders, those below `test` where there is one; the photos
are spread over them. Prints a line a photo: the class of the map (the int8 file's best), both probabilities, Pearson's
correlation of the positive parts of the two maps. Then the medians of one frame with one thread: the file alone, with
the feature map as an output, the map itself, and drawing it over 640 x 480 pixels, which a thread of the page does.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import edgeclf
from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.model_file import ModelFile
from edgeclf.image.decoding import IMAGE_SUFFIXES, decode, fit_image
from edgeclf.image.heatmap import draw_map
from edgeclf.inference.activation_maps import MappingClassifier
from edgeclf.inference.classifier import Classifier
from edgeclf.measure.machine import describe_machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("photos", type=Path, metavar="PHOTOS")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--frames", type=int, default=200)
    arguments = parser.parse_args()
    print(json.dumps(describe_machine().to_dict()))
    chosen = choose_photos(arguments.photos, arguments.count)
    with tempfile.TemporaryDirectory() as temporary:
        out = arguments.out or Path(temporary) / "explained"
        report = edgeclf.explain(arguments.run, chosen, out=out)
    for photo in report.photos:
        row = {
            "photo": "/".join(Path(photo.path).parts[-2:]),
            "class": photo.label,
            "probabilities": [round(one.probability, 3) for one in photo.maps],
            "correlation": None if photo.correlation is None else round(photo.correlation, 4),
        }
        print(json.dumps(row))
    known = [photo.correlation for photo in report.photos if photo.correlation is not None]
    if known:
        spread = {"lowest": round(min(known), 4), "median": round(statistics.median(known), 4)}
        print(json.dumps({"photos": len(known), **spread}))
    print(json.dumps(time_frames(locate_model(arguments.run), chosen[0], arguments.frames)))


def choose_photos(folder: Path, count: int) -> list[str]:
    """Choose photos spread over the class folders."""
    root = folder / "test" if (folder / "test").is_dir() else folder
    found = sorted(str(path) for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    places = np.linspace(0, len(found) - 1, min(count, len(found))).astype(int)
    return [found[place] for place in dict.fromkeys(places.tolist())]


def time_frames(path: Path, photo: str, frames: int) -> dict[str, float]:
    """Time one frame with and without the map, in turns; medians in milliseconds."""
    file = ModelFile.read(path)
    plain, mapping = Classifier(file), MappingClassifier(file)
    image = fit_image(decode(photo), plain.input_shape)
    frame = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    best = int(mapping.scores(image).argmax())
    values = mapping.activation_map(best)
    timed: dict[str, Callable[[], object]] = {
        "plain_ms": lambda: plain.scores(image),
        "with_output_ms": lambda: mapping.scores(image),
        "map_ms": lambda: mapping.activation_map(best),
        "draw_ms": lambda: draw_map(frame, values, plain.input_shape, blue_first=True),
    }
    times: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(frames):
        for name, work in timed.items():
            began = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - began)
    return {name: round(1000 * statistics.median(each), 4) for name, each in times.items()}


if __name__ == "__main__":
    main()
