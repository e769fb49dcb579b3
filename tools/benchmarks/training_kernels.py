#!/usr/bin/env python3
"""Training speed with TensorFlow's own kernels and with those of oneDNN, network by network, in turns.

    python tools/benchmarks/training_kernels.py [--rounds 3] [--seconds 8]

TensorFlow reads the setting once, so each figure comes from a process of its own. Prints one line of JSON a network:
images a second of each round, both ways, and the median over the rounds of the ratio. `edgeclf.graph` decides by it.
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

from edgeclf.measure.machine import describe_machine

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
NETWORKS = (
    ("cnn", 32, None, 64),
    ("resnet8", 32, None, 64),
    ("resnet20", 32, None, 64),
    ("mobilenet-v1", 96, 0.25, 32),
    ("mobilenet-v2", 160, 0.35, 32),
    ("mobilenet-v2", 160, 1.0, 32),
    ("efficientnet-lite0", 160, None, 32),
)
WARM_UP = 3


def images_a_second(name: str, size: int, width: float | None, batch: int, seconds: float) -> float:
    """Train on one batch again and again, and return the images a second."""
    from edgeclf.training.networks import NetworkSettings
    from edgeclf.training.networks.building import build_network

    import tf_keras  # isort: skip  (after edgeclf.training has set TensorFlow's environment)

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
    return steps * batch / (time.perf_counter() - started)


def in_own_process(place: int, seconds: float, value: str) -> float:
    command = [sys.executable, __file__, "--only", str(place), "--seconds", str(seconds)]
    done = subprocess.run(command, env={**os.environ, VARIABLE: value}, stdout=subprocess.PIPE, check=True, text=True)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each way in each round")
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only is not None:
        print(images_a_second(*NETWORKS[arguments.only], arguments.seconds))
        return
    print(json.dumps(describe_machine().to_dict()), flush=True)
    for place, (name, size, width, batch) in enumerate(NETWORKS):
        found: dict[str, list[float]] = {"tensorflow": [], "onednn": []}
        for _ in range(arguments.rounds):
            for way, value in (("tensorflow", "0"), ("onednn", "1")):
                found[way].append(round(in_own_process(place, arguments.seconds, value), 1))
        ratio = statistics.median(b / a for a, b in zip(found["tensorflow"], found["onednn"], strict=True))
        row = {"network": name, "image_size": size, "width": width, "batch": batch, "images_a_second": found}
        print(json.dumps({**row, "ratio": round(ratio, 2)}), flush=True)


if __name__ == "__main__":
    main()
