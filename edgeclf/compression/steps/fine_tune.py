"""The short training that pruning, clustering and quantization-aware training share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from edgeclf.dataset.types import Split
from edgeclf.errors import RunFailedError
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.progress import Progress, Task
from edgeclf.training.curriculum import augmentation_at
from edgeclf.training.pipeline import TrainingBatches
from edgeclf.training.schedule import WarmupCosine

VALIDATION_IMAGES = 2000
"""At most so many validation images choose the best epoch."""
FEWEST_EPOCHS, MOST_EPOCHS = 3, 30


@dataclass(frozen=True)
class Lessons:
    """What a network is fine-tuned on.

    Attributes:
        batches: of the training split, augmented and balanced as the float network was trained.
        validation: the split that chooses the best epoch; None: the last epoch is kept.
        teacher: the float network, whose answers are part of the targets.
        distill: their share.
        settle: share of the epochs, at the end, that see images as they are, flips apart, as in the float training.
        progress: where bars go.
    """

    batches: TrainingBatches
    validation: Split | None
    teacher: FloatNetwork
    distill: float
    settle: float
    progress: Progress

    @property
    def steps(self) -> int:
        """Steps an epoch."""
        return self.batches.steps

    def epoch(self, epoch: int, epochs: int) -> tf.data.Dataset:
        """Batches of one epoch of `epochs`: scaled images, targets, weights."""
        batches = replace(self.batches, recipe=augmentation_at(self.batches.recipe, epoch, epochs, self.settle))

        def taught(images: Any, targets: Any, weight: Any) -> Any:
            if self.distill:
                targets = (1 - self.distill) * targets + self.distill * self._teach(images)
            return (
                tf.cast(images, tf.float32) * np.float32(self.teacher.input_max / 255),
                targets,
                weight,
            )

        return batches.epoch(epoch).map(taught, num_parallel_calls=2, deterministic=True).prefetch(2)

    def _teach(self, pixels: Any) -> Any:
        answers = self.teacher.on_pixels(pixels)
        return answers if gives_probabilities(self.teacher.model) else tf.nn.softmax(answers)


def automatic_epochs(wanted: int | None, steps: int, target_steps: int) -> int:
    """`wanted`, or as many epochs as make `target_steps` steps, within limits."""
    if wanted is not None:
        return wanted
    return min(max(math.ceil(target_steps / steps), FEWEST_EPOCHS), MOST_EPOCHS)


def gives_probabilities(model: tf_keras.Model) -> bool:
    """Whether the network ends in a softmax."""
    layer = model.outputs[0]._keras_history.layer
    inner = getattr(layer, "layer", layer)
    if isinstance(inner, tf_keras.layers.Softmax):
        return True
    activation = getattr(inner, "activation", None)
    activation = getattr(activation, "activation", activation)
    return getattr(activation, "__name__", "") == "softmax"


def fine_tune(
    model: tf_keras.Model,
    lessons: Lessons,
    *,
    label: str,
    epochs: int,
    learning_rate: float,
    callbacks: Sequence[Any] = (),
    keep_from: int = 0,
) -> None:
    """Train `model` in place, and leave it with the weights of the best epoch on the validation split.

    Args:
        model: from scaled pixels, with any of TFMOT's wrappers.
        lessons: what on.
        label: of the bar.
        epochs: how long.
        learning_rate: peak of the cosine for Adam.
        callbacks: TFMOT's.
        keep_from: the first epoch whose weights may be kept; 0 is the state before training.

    Raises:
        RunFailedError: the loss is no number any more.
    """
    if epochs == 0:
        return
    steps = lessons.steps
    schedule = WarmupCosine(learning_rate, epochs * steps, min(steps, epochs * steps // 10))
    loss = tf_keras.losses.CategoricalCrossentropy(from_logits=not gives_probabilities(lessons.teacher.model))
    model.compile(tf_keras.optimizers.Adam(schedule), loss)
    score = _scorer(model, lessons)
    best, kept = (score(), model.get_weights()) if keep_from == 0 else (-1.0, None)
    with lessons.progress.task(label, epochs * steps) as task:
        reporter = _Reporter(task)
        for epoch in range(epochs):
            model.fit(
                lessons.epoch(epoch, epochs),
                epochs=epoch + 1,
                initial_epoch=epoch,
                steps_per_epoch=steps,
                callbacks=[*callbacks, reporter],
                verbose=0,
            )
            if not math.isfinite(reporter.loss):
                raise RunFailedError(f"{label}: the loss is no number after epoch {epoch + 1}; lower the learning rate")
            if epoch + 1 >= keep_from:
                now = score()
                # without a validation split every epoch scores the same, and the last one is kept
                if now >= best:
                    best, kept = now, model.get_weights()
    if kept is not None:
        model.set_weights(kept)


def _scorer(model: tf_keras.Model, lessons: Lessons) -> Callable[[], float]:
    split = lessons.validation
    if split is None or len(split) == 0:
        return lambda: 0.0
    chosen = np.linspace(0, len(split) - 1, min(len(split), VALIDATION_IMAGES)).astype(np.int64)
    scale = np.float32(lessons.teacher.input_max / 255)
    answer = tf.function(lambda x: model(x, training=False), reduce_retracing=True)

    def score() -> float:
        right = 0
        for start in range(0, len(chosen), 200):
            part = chosen[start : start + 200]
            answers = answer(tf.constant(split.images[part].astype(np.float32) * scale))
            right += int((np.argmax(answers, axis=1) == split.labels[part]).sum())
        return right / len(chosen)

    return score


class _Reporter(tf_keras.callbacks.Callback):  # type: ignore[misc]
    """Moves the bar on, and remembers the loss."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self._task = task
        self.loss = 0.0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.loss = float((logs or {}).get("loss", 0.0))
        self._task.advance(1, f"loss {self.loss:.3f}")
