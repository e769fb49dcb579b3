"""The float Keras network as the baseline of `bench`: its answers, its device, its latency."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeclf.dataset import Dataset
from edgeclf.errors import DataError, ModelError
from edgeclf.foreign.source import load_float_model
from edgeclf.measure.accuracy import class_indices
from edgeclf.measure.baseline import Baseline
from edgeclf.measure.latency import Percentiles, percentiles
from edgeclf.measure.machine import describe_machine
from edgeclf.measure.subjects import DatasetLoader
from edgeclf.progress import SILENT, Progress

LATENCY_SECONDS = 3.0


def float_baseline(
    path: str | Path,
    *,
    dataset: Dataset | DatasetLoader | None = None,
    split: str = "test",
    class_names: Sequence[str] | None = None,
    trust: bool = False,
    progress: Progress = SILENT,
) -> Baseline:
    """Run the float network over a split.

    Args:
        path: a `.keras` or `.h5` file whose network takes `float32[N, H, W, 3]` raw 0..255 and scales inside.
        dataset: the images, or a function that gives them at a (height, width); None measures latency alone.
        split: which of its splits.
        class_names: of the network's outputs in their order; None takes those of the data.
        trust: load layers that may carry code.
        progress: is told.

    Returns:
        The answers as indices into the data's classes, with the device that gave them.

    Raises:
        ModelError: the file does not hold an image classifier.
        DataError: the network does not fit the data.
        UntrustedModelError: the file would run foreign code.
    """
    path = Path(path)
    network = load_float_model(path, trust=trust)
    shape = network.input_shape
    if len(shape) != 4 or None in shape[1:] or shape[3] != 3:
        raise ModelError(f"{path}: expected a network on images [N, height, width, 3], got input shape {shape}")
    height, width = int(shape[1]), int(shape[2])
    device, name = float_device()
    predictions, paths = None, ()
    if dataset is not None:
        data = dataset if isinstance(dataset, Dataset) else dataset(height, width)
        predictions, paths = _answers(path, network, data, split, class_names, device, progress)
    return Baseline(
        name=f"{path.parent.name}/{path.name}" if path.parent.name else path.name,
        device=name,
        predictions=predictions,
        paths=paths,
        latency_ms=_latency(network, (height, width), device, progress),
        parameters=int(network.count_params()),
        size_bytes=path.stat().st_size if path.is_file() else None,
    )


def float_device() -> tuple[str, str]:
    """TensorFlow's name of the device that the float network runs on, and one for people with the hardware's name."""
    import tensorflow as tf

    processors = tf.config.list_physical_devices("GPU")
    if processors:
        details = tf.config.experimental.get_device_details(processors[0])
        return "/GPU:0", f"GPU ({details.get('device_name', processors[0].name)})"
    return "/CPU:0", f"CPU ({describe_machine().cpu})"


def _answers(
    path: Path,
    network: Any,
    data: Dataset,
    split: str,
    class_names: Sequence[str] | None,
    device: str,
    progress: Progress,
) -> tuple[np.ndarray, tuple[str, ...]]:
    import tensorflow as tf

    from edgeclf.training.inference import predict_probabilities

    if split not in data.splits:
        raise DataError(f"{data.source}: no split {split!r}; it has: {', '.join(data.splits)}")
    if (data.height, data.width) != tuple(network.input_shape[1:3]):
        raise DataError(
            f"{path}: takes images of {network.input_shape[2]}x{network.input_shape[1]} pixels, but the data was "
            f"loaded at {data.width}x{data.height}"
        )
    mapping = class_indices(class_names or (), int(network.output_shape[-1]), data.class_names)
    with tf.device(device):
        probabilities = predict_probabilities(network, data.splits[split].images, progress)
    answers = probabilities.argmax(axis=-1)
    return mapping[answers], data.splits[split].paths


def _latency(network: Any, size: tuple[int, int], device: str, progress: Progress) -> Percentiles:
    """Of one image a call through a compiled function, until the result is on the host."""
    import tensorflow as tf

    image = np.random.default_rng(0).uniform(0, 255, (1, *size, 3)).astype(np.float32)
    times: list[int] = []
    with tf.device(device), progress.task("timing the float baseline", None) as task:
        constant = tf.constant(image)
        call = tf.function(lambda x: network(x, training=False))
        for _ in range(10):
            call(constant).numpy()
        deadline = time.perf_counter() + LATENCY_SECONDS
        while len(times) < 30 or (time.perf_counter() < deadline and len(times) < 1000):
            start = time.perf_counter_ns()
            call(constant).numpy()
            times.append(time.perf_counter_ns() - start)
            task.advance()
    return percentiles(np.array(times, np.int64))
