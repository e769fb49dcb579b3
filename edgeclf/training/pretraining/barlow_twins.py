"""Barlow Twins: two views of an image, numbers that agree between them and are not redundant (Zbontar et al., 2021).

arXiv:2103.03230. Why this one, for two cores and small batches:

- no negative examples, so no large batches (SimCLR wants thousands), no queue and no second network that is averaged
  (MoCo, BYOL): a step costs one pass over two views;
- no predictor and no stopped gradient, on whose balance SimSiam (arXiv:2011.10566) depends; VICReg (arXiv:2105.04906)
  has the same parts with three weights to be set instead of one;
- it was shown to gain where few labels follow: with 1 and 10 % of them.

The paper's projection has 8192 numbers for a ResNet-50 with 2048 features. Networks here have 64 to 1280 features, and
a step of 64 to 128 images, over which a correlation is known to about a tenth: a few hundred numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgeclf.errors import InputError
from edgeclf.training.augmentation import Augmentation, Batch, augment
from edgeclf.training.objective import Judgement
from edgeclf.training.pretraining.heads import choose_judged, extract_features, replace_head, unmixed
from edgeclf.training.pretraining.method import Method

if TYPE_CHECKING:
    import tf_keras

    from edgeclf.dataset.types import Split
    from edgeclf.training.config import TrainConfig

DIMENSIONS = 256
"""Numbers of the projection, and of the hidden layer in front of it."""
FEWEST_COMPARED = 8
"""Images of a step, whose correlations are the loss: those of very few are noise, of one alone they are zero."""
REDUNDANCY = 0.005
"""Weight of a correlation off the diagonal; the paper's λ."""
_CHUNK = 128
"""Images that are matched with one another when an epoch is judged."""
_JUDGED_WITH = 20210304
_SMALLEST = 1e-4

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TwoViews:
    """Two views of each image, augmented apart from each other; the targets are not used."""

    copies: int = 2
    columns: int | None = 1

    def draw(self, batch: Batch, recipe: Augmentation, random: np.random.Generator) -> Batch:
        """Augment the images twice."""
        recipe = unmixed(recipe)
        views = [augment(batch, recipe, random).images for _ in range(2)]
        images = np.stack(views, axis=1).reshape(-1, *batch.images.shape[1:])
        return Batch(images, np.zeros((len(images), 1), np.float32), np.repeat(batch.weights, 2))


@dataclass(frozen=True)
class BarlowTwins:
    """The projection of an image that does not depend on how it is augmented.

    Args:
        recipe: what is done to the validation images, too.
    """

    recipe: Augmentation

    @property
    def views(self) -> TwoViews:
        """Two of each image."""
        return TwoViews()

    @property
    def keeps_last(self) -> bool:
        """The last epoch is kept: how well views are matched does not measure what the features are worth."""
        return True

    def complete(self, network: tf_keras.Model) -> tf_keras.Model:
        """Put a projection on the features: two dense layers, with batch normalization and ReLU between."""
        import tf_keras

        layers = tf_keras.layers

        def project(features: Any) -> Any:
            x = layers.Dense(DIMENSIONS, use_bias=False, dtype="float32")(features)
            x = layers.ReLU(dtype="float32")(layers.BatchNormalization(momentum=0.97, dtype="float32")(x))
            return layers.Dense(DIMENSIONS, use_bias=False, dtype="float32")(x)

        return replace_head(network, project)

    def make_loss(self) -> Any:
        """Make the loss of a step, the same number for each row; divided by the numbers of the projection."""
        import tensorflow as tf

        def redundancy(targets: Any, projected: Any) -> Any:
            pairs = tf.reshape(tf.cast(projected, tf.float32), (-1, 2, projected.shape[-1]))
            mean, variance = tf.nn.moments(pairs, axes=[0], keepdims=True)
            pairs = (pairs - mean) * tf.math.rsqrt(variance + _SMALLEST)
            correlation = tf.matmul(pairs[:, 0], pairs[:, 1], transpose_a=True) / tf.cast(
                tf.shape(pairs)[0], tf.float32
            )
            diagonal = tf.linalg.diag_part(correlation)
            rest = tf.reduce_sum(tf.square(correlation)) - tf.reduce_sum(tf.square(diagonal))
            loss = (tf.reduce_sum(tf.square(1 - diagonal)) + REDUNDANCY * rest) / float(projected.shape[-1])
            return tf.fill([tf.shape(projected)[0]], loss)

        return redundancy

    def make_metric(self) -> Any:
        """Make the fraction of the images of a step whose first view is most like their own second one."""
        import tensorflow as tf
        import tf_keras

        def matched(targets: Any, projected: Any) -> Any:
            pairs = tf.reshape(tf.cast(projected, tf.float32), (-1, 2, projected.shape[-1]))
            pairs = tf.math.l2_normalize(pairs - tf.reduce_mean(pairs, axis=0, keepdims=True), axis=-1)
            nearest = tf.argmax(tf.matmul(pairs[:, 0], pairs[:, 1], transpose_b=True), axis=1, output_type=tf.int32)
            right = tf.cast(nearest == tf.range(tf.shape(pairs)[0]), tf.float32)
            return tf.repeat(right, 2)

        return tf_keras.metrics.MeanMetricWrapper(matched, name="top1")

    def judge(self, network: tf_keras.Model, split: Split) -> Judgement:
        """Return the loss, and the fraction of the images whose views are matched, among 128 at a time."""
        from edgeclf.training.inference import predict_probabilities

        images = choose_judged(network, split)
        parts = []
        for start in range(0, len(images), _CHUNK):
            batch = Batch(images[start : start + _CHUNK], np.zeros((0, 1), np.float32), np.zeros(0, np.float32))
            random = np.random.default_rng([_JUDGED_WITH, start])
            views = self.views.draw(batch, self.recipe, random).images
            projected = predict_probabilities(network, views)
            parts.append((len(batch.images), *_compare(projected.reshape(len(batch.images), 2, -1))))
        counts, losses, top1 = np.array(parts, np.float64).T
        return Judgement(float(np.average(losses, weights=counts)), float(np.average(top1, weights=counts)))

    def extract(self, network: tf_keras.Model) -> tf_keras.Model:
        """Return the features."""
        return extract_features(network)


def _compare(pairs: Floats) -> tuple[float, float]:
    """Return loss and matched fraction of projected pairs, float32[N, 2, D], as the loss and the metric do."""
    centred = pairs - pairs.mean(axis=0, keepdims=True)
    scaled = centred / np.sqrt(centred.var(axis=0, keepdims=True) + _SMALLEST)
    correlation = scaled[:, 0].T @ scaled[:, 1] / len(pairs)
    diagonal = np.diagonal(correlation)
    rest = np.square(correlation).sum() - np.square(diagonal).sum()
    loss = (np.square(1 - diagonal).sum() + REDUNDANCY * rest) / pairs.shape[-1]
    unit = centred / np.maximum(np.linalg.norm(centred, axis=-1, keepdims=True), 1e-12)
    matched = (unit[:, 0] @ unit[:, 1].T).argmax(axis=1) == np.arange(len(pairs))
    return float(loss), float(matched.mean())


def _check_views(config: TrainConfig) -> None:
    """Refuse settings under which both views of an image are the same, which there is nothing to learn from."""
    if config.augment == "none":
        raise InputError("barlow-twins compares two changed views of an image, and augment=none changes nothing")
    if config.unaugmented_epochs:
        given = f"unaugmented_epochs={config.unaugmented_epochs:g}"
        raise InputError(f"barlow-twins compares two changed views of an image; leave {given} out")
    if config.batch_size is not None and config.batch_size < FEWEST_COMPARED:
        raise InputError(
            f"barlow-twins compares the images of a step with one another; expected a batch size of at least "
            f"{FEWEST_COMPARED}, got {config.batch_size}"
        )


BARLOW_TWINS = Method(
    make=BarlowTwins,
    paper="Zbontar et al., 2021 (arXiv:2103.03230)",
    pretext="views matched",
    augment="views",
    batch_size=64,
    learning_rate=2e-3,
    steps=20_000,
    check=_check_views,
)
