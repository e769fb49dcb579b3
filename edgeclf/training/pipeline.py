"""Batches for training: drawn, augmented and weighted on the host, in parallel, from memory-mapped arrays.

What a step sees is a function of (seed, epoch, step) alone. Nothing but the batches in flight is held in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from edgeclf.dataset.types import ImageView, Split
from edgeclf.image.shape import ImageSize, check_image_size
from edgeclf.training.augmentation import Augmentation, Batch
from edgeclf.training.balancing import class_weights, epoch_length, epoch_order
from edgeclf.training.soft_targets import SoftTargets
from edgeclf.training.views import LABELLED, Views

EVALUATION_BATCH = 256


@dataclass(frozen=True)
class WorkerPart:
    """Which part of each batch a worker prepares.

    Args:
        part: number of the worker, from 0.
        parts: number of workers.
        replicas: devices of this worker. With several, each element of a data set is what one of them takes, and
            `replicas` elements are one step.
    """

    part: int = 0
    parts: int = 1
    replicas: int = 1

    def rows(self, count: int) -> slice:
        """Return the rows of a batch of `count` images that belong to this worker."""
        return slice(self.part * count // self.parts, (self.part + 1) * count // self.parts)


WHOLE_BATCH = WorkerPart()


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
        soft_targets: a teacher's probabilities, which become columns of the targets behind those of the labels; None:
            there is no teacher.
    """

    split: Split
    classes: int
    batch_size: int
    recipe: Augmentation
    balance: str
    seed: int
    soft_targets: SoftTargets | None = None
    views: Views = LABELLED

    @property
    def steps(self) -> int:
        """Whole batches an epoch; the rest of the order is left out, another rest in each epoch."""
        return epoch_length(self.split.labels, self.balance) // self.effective_batch_size

    @property
    def effective_batch_size(self) -> int:
        """`batch_size`, or the whole split, or all that an epoch draws of it, where that is smaller."""
        return min(self.batch_size, len(self.split.labels), epoch_length(self.split.labels, self.balance))

    def epoch(self, epoch: int, size: ImageSize | None = None, part: WorkerPart = WHOLE_BATCH) -> tf.data.Dataset:
        """Prepare the batches of one epoch: images uint8[B, H, W, 3], targets float32[B, C], weights float32[B].

        With a teacher the targets are float32[B, 2 C]. Of `views` that make K of each image, all have K B rows.

        Args:
            epoch: number of the epoch, from 0.
            size: that the images are resized to, pixels; None: they keep their size.
            part: which part of each batch, for one worker of several.
        """
        order = epoch_order(self.split.labels, self.balance, [self.seed, epoch])
        whole, weights = self.effective_batch_size, class_weights(self.split.labels, self.classes)
        height, width = check_image_size(size) if size else self.split.images.shape[1:3]
        rows = part.rows(whole)
        rows = slice(rows.start * self.views.copies, rows.stop * self.views.copies)
        count = rows.stop - rows.start
        soft = self.soft_targets
        columns = self.views.columns or (self.classes if soft is None else 2 * self.classes)

        def prepare(step: np.int64) -> tuple[npt.NDArray[Any], ...]:
            chosen = order[step * whole : (step + 1) * whole]
            labels = self.split.labels[chosen]
            targets = np.eye(self.classes, dtype=np.float32)[labels]
            images, recipe = np.ascontiguousarray(self.split.images[chosen]), self.recipe
            random = np.random.default_rng([self.seed, epoch, int(step)])
            if soft is not None:
                images, predicted, recipe = soft.choose(images, chosen, recipe, random)
                targets = np.concatenate([targets, predicted], axis=1)
            loss_weights = weights[labels] if self.balance == "weights" else np.ones(len(labels), np.float32)
            batch = self.views.draw(Batch(images, targets, loss_weights), recipe, random)
            images = batch.images
            if images.shape[1:3] != (height, width):
                images = np.stack([cv2.resize(i, (width, height), interpolation=cv2.INTER_AREA) for i in images])
            return images[rows], batch.targets[rows], batch.weights[rows]

        def load(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            images, targets, weight = tf.numpy_function(prepare, [step], [tf.uint8, tf.float32, tf.float32])
            images.set_shape((count, height, width, 3))
            targets.set_shape((count, columns))
            weight.set_shape((count,))
            return images, targets, weight

        dataset = tf.data.Dataset.range(self.steps).map(load, num_parallel_calls=2, deterministic=True)
        if part.replicas > 1:
            dataset = dataset.unbatch().batch(count // part.replicas, drop_remainder=True)
        return dataset.prefetch(2).with_options(_options())


def evaluation_batches(
    images: ImageView | npt.NDArray[np.uint8], batch_size: int = EVALUATION_BATCH
) -> tf.data.Dataset:
    """Read all images of a split in their own order, uint8[B, H, W, 3], a batch at a time."""

    def read(start: np.int64) -> npt.NDArray[np.uint8]:
        return np.ascontiguousarray(images[start : start + batch_size])

    def load(start: tf.Tensor) -> tf.Tensor:
        part = tf.numpy_function(read, [start], tf.uint8)
        part.set_shape((None, *images.shape[1:]))
        return part

    batches = tf.data.Dataset.range(0, len(images), batch_size).map(load, num_parallel_calls=2).prefetch(2)
    return batches.with_options(_options())


def _options() -> tf.data.Options:
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    # Nothing is left to be tuned, and the end of a data set may wait for the tuning thread, which sleeps 10 ms, twice
    # that, and so on: measured on TensorFlow 2.21, epochs of 58 seconds took 84.
    options.autotune.enabled = False
    return options
