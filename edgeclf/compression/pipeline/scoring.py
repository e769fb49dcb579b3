"""Top-1 at birth: of the float network, and of the emitted file in the runtime that ships."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edgeclf.artifact.tflite import parse
from edgeclf.compression.export.convert import Converted
from edgeclf.compression.pipeline.job import Job
from edgeclf.compression.pipeline.training_data import scored_split
from edgeclf.dataset import Dataset
from edgeclf.graph.prepared_network import Core
from edgeclf.inference.classifier import Classifier
from edgeclf.keras_files.loading import FloatSource
from edgeclf.progress import Progress


def float_top1(
    source: FloatSource,
    core: Core | None,
    input_range: tuple[float, float] | None,
    data: Dataset | None,
    progress: Progress,
) -> float | None:
    """Top-1 of the float network on the split that is scored, as a fraction; None without images.

    Args:
        source: the network as it was found.
        core: the same, prepared; None: it is no tf-keras network.
        input_range: what pixel values 0 and 255 must become before they enter `source`; None: they enter raw.
        data: with the images.
        progress: where the bar goes.
    """
    scored = scored_split(data)
    if scored is None:
        return None
    import tensorflow as tf

    low, high = input_range or (0.0, 255.0)
    scale, offset = np.float32((high - low) / 255), np.float32(low)

    def foreign(pixels: Any) -> Any:
        return source.function(tf.cast(pixels, tf.float32) * scale + offset)

    # a SavedModel may know one batch size alone
    batch = 1 if source.kind == "SavedModel" else 200
    split, right = scored[1], 0
    answer = tf.function(foreign if core is None else core.on_pixels, reduce_retracing=True)
    with progress.task("float network", len(split)) as task:
        for start in range(0, len(split), batch):
            part = split.images[start : start + batch]
            right += int((np.argmax(answer(tf.constant(part)), axis=1) == split.labels[start : start + batch]).sum())
            task.advance(len(part))
    return right / len(split)


def emitted_top1(converted: Converted, job: Job) -> tuple[float | None, str | None]:
    """Top-1 of the emitted graph, as a fraction, and the split it was measured on; None without images."""
    scored = scored_split(job.data)
    if scored is None:
        return None, None
    name, split = scored
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(converted.flat)
        is_float = parse(converted.flat).inputs[0].dtype == "float32"
        classifier = Classifier(path, input_range=(converted.input_range or (0.0, 255.0)) if is_float else None)
        right = 0
        with job.progress.task(f"top-1 on {name}", len(split)) as task:
            for start in range(0, len(split), 100):
                part = slice(start, start + 100)
                right += int((classifier.top1(split.images[part]) == split.labels[part]).sum())
                task.advance(len(split.labels[part]))
    return right / len(split), name
