"""Top-1 when exported: of the float network, and of the exported file in the runtime that ships."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from edgeclf.compression.exporter import ExportedFile
from edgeclf.compression.pipeline.job import Job
from edgeclf.compression.pipeline.training_data import scored_split
from edgeclf.dataset import Dataset
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.inference.classifier import Classifier
from edgeclf.keras_files.loading import FloatSource
from edgeclf.progress import Progress


def float_top1(
    source: FloatSource,
    network: FloatNetwork,
    data: Dataset | None,
    progress: Progress,
) -> float | None:
    """Top-1 of the float network on the split that is scored, as a fraction; None without images.

    Args:
        source: the network as it was found.
        network: the same, prepared.
        data: with the images.
        progress: where the bar goes.
    """
    scored = scored_split(data)
    if scored is None:
        return None
    import tensorflow as tf

    # a SavedModel may know one batch size alone
    batch = 1 if source.kind == "SavedModel" else 200
    split, right = scored[1], 0
    measured = source.network if network.model is None else network
    predict = tf.function(measured.on_pixels, reduce_retracing=True)
    with progress.task("float network", len(split)) as task:
        for start in range(0, len(split), batch):
            part = split.images[start : start + batch]
            right += int((np.argmax(predict(tf.constant(part)), axis=1) == split.labels[start : start + batch]).sum())
            task.advance(len(part))
    return right / len(split)


def exported_top1(exported: ExportedFile, job: Job) -> tuple[float | None, str | None]:
    """Top-1 of the exported graph, as a fraction, and the split it was measured on; None without images."""
    scored = scored_split(job.data)
    if scored is None:
        return None, None
    name, split = scored
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(exported.content)
        is_float = exported.graph.inputs[0].dtype == "float32"
        classifier = Classifier(path, input_range=(exported.input_range or (0.0, 255.0)) if is_float else None)
        right = 0
        with job.progress.task(f"top-1 on {name}", len(split)) as task:
            for start in range(0, len(split), 100):
                part = slice(start, start + 100)
                right += int((classifier.top1(split.images[part]) == split.labels[part]).sum())
                task.advance(len(split.labels[part]))
    return right / len(split), name
