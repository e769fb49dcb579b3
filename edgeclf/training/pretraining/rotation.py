"""Rotation prediction: which of four rotations a picture was turned by (Gidaris et al., 2018, arXiv:1803.07728).

To see that, a network has to recognize what is in the picture and how it usually stands. As in the paper (section 3.1),
a step holds all four rotations of each image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgeclf.errors import InputError
from edgeclf.image.shape import check_image_size, show_size
from edgeclf.training.augmentation import Augmentation, Batch, augment
from edgeclf.training.config import TrainConfig
from edgeclf.training.objective import Judgement
from edgeclf.training.pretraining.heads import choose_judged, extract_features, replace_head, unmixed
from edgeclf.training.pretraining.method import Method

if TYPE_CHECKING:
    import tf_keras

    from edgeclf.dataset.types import Split

TURNS = 4
"""Quarter turns: 0, 1, 2 and 3."""


@dataclass(frozen=True)
class RotatedViews:
    """The four rotations of each image, which is augmented once, with the rotation as the target."""

    copies: int = TURNS
    columns: int | None = TURNS

    def draw(self, batch: Batch, recipe: Augmentation, random: np.random.Generator) -> Batch:
        """Augment the images and turn them."""
        batch = augment(batch, unmixed(recipe), random)
        count = len(batch.images)
        targets = np.tile(np.eye(TURNS, dtype=np.float32), (count, 1))
        return Batch(turn_images(batch.images), targets, np.repeat(batch.weights, TURNS))


@dataclass(frozen=True)
class Rotation:
    """The rotation of a picture."""

    @property
    def views(self) -> RotatedViews:
        """Four of each image."""
        return RotatedViews()

    @property
    def keeps_last(self) -> bool:
        """The last epoch is kept: how well rotations are recognized does not measure what the features are worth."""
        return True

    def complete(self, network: tf_keras.Model) -> tf_keras.Model:
        """Put a classifier of rotations on the features."""
        import tf_keras

        return replace_head(network, tf_keras.layers.Dense(TURNS, activation="softmax", dtype="float32"))

    def make_loss(self) -> Any:
        """Make the cross-entropy."""
        import tf_keras

        return tf_keras.losses.CategoricalCrossentropy()

    def make_metric(self) -> Any:
        """Make the fraction of the rotations that are recognized."""
        import tf_keras

        return tf_keras.metrics.CategoricalAccuracy("top1")

    def judge(self, network: tf_keras.Model, split: Split) -> Judgement:
        """Return cross-entropy and top-1 on the four rotations of unaugmented images."""
        from edgeclf.training.inference import predict_probabilities

        images = choose_judged(network, split)
        losses, right = [], []
        for turns in range(TURNS):
            turned = np.rot90(np.asarray(images), turns, axes=(1, 2))
            found = predict_probabilities(network, np.ascontiguousarray(turned))
            losses.append(-np.log(np.maximum(found[:, turns], 1e-12)))
            right.append(found.argmax(1) == turns)
        return Judgement(float(np.mean(losses)), float(np.mean(right)))

    def extract(self, network: tf_keras.Model) -> tf_keras.Model:
        """Return the features."""
        return extract_features(network)


def turn_images(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Turn square images uint8[N, S, S, 3] by 0, 1, 2 and 3 quarters: uint8[4 N, S, S, 3], those of one together."""
    turned = np.stack([np.rot90(images, turns, axes=(1, 2)) for turns in range(TURNS)], axis=1)
    return turned.reshape(-1, *images.shape[1:])


def _check_square(config: TrainConfig) -> None:
    height, width = check_image_size(config.image_size or 8)
    if height != width:
        raise InputError(
            f"rotation turns images by 90 degrees and needs a square input, got {show_size((height, width))} (width × "
            "height); use --image-size PIXELS, or --method barlow-twins, which takes any shape"
        )


ROTATION = Method(
    make=lambda recipe: Rotation(),
    paper="Gidaris et al., 2018 (arXiv:1803.07728)",
    pretext="rotations recognized",
    augment="standard",
    batch_size=32,
    learning_rate=0.05,
    steps=20_000,
    optimizer="sgd",
    weight_decay=5e-4,
    check=_check_square,
)
