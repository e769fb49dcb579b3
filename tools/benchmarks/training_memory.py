#!/usr/bin/env python3
"""Anonymous memory of a whole training on 60,000 images of 96x96, above TensorFlow's own.

    python tools/benchmarks/training_memory.py FOLDER_FOR_THE_FILES [--images 60000] [--epochs 1] [--side 160]

Writes the images as files (uncompressed bitmaps of noise, 28 kB each of 96x96), and runs `edgeclf train` on them in
this process: listing, hashing, decoding into the cache (which lies in the folder too), training, evaluation, plots.
Prints as JSON the peak of `RssAnon` minus that after TensorFlow's start, in bytes, and the limit. The folder needs
3.4 GB for a while, with `--side 160` 9.3 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import threading
from pathlib import Path

import cv2
import numpy as np

LIMIT = 1_500_000_000
CLASSES = 10


def anonymous_bytes() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def write_images(folder: Path, count: int, side: int) -> None:
    random = np.random.default_rng(0)
    for label in range(CLASSES):
        (folder / f"class{label}").mkdir(parents=True)
        for number in range(label, count, CLASSES):
            pixels = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
            cv2.imwrite(str(folder / f"class{label}" / f"{number}.bmp"), pixels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--side", type=int, default=96, help="of the images and the input")
    arguments = parser.parse_args()
    side = arguments.side
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    os.environ["EDGECLF_CACHE"] = str(folder / "cache")
    from edgeclf import train
    from edgeclf.training.config import TrainConfig
    from edgeclf.training.networks import NetworkSettings
    from edgeclf.training.networks.building import build_network

    try:
        write_images(folder / "photos", arguments.images, side)
        # TensorFlow's own: threads and kernels come with the first step.
        started = build_network("mobilenet-v1", NetworkSettings(side, CLASSES, width=0.05))
        started.compile("sgd", "categorical_crossentropy")
        started.fit(np.zeros((128, side, side, 3), np.float32), np.zeros((128, CLASSES), np.float32), verbose=0)
        before, peak, done = anonymous_bytes(), 0, threading.Event()

        def watch() -> None:
            nonlocal peak
            while not done.wait(0.02):
                peak = max(peak, anonymous_bytes())

        watcher = threading.Thread(target=watch)
        watcher.start()
        config = TrainConfig(
            model="mobilenet-v1",
            width=0.05,
            image_size=side,
            epochs=arguments.epochs,
            batch_size=128,
            augment="standard",
            weights="none",
        )
        try:
            report = train(folder / "photos", config, out=folder / "run")
        finally:
            done.set()
            watcher.join()
    finally:
        shutil.rmtree(folder)
    above = peak - before
    document = {"images": arguments.images, "side": side, "epochs": report.epochs, "peak_bytes_above_start": above}
    print(json.dumps(document | {"limit_bytes": LIMIT, "within": above < LIMIT}))


if __name__ == "__main__":
    main()
