"""What a training learns: how its network ends, its targets, its loss, and how an epoch is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from edgeclf.training.views import LABELLED, Views

if TYPE_CHECKING:
    import tf_keras

    from edgeclf.dataset.types import Split


class Judgement(NamedTuple):
    """How a network does on a split.

    Attributes:
        loss: mean over the images, nats where it is a cross-entropy.
        top1: fraction of the images for which it finds what it is to find.
    """

    loss: float
    top1: float


class Objective(Protocol):
    """What a training learns. A value that is handed to the trainer, which does the rest alike for all of them."""

    @property
    def views(self) -> Views:
        """What the network sees of each image, and its targets."""
        ...

    @property
    def keeps_last(self) -> bool:
        """Whether the network of the last epoch is kept, and not the one that validation chooses."""
        ...

    def complete(self, network: tf_keras.Model) -> tf_keras.Model:
        """Return the network that learns, made of a classifier whose head may be replaced."""
        ...

    def make_loss(self) -> Any:
        """Make the loss, as `tf_keras.Model.compile` takes it."""
        ...

    def make_metric(self) -> Any:
        """Make the metric `top1` of the training rows."""
        ...

    def judge(self, network: tf_keras.Model, split: Split) -> Judgement:
        """Judge a network on unseen images, always on the same views of them."""
        ...

    def extract(self, network: tf_keras.Model) -> tf_keras.Model:
        """Return what is kept of the network that learns, with the same weights."""
        ...


@dataclass(frozen=True)
class Classification:
    """The class of an image, and, where there is a teacher, what that predicts for it.

    Args:
        classes: number of classes.
        label_smoothing: fraction of the target spread over all classes.
        has_teacher: targets of a teacher stand behind those of the labels.
        teacher_weight: fraction of the loss that is the teacher's.
        temperature: at which both softmaxes are compared.
    """

    classes: int
    label_smoothing: float = 0.0
    has_teacher: bool = False
    teacher_weight: float = 0.5
    temperature: float = 2.0

    @property
    def views(self) -> Views:
        """One augmented view of each image."""
        return LABELLED

    @property
    def keeps_last(self) -> bool:
        """Validation chooses the epoch."""
        return False

    def complete(self, network: tf_keras.Model) -> tf_keras.Model:
        """Return the classifier itself."""
        return network

    def make_loss(self) -> Any:
        """Make the cross-entropy, with a part that is the teacher's where there is one."""
        import tf_keras

        from edgeclf.training.distillation import DistillationLoss

        if not self.has_teacher:
            return tf_keras.losses.CategoricalCrossentropy(label_smoothing=self.label_smoothing)
        return DistillationLoss(self.classes, self.teacher_weight, self.temperature, self.label_smoothing)

    def make_metric(self) -> Any:
        """Make the top-1 accuracy on the labels."""
        import tf_keras

        from edgeclf.training.distillation import label_accuracy

        return label_accuracy(self.classes) if self.has_teacher else tf_keras.metrics.CategoricalAccuracy("top1")

    def judge(self, network: tf_keras.Model, split: Split) -> Judgement:
        """Return cross-entropy and top-1 on unaugmented images."""
        from edgeclf.training.inference import predict_probabilities

        probabilities = predict_probabilities(network, split.images)
        of_truth = probabilities[np.arange(len(split.labels)), split.labels]
        loss = float(-np.log(np.maximum(of_truth, 1e-12)).mean())
        return Judgement(loss, float((probabilities.argmax(1) == split.labels).mean()))

    def extract(self, network: tf_keras.Model) -> tf_keras.Model:
        """Return the classifier itself."""
        return network
