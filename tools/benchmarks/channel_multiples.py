#!/usr/bin/env python3
"""Times int8 convolutions of many widths in turns: which channel counts the runtime's kernels like on this machine.

    python tools/benchmarks/channel_multiples.py [--side 16] [--widths 8 12 16 ...] [--rounds 30]

For each width one model with three layers of that many channels is made: 3x3 convolutions, 1x1 convolutions, or
depthwise 3x3 convolutions, at SIDE x SIDE pixels. All models take turns in rounds on one thread, and the fastest burst
of each counts, so that other programs on the machine matter less. Printed is the time of a layer, and its time for each
multiply-accumulate relative to the best width of the same kind: 1.00 is a width that wastes nothing.

Measured at 16x16 pixels with ai-edge-litert 2.3.0 on an AMD EPYC with AVX-512 VNNI, while other programs ran (fastest
bursts of 15 rounds): times rise in steps of 16 output channels. A 3x3 layer of 12 channels takes as long as one of 16
(3.4 microseconds), one of 20 as long as one of 24 (9.1), against 11.8 for 32; a 1x1 layer of 20 or 24 takes 2.3 to 2.4
microseconds, one of 32 takes 2.6. The time for each multiply-accumulate at 16, 24, 32 and 48 channels is 1.22, 1.43,
1.04 and 1.00 times the best for 3x3 layers, and 2.15, 1.94, 1.24 and 1.00 for 1x1 layers. Hence the default of 16 in
`edgeclf.compression.steps.shrink`. Nothing is claimed for other processors.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np

from edgeclf.artifact.macs import count_macs
from edgeclf.artifact.model_file import ModelFile
from edgeclf.compression import TFLite  # sets what TensorFlow reads when it is imported
from edgeclf.inference.engine import find_engine
from edgeclf.measure.latency import burst, warm_session
from edgeclf.measure.machine import describe_machine
from edgeclf.measure.stopwatch import undisturbed

import tensorflow as tf  # isort: skip
import tf_keras  # isort: skip

layers = tf_keras.layers
WIDTHS = (4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 36, 40, 48, 56, 64, 72, 80, 96)
LAYERS = 3
KINDS = {
    "3x3": lambda width: layers.Conv2D(width, 3, padding="same", activation="relu"),
    "1x1": lambda width: layers.Conv2D(width, 1, activation="relu"),
    "depthwise": lambda width: layers.DepthwiseConv2D(3, padding="same", activation="relu"),
}


def make_model(kind: str, width: int, side: int) -> ModelFile:
    """Convert three layers with random weights to int8, input and output included."""
    inputs = x = layers.Input((side, side, width))
    for _ in range(LAYERS):
        x = KINDS[kind](width)(x)
    random = np.random.default_rng(0)
    converter = tf.lite.TFLiteConverter.from_keras_model(tf_keras.Model(inputs, x))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [random.uniform(-1, 1, (1, side, side, width)).astype(np.float32)] for _ in range(2)
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    content = bytes(converter.convert())
    tf_keras.backend.clear_session()
    return ModelFile(content, f"{kind}-{width}{TFLite.suffix}")


def time_in_turns(files: list[ModelFile], rounds: int) -> list[float]:
    """Return the fastest burst's median of each model, microseconds."""
    sessions: list[Any] = [find_engine("litert").open(file, threads=1) for file in files]
    with undisturbed():
        calls = [max(5, round(0.005 / warm_session(session, 0.1)[2])) for session in sessions]
        best = [float("inf")] * len(files)
        order = np.random.default_rng(0)
        for _ in range(rounds):
            for place in order.permutation(len(files)):
                median = float(np.median(burst(sessions[place].invoke, calls[place]))) / 1e3
                best[place] = min(best[place], median)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=16)
    parser.add_argument("--widths", type=int, nargs="+", default=list(WIDTHS))
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    print(json.dumps(describe_machine().to_dict()))
    for kind in arguments.kinds:
        files = [make_model(kind, width, arguments.side) for width in arguments.widths]
        times = time_in_turns(files, arguments.rounds)
        each = [time / count_macs(file.graph) for time, file in zip(times, files, strict=True)]
        print(f"{kind} at {arguments.side}x{arguments.side}: channels, microseconds a layer, time a MAC (best 1.00)")
        for width, time, cost in zip(arguments.widths, times, each, strict=True):
            print(f"{width:6d} {time / LAYERS:9.2f} {cost / min(each):8.2f}", flush=True)


if __name__ == "__main__":
    main()
