"""Loss and metric of training on the labels and on what a teacher predicts (Hinton et al., 2015, arXiv:1503.02531)."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras

from edgeclf.training.soft_targets import SMALLEST_PROBABILITY


class DistillationLoss(tf_keras.losses.Loss):  # type: ignore[misc]
    """The cross-entropy with the labels and with the teacher: `(1 - w) CE(label, p) + w T^2 CE(teacher, p at T)`.

    Targets are float32[N, 2 C]: the labels' and, behind them, the teacher's probabilities, softened at `temperature`.

    Args:
        classes: C.
        weight: w, the fraction of the loss that is the teacher's.
        temperature: T.
        label_smoothing: of the labels' part.
    """

    def __init__(self, classes: int, weight: float, temperature: float, label_smoothing: float) -> None:
        super().__init__(name="distillation")
        self._classes, self._weight, self._temperature = classes, weight, temperature
        self._smoothing = label_smoothing

    def call(self, targets: Any, predicted: Any) -> Any:
        """Compute the loss of each image, float32[N]; `predicted` are probabilities, float32[N, C]."""
        labels, teacher = targets[:, : self._classes], targets[:, self._classes :]
        own = tf_keras.losses.categorical_crossentropy(labels, predicted, label_smoothing=self._smoothing)
        logarithms = tf.math.log(tf.maximum(predicted, SMALLEST_PROBABILITY)) / self._temperature
        soft = -tf.reduce_sum(teacher * tf.nn.log_softmax(logarithms), axis=-1)
        return (1 - self._weight) * own + self._weight * self._temperature**2 * soft


def label_accuracy(classes: int) -> tf_keras.metrics.Metric:
    """Make the metric `top1` that looks at the first `classes` columns of the targets alone."""

    def accuracy(targets: Any, predicted: Any) -> Any:
        return tf_keras.metrics.categorical_accuracy(targets[:, :classes], predicted)

    return tf_keras.metrics.MeanMetricWrapper(accuracy, name="top1")
