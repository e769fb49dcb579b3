"""The short training that pruning, clustering and quantization-aware training share."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from edgeclf.compression.step import Checkpoints, StepContext
from edgeclf.compression.steps.fine_tuning import FineTuning
from edgeclf.dataset.types import Split
from edgeclf.errors import InputError, RunFailedError
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.graph.outputs import gives_probabilities, loss_of
from edgeclf.image.batches import bounded_batch
from edgeclf.image.views import average_views, cut_views
from edgeclf.progress import Progress, Task
from edgeclf.training.augmentation import LEVELS
from edgeclf.training.curriculum import augmentation_at
from edgeclf.training.fine_tuning import BATCH_NORM_MOMENTUM
from edgeclf.training.pipeline import TrainingBatches
from edgeclf.training.schedule import WarmupCosine

VALIDATION_IMAGES = 2000
"""At most so many validation images choose the best epoch."""
SCORED_BATCH = 200
FEWEST_EPOCHS, MOST_EPOCHS = 3, 30
BATCHES = 128, 64, 32
"""Images a step that are chosen from where the settings leave that open."""


@dataclass(frozen=True)
class FineTuningData:
    """What a network is fine-tuned on.

    Attributes:
        batches: of the training split, augmented and balanced as the float network was trained.
        validation: the split that chooses the best epoch; None: the last epoch is kept.
        teacher: the float network, whose probabilities are part of the targets.
        distill: the fraction of the targets that is the teacher's.
        unaugmented_epochs: fraction of the epochs, at the end, that see unaugmented images.
        progress: where bars are shown.
        checkpoints: where the result is kept; None: nowhere.
    """

    batches: TrainingBatches
    validation: Split | None
    teacher: FloatNetwork
    distill: float
    unaugmented_epochs: float
    progress: Progress
    checkpoints: Checkpoints | None = None

    @classmethod
    def from_step(cls, step: Any, context: StepContext) -> FineTuningData:
        """Prepare the images of a training.

        Args:
            step: its `training` has the settings.
            context: has the images.

        Raises:
            InputError: there are no images.
        """
        training: FineTuning = step.training
        data = context.data
        if data is None:
            raise InputError("fine-tuning needs training images; name them with --data")
        augmentation, train = LEVELS[training.augment], data.splits["train"]
        automatic = bounded_batch(automatic_batch(len(train), step.target_steps), *train.images.shape[1:3])
        batches = TrainingBatches(
            split=train,
            classes=len(data.class_names),
            batch_size=training.batch_size or automatic,
            recipe=replace(augmentation, flip=augmentation.flip and context.flip),
            balance=context.balance,
            seed=context.seed,
        )
        return cls(
            batches,
            data.splits.get("validation"),
            context.original,
            training.distill,
            training.unaugmented_epochs,
            context.progress,
            context.checkpoints,
        )

    @property
    def steps(self) -> int:
        """Steps an epoch."""
        return self.batches.steps

    @property
    def input_scale(self) -> np.float32:
        """What pixels are multiplied by before they enter the network."""
        scale: np.float32 = np.float32(self.teacher.input_max / 255)
        return scale

    def epoch(self, epoch: int, epochs: int) -> Any:
        """Return the batches of one epoch of `epochs`: scaled images, targets, weights."""
        recipe = augmentation_at(self.batches.recipe, epoch, epochs, self.unaugmented_epochs)
        scale = self.input_scale

        def soft_targets(images: Any, targets: Any, weight: Any) -> Any:
            if self.distill:
                targets = (1 - self.distill) * targets + self.distill * self._teach(images)
            return tf.cast(images, tf.float32) * scale, targets, weight

        batches = replace(self.batches, recipe=recipe).epoch(epoch)
        return batches.map(soft_targets, num_parallel_calls=2, deterministic=True).prefetch(2)

    def _teach(self, pixels: Any) -> Any:
        predictions = self.teacher.on_pixels(pixels)
        return predictions if gives_probabilities(self.teacher.model) else tf.nn.softmax(predictions)


def automatic_batch(images: int, target_steps: int) -> int:
    """Return the images a step: the most of `BATCHES` of which `MOST_EPOCHS` epochs make `target_steps` steps.

    With few photos it is steps that a short training lacks. Of large ones fewer are taken (`bounded_batch`).
    """
    return next((size for size in BATCHES if MOST_EPOCHS * images >= target_steps * size), BATCHES[-1])


def automatic_epochs(epochs: int | None, steps: int, target_steps: int) -> int:
    """Return `epochs`, or where it is None as many as make `target_steps` steps, within limits."""
    if epochs is not None:
        return epochs
    return min(max(math.ceil(target_steps / steps), FEWEST_EPOCHS), MOST_EPOCHS)


def copy_model(model: Any) -> Any:
    """Return a copy with layers of its own, so that training one leaves the other as it is.

    It is also a graph of its own: what TFMOT strips keeps the connections of the wrapped model beside the new ones.
    """
    copy = tf_keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def fine_tune(
    model: Any,
    data: FineTuningData,
    *,
    label: str,
    epochs: int,
    learning_rate: float,
    callbacks: Sequence[Any] = (),
    keep_from: int = 0,
) -> None:
    """Train `model` in place, and leave it with the weights of the best epoch on the validation split.

    Where the checkpoints hold the result of the same training, it is loaded instead.

    Args:
        model: from scaled pixels, with any of TFMOT's wrappers.
        data: images and targets.
        label: of the bar, and of the checkpoint.
        epochs: number of epochs.
        learning_rate: peak of the cosine for Adam.
        callbacks: TFMOT's.
        keep_from: the first epoch whose weights may be kept; 0 is the state before training.

    Raises:
        RunFailedError: the loss became NaN or infinite.
    """
    if epochs == 0 or _restore(model, data.checkpoints, label):
        return
    # networks that others trained may have layers that draw, such as Dropout
    tf_keras.utils.set_random_seed(data.batches.seed)
    steps = data.steps
    schedule = WarmupCosine(learning_rate, epochs * steps, min(steps, epochs * steps // 10))
    score = _scorer(model, data)
    best, kept = (score(), model.get_weights()) if keep_from == 0 else (-1.0, None)
    with data.progress.task(label, epochs * steps) as task, recent_statistics(model, epochs * steps):
        model.compile(tf_keras.optimizers.Adam(schedule), loss_of(data.teacher.model))
        reporter = _Reporter(task)
        for epoch in range(epochs):
            model.fit(
                data.epoch(epoch, epochs),
                epochs=epoch + 1,
                initial_epoch=epoch,
                steps_per_epoch=steps,
                callbacks=[*callbacks, reporter],
                verbose=0,
            )
            if not math.isfinite(reporter.loss):
                raise RunFailedError(
                    f"{label}: the loss became NaN or infinite in epoch {epoch + 1}; lower the learning rate"
                )
            if epoch + 1 >= keep_from:
                now = score()
                # without a validation split every epoch scores the same, and the last one is kept
                if now >= best:
                    best, kept = now, model.get_weights()
    if kept is not None:
        model.set_weights(kept)
    if data.checkpoints is not None:
        data.checkpoints.save(label, model.get_weights())


@contextlib.contextmanager
def recent_statistics(model: Any, steps: int) -> Iterator[None]:
    """Let the statistics of batch normalizations cover no more than a tenth of a training of `steps` steps.

    Those of keras.applications cover a hundred or a thousand (a momentum of 0.99 or 0.999), of which a short training
    leaves most as they were before channels went. The momenta are put back at the end.
    """
    most = max(BATCH_NORM_MOMENTUM, 1 - 10 / max(1, steps))
    before = [
        (layer, layer.momentum)
        for layer in model.submodules
        if isinstance(layer, tf_keras.layers.BatchNormalization) and layer.momentum > most
    ]
    for layer, _ in before:
        layer.momentum = most
    try:
        yield
    finally:
        for layer, momentum in before:
            layer.momentum = momentum


def _restore(model: Any, checkpoints: Checkpoints | None, label: str) -> bool:
    weights = None if checkpoints is None else checkpoints.load(label)
    if weights is None or [w.shape for w in weights] != [tuple(w.shape) for w in model.weights]:
        return False
    model.set_weights(weights)
    return True


def _scorer(model: Any, data: FineTuningData) -> Callable[[], float]:
    split = data.validation
    if split is None or len(split) == 0:
        return lambda: 0.0
    chosen = np.linspace(0, len(split) - 1, min(len(split), VALIDATION_IMAGES)).astype(np.int64)
    scale, at_once = data.input_scale, bounded_batch(SCORED_BATCH, *split.images.shape[1:3])
    predict: Any = tf.function(lambda x: model(x, training=False), reduce_retracing=True)

    def score() -> float:
        correct = 0
        for start in range(0, len(chosen), at_once):
            part = chosen[start : start + at_once]
            views = cut_views(split.images[part], model.input_shape[1])
            predictions = average_views(predict(tf.constant(views.astype(np.float32) * scale)).numpy(), len(part))
            correct += int((np.argmax(predictions, axis=1) == split.labels[part]).sum())
        return correct / len(chosen)

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
