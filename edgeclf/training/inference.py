"""Probabilities of a Keras model over the images of a split, a batch at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from edgeclf.dataset.types import ImageView
from edgeclf.image.batches import bounded_batch
from edgeclf.image.views import average_views, cut_views
from edgeclf.progress import SILENT, Progress
from edgeclf.training.pipeline import EVALUATION_BATCH, evaluation_batches


def predict_probabilities(
    model: tf_keras.Model, images: ImageView | npt.NDArray[np.uint8], progress: Progress = SILENT
) -> npt.NDArray[np.float32]:
    """Run `model` in inference mode over images, a batch at a time.

    Args:
        model: from `float32[N, H, W, 3]`, 0..255, to probabilities.
        images: uint8[N, H, W, 3]; views of objects one below the other, uint8[N, views * H, W, 3], are averaged over.
        progress: where the bar goes.

    Returns:
        float32[N, C].
    """
    height = model.input_shape[1] or images.shape[1]
    step = getattr(model, "_edgeclf_inference", None)
    if step is None:
        step = tf.function(lambda batch: model(tf.cast(batch, tf.float32), training=False), reduce_retracing=True)
        model._edgeclf_inference = step
    parts = []
    with progress.task("evaluating (images)", len(images)) as task:
        at_once = bounded_batch(EVALUATION_BATCH, images.shape[1], images.shape[2])
        for batch in evaluation_batches(images, at_once):
            views = cut_views(batch.numpy(), height)
            parts.append(average_views(np.asarray(step(views), np.float32), len(batch)))
            task.advance(len(parts[-1]))
    return np.concatenate(parts) if parts else np.empty((0, int(model.output_shape[-1])), np.float32)
