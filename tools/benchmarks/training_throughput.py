#!/usr/bin/env python3
"""Training speed, edgeclf's pipeline against plain Keras, in turns, so that a drifting machine hurts both alike.

    python tools/benchmarks/training_throughput.py small  CIFAR10_JPEG_FOLDER
    python tools/benchmarks/training_throughput.py photos CLOTHING_FOLDER [--image-size 160]

`small`: ResNet-8 at 32x32 with the standard augmentation, against `model.fit` of the same network on arrays in memory
without augmentation. `photos`: MobileNetV1 at 96x96 (`--image-size`) from files, against `image_dataset_from_directory`
with the same kinds of augmentation as Keras layers; the first epoch, which decodes, is not counted on either side.
Prints one line of JSON: images a second of each round, medians and their ratio (edgeclf over plain).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgeclf.dataset import load_dataset
from edgeclf.training.augmentation import LEVELS
from edgeclf.training.networks import NetworkSettings
from edgeclf.training.networks.building import build_network
from edgeclf.training.pipeline import TrainingBatches

import tf_keras  # isort: skip  (after edgeclf.training has set TensorFlow's environment)

BATCH = 128


def compiled(name: str, size: int, classes: int, sparse: bool) -> tf_keras.Model:
    model = build_network(name, NetworkSettings(size, classes))
    loss = "sparse_categorical_crossentropy" if sparse else "categorical_crossentropy"
    model.compile(tf_keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True), loss, weighted_metrics=["accuracy"])
    return model


def timed(fit: Callable[[], int]) -> float:
    started = time.perf_counter()
    images = fit()
    return images / (time.perf_counter() - started)


def small(folder: Path, steps: int, _: int) -> tuple[Callable[[], int], Callable[[], int]]:
    train = load_dataset(folder, image_size=32).splits["train"]
    ours, plain = (compiled("resnet8", 32, 10, sparse) for sparse in (False, True))
    batches = TrainingBatches(train, 10, BATCH, LEVELS["standard"], "none", 0)
    images, labels = train.images[: steps * BATCH], train.labels[: steps * BATCH]
    epoch = iter(range(1_000))

    def with_edgeclf() -> int:
        ours.fit(batches.epoch(next(epoch), 32).take(steps), verbose=0)
        return steps * BATCH

    def with_arrays() -> int:
        plain.fit(images, labels, batch_size=BATCH, verbose=0)
        return steps * BATCH

    return with_edgeclf, with_arrays


def photos(folder: Path, steps: int, size: int) -> tuple[Callable[[], int], Callable[[], int]]:
    train = load_dataset(folder, image_size=size).splits["train"]
    classes, batch = len(np.unique(train.labels)), 32
    ours, plain = (compiled("mobilenet-v1", size, classes, sparse) for sparse in (False, True))
    batches = TrainingBatches(train, classes, batch, LEVELS["standard"], "none", 0)
    layers = tf_keras.layers
    augmentation = tf_keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomTranslation(0.125, 0.125)])
    with contextlib.redirect_stdout(sys.stderr):
        files = tf_keras.utils.image_dataset_from_directory(folder / "train", image_size=(size, size), batch_size=batch)
    files = files.map(lambda x, y: (augmentation(x, training=True), y), num_parallel_calls=2).prefetch(2)
    epoch = iter(range(1_000))

    def with_edgeclf() -> int:
        ours.fit(batches.epoch(next(epoch), size).take(steps), verbose=0)
        return steps * batch

    def with_directory() -> int:
        plain.fit(files.take(steps), verbose=0)
        return steps * batch

    return with_edgeclf, with_directory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=["small", "photos"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=80, help="steps a round")
    parser.add_argument("--image-size", type=int, default=96, help="of photos")
    arguments = parser.parse_args()
    case = {"small": small, "photos": photos}[arguments.case]
    ours, plain = case(arguments.folder, arguments.steps, arguments.image_size)
    rounds = []
    for number in range(arguments.rounds + 1):
        pair = (timed(ours), timed(plain)) if number % 2 else tuple(reversed((timed(plain), timed(ours))))
        if number:  # the first round traces, decodes and warms up
            rounds.append(pair)
    edgeclf, other = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(a / b for a, b in rounds)
    print(json.dumps({"case": arguments.case, "edgeclf": edgeclf, "plain": other, "ratio": ratio, "rounds": rounds}))


if __name__ == "__main__":
    main()
