#!/usr/bin/env python3
"""What int8 costs, by four ways from the same float networks and the same calibration images, side by side.

    python tools/benchmarks/quantization.py RUN... [--data DATA] [--draws 6] [--calibration 500] [--images 10000]
        [--splits validation test] [--methods converter edgeclf litert-quantizer] [--no-command]

`converter` is the TFLite converter's own post-training quantization. `edgeclf` is what `edgeclf compress --int8`
makes; `edgeclf:bias_correction=false,rounding=nearest` and the like are the same with other settings of the exporter.
`litert-quantizer` is Google's quantizer of float `.tflite` files (`static_wi8_ai8`), which `compress --to
litertquantizer` calls, where the package is installed.

Each of `--draws` calibration draws gives one model a method. Their seconds are those from the Keras network to the
bytes of the model, conversion included: on the clock, and of all processor cores. Prints one line of JSON a model, and
a table: the mean over the draws of the difference in top-1 from the float network on the same images, the interval of
the draw in the middle, the largest loss of a draw, and the mean divergence of the probabilities (Kullback and Leibler).
Choose between methods on validation or training images; the test split is for the report. Last, `edgeclf compress RUN
--int8` as a whole, which loads, measures accuracy and fits probabilities besides, is timed once a run, and both times
stand in relation to that of the converter alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import edgeclf
from edgeclf.artifact.model_file import ModelFile
from edgeclf.compression.export.calibration import draw_indices, full_range
from edgeclf.compression.export.litert_quantizer_format import LiteRTQuantizer
from edgeclf.compression.export.tflite import TFLite
from edgeclf.compression.step import StepContext
from edgeclf.dataset import load_dataset
from edgeclf.errors import EdgeclfError, MissingExtraError
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.inference.litert import LITERT
from edgeclf.measure.machine import describe_machine
from edgeclf.measure.paired_interval import difference_interval
from edgeclf.measure.statistics import discordant

import tensorflow as tf  # isort: skip  (after edgeclf.compression has set its environment)
from edgeclf.compression.export.converter import float_graph  # isort: skip
from edgeclf.graph.prepared_network import prepare_network  # isort: skip
from edgeclf.keras_files.loading import load_network  # isort: skip

METHODS = ("converter", "edgeclf", "litert-quantizer")
Quantize = Callable[[FloatNetwork, Any], bytes]


def by_converter(network: FloatNetwork, images: Any) -> bytes:
    """Quantize with the TFLite converter alone."""
    spec = tf.TensorSpec((1, network.input.height, network.input.width, 3), tf.uint8)
    function = tf.function(network.on_pixels, input_signature=[spec]).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], network.trackable)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    return bytes(converter.convert())


def by_edgeclf(settings: dict[str, Any]) -> Quantize:
    """Make a function that quantizes as `edgeclf compress --int8` does, with these settings of the exporter."""
    exporter = TFLite.from_dict(settings)
    return lambda network, images: exporter.export(network, StepContext(network, calibration_images=images)).content


def by_litert_quantizer(network: FloatNetwork, images: Any) -> bytes:
    """Quantize as `edgeclf compress --to litertquantizer` does."""
    return LiteRTQuantizer().export(network, StepContext(network, calibration_images=images)).content


def method(name: str) -> Quantize:
    """Return what a method's name stands for."""
    if name == "converter":
        return by_converter
    if name == "litert-quantizer":
        return by_litert_quantizer
    kind, _, text = name.partition(":")
    if kind != "edgeclf":
        raise SystemExit(f"--methods takes {', '.join(METHODS)} and edgeclf:KEY=VALUE,..., got {name}")
    pairs = [pair.partition("=") for pair in text.split(",") if pair]
    return by_edgeclf({key: {"true": True, "false": False}.get(value, value) for key, _, value in pairs})


def predict(content: bytes, images: Any, input_max: float) -> Any:
    """Return a model's probabilities of uint8[n, H, W, 3]: float64[n, classes]. Float inputs take 0 to `input_max`."""
    session = LITERT.open(ModelFile(content, "model"))
    spec, scale = session.input, np.float32(input_max / 255)
    output = session.output

    def enter(image: Any) -> Any:
        if spec.dtype == "uint8":
            return image[None]
        if spec.dtype == "float32":
            return image[None].astype(np.float32) * scale
        return (image[None].astype(np.int16) - 128).astype(np.int8)

    found = np.stack([np.asarray(session.run(enter(image)), np.float64).ravel() for image in images])
    return (found - output.zero_point) * output.scale if output.scale else found


def divergence(plain: Any, found: Any) -> float:
    """Return the mean Kullback-Leibler divergence of probabilities from those of the float network, in nats."""
    least = 1 / 512  # half a step of an output in 8 bits
    return float((plain * np.log(np.maximum(plain, least) / np.maximum(found, least))).sum(axis=1).mean())


def measure(run: Path, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Quantize one run by each method and draw, and compare with its float network."""
    loaded = load_network(run)
    prepared = prepare_network(loaded.network)
    record = {} if loaded.run is None else loaded.run.run_json.get("data", {})
    seed = record.get("split_seed")
    data = load_dataset(
        arguments.data or record["source"],
        image_size=prepared.input.shape.size,
        fit=prepared.input.shape.fit,
        **({} if seed is None else {"split_seed": int(seed)}),
    )
    train = data.splits["train"]
    splits = {}
    for name in arguments.splits:
        split = data.splits[name]
        rows = np.linspace(0, len(split) - 1, min(arguments.images, len(split))).astype(np.int64)
        splits[name] = (np.asarray(split.images[rows]), np.asarray(split.labels[rows]))
    plain = float_graph(prepared)
    before = {name: predict(plain, images, prepared.input_max) for name, (images, _) in splits.items()}
    for draw in range(arguments.draws):
        images = full_range(np.asarray(train.images[draw_indices(train.labels, arguments.calibration, draw)]))
        for name in arguments.methods:
            start, processor = time.monotonic(), time.process_time()
            try:
                content = method(name)(prepared, images)
            except MissingExtraError as error:
                print(f"{name} is left out: {error}", file=sys.stderr)
                continue
            except (EdgeclfError, ValueError, RuntimeError) as error:
                print(f"{name} fails: {str(error).splitlines()[0][:200]}", file=sys.stderr)
                continue
            seconds, processor = time.monotonic() - start, time.process_time() - processor
            line: dict[str, Any] = {"run": run.name, "draw": draw, "method": name, "size_bytes": len(content)}
            line |= {"seconds": round(seconds, 2), "processor_seconds": round(processor, 2)}
            for split, (pictures, labels) in splits.items():
                found = predict(content, pictures, prepared.input_max)
                right, after = before[split].argmax(axis=1) == labels, found.argmax(axis=1) == labels
                lost, gained = discordant(right, after)
                ends = difference_interval(lost, gained, len(labels))
                line[split] = {
                    "images": len(labels),
                    "float_top1": float(right.mean()),
                    "top1": float(after.mean()),
                    "points": round(100 * (gained - lost) / len(labels), 3),
                    "interval": [round(100 * end, 3) for end in ends],
                    "divergence": round(divergence(before[split], found), 6),
                }
            yield line


def time_command(run: Path, arguments: argparse.Namespace, lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Time `edgeclf compress RUN --int8`, and put it and the exporter beside the converter's own time."""
    with tempfile.TemporaryDirectory() as folder:
        start, processor = time.monotonic(), time.process_time()
        edgeclf.compress(
            run,
            int8=True,
            data=arguments.data,
            calibration=arguments.calibration,
            out=Path(folder) / "out",
            speed=False,
        )
        seconds, processor = time.monotonic() - start, time.process_time() - processor
    found: dict[str, Any] = {"run": run.name, "method": "compress --int8"}
    found |= {"seconds": round(seconds, 2), "processor_seconds": round(processor, 2)}

    def median(name: str, key: str) -> float | None:
        times = [line[key] for line in lines if (line["run"], line["method"]) == (run.name, name)]
        return statistics.median(times) if times else None

    for key in ("seconds", "processor_seconds"):
        own, ours = median("converter", key), median("edgeclf", key)
        if own:
            found[f"times_the_converters_{key}"] = round(found[key] / own, 2)
            found[f"exporter_times_the_converters_{key}"] = None if ours is None else round(ours / own, 2)
    return found


def summarize(lines: list[dict[str, Any]], splits: list[str]) -> None:
    """Print the table: one row a run, method and split."""
    head = f"{'run':16} {'method':34} {'split':10} {'float':>7} {'int8':>7} {'points':>7} {'interval':>16} {'worst':>7}"
    print(f"{head} {'KL':>8} {'s':>7} {'cpu s':>7}")
    for run, name in dict.fromkeys((line["run"], line["method"]) for line in lines):
        chosen = [line for line in lines if (line["run"], line["method"]) == (run, name)]
        for split in splits:
            figures = sorted((line[split] for line in chosen), key=lambda one: float(one["points"]))
            middle = figures[len(figures) // 2]["interval"]
            print(
                f"{run[:16]:16} {name[:34]:34} {split:10} {100 * figures[0]['float_top1']:7.2f} "
                f"{100 * statistics.mean(one['top1'] for one in figures):7.2f} "
                f"{statistics.mean(one['points'] for one in figures):+7.2f} "
                f"{f'{middle[0]:+.2f} to {middle[1]:+.2f}':>16} {figures[0]['points']:+7.2f} "
                f"{statistics.mean(one['divergence'] for one in figures):8.5f} "
                f"{statistics.median(line['seconds'] for line in chosen):7.1f} "
                f"{statistics.median(line['processor_seconds'] for line in chosen):7.1f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--data")
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--calibration", type=int, default=500)
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--splits", nargs="+", default=["validation", "test"])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--no-command", action="store_true", help="do not time the whole command")
    arguments = parser.parse_args()
    print(json.dumps({"machine": describe_machine().to_dict()}), flush=True)
    lines = []
    for run in arguments.runs:
        for line in measure(run, arguments):
            print(json.dumps(line), flush=True)
            lines.append(line)
    if not arguments.no_command:
        for run in arguments.runs:
            print(json.dumps(time_command(run, arguments, lines)), flush=True)
    summarize(lines, arguments.splits)


if __name__ == "__main__":
    main()
