#!/usr/bin/env python3
"""TensorFlow's own kernels and those of oneDNN in turns: training speed, and the time of a single image.

    python tools/benchmarks/training_kernels.py [--rounds 3] [--seconds 8]

TensorFlow reads the setting (`TF_ENABLE_ONEDNN_OPTS`) once, so each figure comes from a process of its own. Prints one
line of JSON a network, both ways: images a second of each round of training, the median over the rounds of their ratio,
and milliseconds for one image alone, the median of each round.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np

from edgeclf.measure.machine import ONEDNN_VARIABLE, describe_machine

NETWORKS = (
    ("cnn", 32, None, 64),
    ("resnet8", 32, None, 64),
    ("resnet20", 32, None, 64),
    ("mobilenet-v1", 96, 0.25, 32),
    ("mobilenet-v1", 128, 0.5, 32),
    ("mobilenet-v2", 160, 0.35, 32),
    ("mobilenet-v2", 160, 1.0, 32),
    ("efficientnet-lite0", 160, None, 32),
)
WARM_UP = 3
SINGLE_IMAGES = 30


def measure(name: str, size: int, width: float | None, batch: int, seconds: float) -> tuple[float, float]:
    """Train on one batch again and again; return the images a second, and the milliseconds for one image alone."""
    from edgeclf.training.networks import NetworkSettings
    from edgeclf.training.networks.building import build_network

    import tensorflow as tf  # isort: skip  (after edgeclf.training has set its environment)
    import tf_keras  # isort: skip

    model = build_network(name, NetworkSettings(size, 10, width))
    model.compile(tf_keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True), "sparse_categorical_crossentropy")
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (batch, size, size, 3), np.uint8)
    labels = random.integers(0, 10, batch)
    for _ in range(WARM_UP):
        model.train_on_batch(images, labels)
    steps, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        model.train_on_batch(images, labels)
        steps += 1
    speed = steps * batch / (time.perf_counter() - started)
    single = tf.function(model, reduce_retracing=True)
    times = []
    for _ in range(WARM_UP + SINGLE_IMAGES):
        started = time.perf_counter()
        single(tf.constant(images[:1])).numpy()
        times.append(time.perf_counter() - started)
    return round(speed, 1), round(1e3 * statistics.median(times[WARM_UP:]), 2)


def in_own_process(place: int, seconds: float, value: str) -> tuple[float, float]:
    command = [sys.executable, __file__, "--only", str(place), "--seconds", str(seconds)]
    done = subprocess.run(
        command, env={**os.environ, ONEDNN_VARIABLE: value}, stdout=subprocess.PIPE, check=True, text=True
    )
    speed, milliseconds = json.loads(done.stdout)
    return speed, milliseconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each way in each round")
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only is not None:
        print(json.dumps(measure(*NETWORKS[arguments.only], arguments.seconds)))
        return
    print(json.dumps(describe_machine().to_dict()), flush=True)
    for place, (name, size, width, batch) in enumerate(NETWORKS):
        found: dict[str, list[tuple[float, float]]] = {"tensorflow": [], "onednn": []}
        for _ in range(arguments.rounds):
            for way, value in (("tensorflow", "0"), ("onednn", "1")):
                found[way].append(in_own_process(place, arguments.seconds, value))
        speeds, times = ({way: [row[k] for row in rows] for way, rows in found.items()} for k in (0, 1))
        ratio = statistics.median(b / a for a, b in zip(speeds["tensorflow"], speeds["onednn"], strict=True))
        row = {"network": name, "image_size": size, "width": width, "batch": batch, "images_a_second": speeds}
        print(json.dumps({**row, "ratio": round(ratio, 2), "one_image_ms": times}), flush=True)


if __name__ == "__main__":
    main()
