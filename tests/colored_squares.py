"""Noisy squares of three colors, and a tiny network that tells them apart: real training in seconds."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeclf.dataset.types import Dataset, ImageView, Split

COLORS = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]])
NAMES = ("blue/sky", "green tea", "紅")
SHORT: dict[str, Any] = {"prune_epochs": 2, "cluster_epochs": 1, "qat_epochs": 1, "batch_size": 16}
"""Settings of recipes whose training takes a second."""
SIDE = 16


def short_recipe(name: str) -> Any:
    """The recipe of that name with a short training."""
    from edgeclf.compression import parse_recipe
    from edgeclf.compression.choice import with_settings

    return with_settings(parse_recipe(name), SHORT)


def compress(source: Any, recipes: Any, **keywords: Any) -> Any:
    """The report of `edgeclf.compress` for recipes or their names; speed is not measured unless asked for."""
    from edgeclf import api

    return api.compress(source, recipes=recipes, **{"speed": False, **keywords})


def split(per_class: int, seed: int) -> Split:
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), per_class)
    noise = random.normal(0, 40, (len(labels), SIDE, SIDE, 3))
    images = np.clip(COLORS[labels][:, None, None] + noise, 0, 255).astype(np.uint8)
    rows = np.arange(len(labels))
    return Split(
        ImageView(images, rows), labels, tuple(f"{seed}/{i}" for i in rows), tuple(f"{seed}-{i}" for i in rows)
    )


def dataset() -> Dataset:
    splits = {name: split(n, seed) for seed, (name, n) in enumerate({"train": 40, "validation": 10}.items())}
    return Dataset("colors", "colors", NAMES, splits, SIDE, SIDE, "f" * 32, 1)


def network(data: Dataset) -> Any:
    """A small residual network with its scaling inside, trained on `data`."""
    import tf_keras

    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(0)
    x = inputs = layers.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(1 / 255)(x)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.7)(x))
    y = layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
    y = layers.BatchNormalization(momentum=0.7)(y)
    x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return trained(tf_keras.Model(inputs, layers.Dense(3, activation="softmax")(x)), data)


def trained(model: Any, data: Dataset, low: float = 0.0, high: float = 255.0, epochs: int = 8) -> Any:
    """`model` after a few epochs on pixels between `low` and `high`."""
    import tf_keras

    model.compile(tf_keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    train = data.splits["train"]
    images = np.asarray(train.images).astype(np.float32) / 255 * (high - low) + low
    model.fit(images, train.labels, epochs=epochs, batch_size=16, verbose=0)
    return model
