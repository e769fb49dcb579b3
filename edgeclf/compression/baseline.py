"""The float Keras network as the baseline of `bench`: its answers, its device, its latency."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from edgeclf.compression.pipeline.training_data import decide_input_range
from edgeclf.dataset import Dataset
from edgeclf.errors import DataError, UnknownNameError
from edgeclf.keras_files.loading import FloatSource, load_source
from edgeclf.measure.accuracy import class_indices
from edgeclf.measure.baseline import Baseline
from edgeclf.measure.latency import Percentiles, percentiles, warm_up
from edgeclf.measure.machine import describe_machine
from edgeclf.measure.subjects import DatasetLoader
from edgeclf.progress import SILENT, Progress
from edgeclf.training.inference import predict_in_batches

LATENCY_SECONDS = 3.0


def float_baseline(
    path: str | Path,
    *,
    dataset: Dataset | DatasetLoader | None = None,
    split: str = "test",
    class_names: Sequence[str] | None = None,
    input_range: tuple[float, float] | None = None,
    trust: bool = False,
    progress: Progress = SILENT,
) -> Baseline:
    """Run the float network over a split.

    Args:
        path: what `compress` takes: a run folder, a `.keras` or `.h5` file, a SavedModel.
        dataset: the images, or a function that gives them at a (height, width); None measures latency alone.
        split: which of its splits.
        class_names: of the network's outputs in their order; None takes those of the data.
        input_range: what pixel values 0 and 255 must become for a network that scales nothing inside; None: measured.
        trust: load layers that may carry code.
        progress: is told.

    Returns:
        The answers as indices into the data's classes, with the device that gave them.

    Raises:
        ModelError: the file does not hold an image classifier.
        DataError: the network does not fit the data.
        UntrustedModelError: the file would run foreign code.
    """
    source = load_source(path, trust=trust)
    path, size = source.path, (source.height, source.width)
    data = dataset if dataset is None or isinstance(dataset, Dataset) else dataset(*size)
    if data is not None and split not in data.splits:
        raise UnknownNameError("split", split, data.splits)
    if data is not None and (data.height, data.width) != size:
        raise DataError(
            f"{path}: takes images of {size[1]}x{size[0]} pixels, but the data was loaded at {data.width}x{data.height}"
        )
    span = input_range if data is None else decide_input_range(source, input_range, data, progress)
    answer = tf.function(_on_pixels(source, span), reduce_retracing=True)
    device, name = float_device()
    predictions, paths = None, ()
    if data is not None:
        mapping = class_indices(class_names or (), source.classes, data.class_names)
        # A SavedModel may know one batch size only.
        batch = {"batch_size": 1} if source.kind == "SavedModel" else {}
        with tf.device(device):
            images = data.splits[split].images
            answers = predict_in_batches(answer, images, source.classes, progress, **batch).argmax(axis=-1)
        predictions, paths = mapping[answers], data.splits[split].paths
    return Baseline(
        name=f"{path.parent.name}/{path.name}" if path.parent.name else path.name,
        device=name,
        threads=None if device.startswith("/GPU") else _threads(),
        predictions=predictions,
        paths=paths,
        input_range=span,
        latency_ms=_latency(answer, size, device, progress),
        parameters=None if source.kind == "SavedModel" else int(source.holder.count_params()),
        size_bytes=path.stat().st_size if path.is_file() else None,
    )


def float_device() -> tuple[str, str]:
    """TensorFlow's name of the device that the float network runs on, and one for people with the hardware's name."""
    processors = tf.config.list_physical_devices("GPU")
    if processors:
        details = tf.config.experimental.get_device_details(processors[0])
        return "/GPU:0", f"GPU ({details.get('device_name', processors[0].name)})"
    return "/CPU:0", f"CPU ({describe_machine().cpu})"


def _threads() -> int:
    """How many threads TensorFlow computes one operator with."""
    return tf.config.threading.get_intra_op_parallelism_threads() or describe_machine().cores


def _on_pixels(source: FloatSource, span: tuple[float, float] | None) -> Callable[[Any], Any]:
    """The network on raw pixels `[N, H, W, 3]`, 0..255, of any type."""
    low, high = span or (0.0, 255.0)
    scale, offset = np.float32((high - low) / 255), np.float32(low)

    def answer(pixels: Any) -> Any:
        entry = tf.cast(pixels, tf.float32)
        return source.function(entry if span is None else entry * scale + offset)

    return answer


def _latency(answer: Any, size: tuple[int, int], device: str, progress: Progress) -> Percentiles:
    """Of one image a call through a compiled function, until the result is on the host."""
    image = np.random.default_rng(0).integers(0, 256, (1, *size, 3)).astype(np.uint8)
    times: list[int] = []
    with tf.device(device), progress.task("timing the float baseline", None) as task:
        constant = tf.constant(image)
        call = answer.get_concrete_function(tf.TensorSpec(image.shape, tf.uint8))
        warm_up(lambda: call(constant).numpy())
        deadline = time.perf_counter() + LATENCY_SECONDS
        while len(times) < 30 or (time.perf_counter() < deadline and len(times) < 1000):
            start = time.perf_counter_ns()
            call(constant).numpy()
            times.append(time.perf_counter_ns() - start)
            task.advance()
    return percentiles(np.array(times, np.int64))
