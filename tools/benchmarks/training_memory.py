#!/usr/bin/env python3
"""Anonymous memory of a training on 60,000 images of 96x96, above TensorFlow's own.

    python tools/benchmarks/training_memory.py FOLDER_FOR_THE_IMAGES

Makes the images (1.66 GB of noise, a memory-mapped file like the one that edgeclf decodes into), trains two epochs of a
small network on them in this process, and prints as JSON the peak of `RssAnon` minus that after TensorFlow's start, in
bytes, and the limit.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import numpy as np

from edgeclf.dataset.types import ImageView, Split
from edgeclf.training.augmentation import LEVELS
from edgeclf.training.networks import build_network
from edgeclf.training.pipeline import TrainingBatches

LIMIT = 1_500_000_000
COUNT = 60_000


def anonymous_bytes() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def main() -> None:
    path = Path(sys.argv[1]) / "images.npy"
    random = np.random.default_rng(0)
    stored = np.lib.format.open_memmap(path, "w+", np.uint8, (COUNT, 96, 96, 3))
    for start in range(0, COUNT, 1000):
        stored[start : start + 1000] = random.integers(0, 256, (1000, 96, 96, 3), dtype=np.uint8)
    stored.flush()
    images = ImageView(np.load(path, mmap_mode="r"), np.arange(COUNT))
    split = Split(images, random.integers(0, 10, COUNT), ("",) * COUNT, ("",) * COUNT)
    model = build_network("mobilenet-v1", image_size=96, classes=10, width=0.05)
    model.compile("sgd", "categorical_crossentropy")
    model(np.zeros((1, 96, 96, 3), np.float32))
    before, peak, done = anonymous_bytes(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.05):
            peak = max(peak, anonymous_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    batches = TrainingBatches(split, 10, 128, LEVELS["standard"], "none", 0)
    for epoch in range(2):
        model.fit(batches.epoch(epoch, 96), verbose=0)
    done.set()
    watcher.join()
    path.unlink()
    print(json.dumps({"peak_bytes_above_start": peak - before, "limit_bytes": LIMIT, "within": peak - before < LIMIT}))


if __name__ == "__main__":
    main()
