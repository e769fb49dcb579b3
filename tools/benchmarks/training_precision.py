#!/usr/bin/env python3
"""Training speed in bfloat16, and with XLA, against float32, network by network, in turns.

    python tools/benchmarks/training_precision.py [--rounds 3] [--seconds 4] [--xla]

Prints one line of JSON a network: images a second of the best round of each way, and the median over the rounds of the
ratio to float32. `edgeclf.training.precision` decides by these figures.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time

import numpy as np

from edgeclf.measure.machine import ONEDNN_VARIABLE
from edgeclf.training.networks import NetworkSettings
from edgeclf.training.networks.building import build_network

# as `edgeclf train` does, before TensorFlow is imported
os.environ.setdefault(ONEDNN_VARIABLE, "1")
import tf_keras  # isort: skip  (after edgeclf.training has set TensorFlow's environment)

BATCH = 64
NETWORKS = (
    ("cnn", 32, None),
    ("resnet8", 32, None),
    ("resnet9", 32, 0.5),
    ("resnet8-swish", 32, 1.0),
    ("resnet10", 32, None),
    ("resnet20", 32, None),
    ("resnet32", 32, None),
    ("allconv", 32, None),
    ("vgg", 32, 0.5),
    ("inception", 32, None),
    ("qarepvgg", 32, 0.25),
    ("repvgg", 32, 0.25),
    ("mobilenet-v1", 96, 0.25),
    ("mobilenet-v1", 96, 1.0),
    ("mobilenet-v2", 96, 0.35),
)
PLAIN = (("float32", False), ("mixed_bfloat16", False))
XLA = (("float32", True), ("mixed_bfloat16", True))


def compiled(name: str, size: int, width: float | None, policy: str, xla: bool) -> tf_keras.Model:
    tf_keras.mixed_precision.set_global_policy(policy)
    try:
        model = build_network(name, NetworkSettings(size, 10, width))
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
    optimizer = tf_keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True)
    model.compile(optimizer, "categorical_crossentropy", jit_compile=xla)
    return model


def images_a_second(model: tf_keras.Model, steps: int) -> float:
    side = model.input_shape[1]
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (steps * BATCH, side, side, 3), np.uint8)
    targets = np.eye(10, dtype=np.float32)[random.integers(0, 10, steps * BATCH)]
    started = time.perf_counter()
    model.fit(images, targets, batch_size=BATCH, verbose=0)
    return steps * BATCH / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each way in each round, about")
    parser.add_argument("--xla", action="store_true", help="compiled steps as well")
    arguments = parser.parse_args()
    ways = PLAIN + XLA * arguments.xla
    for name, size, width in NETWORKS:
        models = {way: compiled(name, size, width, *way) for way in ways}
        for model in models.values():  # what is traced and compiled is not timed
            images_a_second(model, 2)
        steps = max(2, round(images_a_second(models[ways[0]], 5) * arguments.seconds / BATCH))
        rates: dict[tuple[str, bool], list[float]] = {way: [] for way in ways}
        for _ in range(arguments.rounds):
            for way, model in models.items():
                rates[way].append(images_a_second(model, steps))
        plain = rates[ways[0]]
        row = {}
        for (policy, xla), found in rates.items():
            ratio = statistics.median(one / other for one, other in zip(found, plain, strict=True))
            row[policy + (" xla" if xla else "")] = {"images_a_second": round(max(found)), "ratio": round(ratio, 2)}
        print(json.dumps({"network": name, "image_size": size, "width": width, **row}), flush=True)


if __name__ == "__main__":
    main()
