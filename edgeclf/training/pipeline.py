"""Batches for training: drawn, augmented and weighted on the host, in parallel, from memory-mapped arrays.

What a step sees is a function of (seed, epoch, step) alone. Nothing but the batches in flight is held in memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import tensorflow as tf

from edgeclf.dataset.types import ImageView, Split
from edgeclf.training.augmentation import Augmentation, augment
from edgeclf.training.balancing import class_weights, epoch_length, epoch_order

EVALUATION_BATCH = 256


@dataclass(frozen=True)
class TrainingBatches:
    """The batches of a training split.

    Args:
        split: the training images, uint8[N, H, W, 3], and their labels.
        classes: number of classes.
        batch_size: images a step, over all replicas.
        recipe: the augmentation.
        balance: `none`, `weights`, `over` or `under`.
        seed: of order and augmentation.
    """

    split: Split
    classes: int
    batch_size: int
    recipe: Augmentation
    balance: str
    seed: int

    @property
    def steps(self) -> int:
        """Whole batches an epoch; the rest of the order is left out, another rest in each epoch."""
        return epoch_length(self.split.labels, self.balance) // self.effective_batch_size

    @property
    def effective_batch_size(self) -> int:
        """`batch_size`, or the whole split, or all that an epoch draws of it, where that is smaller."""
        return min(self.batch_size, len(self.split.labels), epoch_length(self.split.labels, self.balance))

    def epoch(
        self, epoch: int, size: int | None = None, part: int = 0, parts: int = 1, replicas: int = 1
    ) -> tf.data.Dataset:
        """The batches of one epoch: images uint8[B, H, W, 3], targets float32[B, C], weights float32[B].

        Args:
            epoch: number of the epoch, from 0.
            size: side that the images are resized to, pixels; None: they stay as they are.
            part: which share of each batch, for one worker of several.
            parts: number of workers.
            replicas: devices of this worker. With several, each element of the result is what one of them takes, and
                `replicas` elements are one step.
        """
        order = epoch_order(self.split.labels, self.balance, [self.seed, epoch])
        whole, weights = self.effective_batch_size, class_weights(self.split.labels, self.classes)
        height, width = (size, size) if size else self.split.images.shape[1:3]
        share = slice(part * whole // parts, (part + 1) * whole // parts)

        def batch(step: np.int64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            chosen = order[step * whole : (step + 1) * whole]
            images = np.ascontiguousarray(self.split.images[chosen])
            labels = self.split.labels[chosen]
            targets = np.eye(self.classes, dtype=np.float32)[labels]
            random = np.random.default_rng([self.seed, epoch, int(step)])
            images, targets = augment(images, targets, self.recipe, random)
            if images.shape[1:3] != (height, width):
                images = np.stack([cv2.resize(i, (width, height), interpolation=cv2.INTER_AREA) for i in images])
            weight = weights[labels] if self.balance == "weights" else np.ones(len(labels), np.float32)
            return images[share], targets[share], weight[share]

        def mapped(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            images, targets, weight = tf.numpy_function(batch, [step], [tf.uint8, tf.float32, tf.float32])
            count = share.stop - share.start
            images.set_shape((count, height, width, 3))
            targets.set_shape((count, self.classes))
            weight.set_shape((count,))
            return images, targets, weight

        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
        dataset = tf.data.Dataset.range(self.steps).map(mapped, num_parallel_calls=2, deterministic=True)
        if replicas > 1:
            dataset = dataset.unbatch().batch((share.stop - share.start) // replicas, drop_remainder=True)
        return dataset.prefetch(2).with_options(options)


def evaluation_batches(images: ImageView | np.ndarray, batch_size: int = EVALUATION_BATCH) -> tf.data.Dataset:
    """All images of a split in their own order, uint8[B, H, W, 3], read a batch at a time."""

    def batch(start: np.int64) -> np.ndarray:
        return np.ascontiguousarray(images[start : start + batch_size])

    def mapped(start: tf.Tensor) -> tf.Tensor:
        part = tf.numpy_function(batch, [start], tf.uint8)
        part.set_shape((None, *images.shape[1:]))
        return part

    return tf.data.Dataset.range(0, len(images), batch_size).map(mapped, num_parallel_calls=2).prefetch(2)
