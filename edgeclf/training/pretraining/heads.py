"""Puts the head of a pretext task on the features of a network, and takes it off again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeclf.training.augmentation import Augmentation

if TYPE_CHECKING:
    import tf_keras

    from edgeclf.dataset.types import ImageView, Split

FEATURES = "edgeclf_pretext_features"
"""Name of the layer that the head begins with."""
JUDGED_IMAGES = 2048
"""Validation images that an epoch is judged on at most, spread over the split."""


def replace_head(network: tf_keras.Model, make: Callable[[Any], Any]) -> tf_keras.Model:
    """Put another head on a classifier's features, which are what `transfer` takes over when `train` starts from it.

    Args:
        network: a classifier.
        make: from features, [N, C], to the outputs.
    """
    import tf_keras

    from edgeclf.training.transfer import Pretrained, features_of

    features = features_of(Pretrained(network, network.name))
    maps = features.output
    pool = tf_keras.layers.GlobalAveragePooling2D if maps.shape.rank == 4 else tf_keras.layers.Flatten
    return tf_keras.Model(features.inputs, make(pool(name=FEATURES)(maps)))


def extract_features(network: tf_keras.Model) -> tf_keras.Model:
    """Return the features of a network that `replace_head` made, with the same weights."""
    import tf_keras

    return tf_keras.Model(network.inputs, network.get_layer(FEATURES).input)


def unmixed(recipe: Augmentation) -> Augmentation:
    """Return the augmentation without what mixes two images: a mixture has no rotation and no second view."""
    return dataclasses.replace(recipe, mixup=0.0, cutmix=0.0)


def choose_judged(network: tf_keras.Model, split: Split) -> ImageView:
    """Choose the images of the validation split that an epoch is judged on; of objects each view is one."""
    images = split.each_view(network.input_shape[1]).images
    rows = np.unique(np.linspace(0, len(images) - 1, min(len(images), JUDGED_IMAGES)).astype(np.int64))
    return images.subset(rows)
