"""Make the small TFLite files in this folder with TensorFlow; the edge tests read them where there is no TensorFlow.

    python tests/tflite/make_models.py

Each is a network for scikit-learn's digits, scaled to 16x16 pixels, trained for a few seconds, and converted without
edgeclf's own writer: they stand for other people's files. `digits.npz` holds 200 test images with their labels.
`torch_digits.tflite` came from PyTorch: `examples/pytorch_model.py` with a network of 8 and 16 channels in two blocks,
12 epochs on the other digits as PNG files of 16x16 pixels.
"""

from __future__ import annotations

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tensorflow as tf
import tf_keras
from sklearn.datasets import load_digits

HERE = Path(__file__).parent
SIZE = 16
CLASSES = 10


def digit_images() -> tuple[np.ndarray, np.ndarray]:
    """uint8[N, 16, 16, 3] and int64[N]."""
    scans = load_digits()
    pixels = np.clip(scans.images * 16, 0, 255).astype(np.uint8)
    images = [cv2.resize(p, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR) for p in pixels]
    return np.repeat(np.stack(images)[..., None], 3, axis=3), scans.target.astype(np.int64)


def network(rescale: float | None, channels: int = 3, softmax: bool = True) -> Any:
    layers = tf_keras.layers
    x = inputs = layers.Input((SIZE, SIZE, channels), name="image")
    if rescale is not None:
        x = layers.Rescaling(rescale)(x)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2D(16, 1)(x)
    x = layers.Flatten()(layers.ReLU()(x))
    x = layers.Dense(CLASSES, activation="softmax" if softmax else None, name="scores")(x)
    return tf_keras.Model(inputs, x)


def fit(model: Any, images: np.ndarray, labels: np.ndarray, softmax: bool = True) -> Any:
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=not softmax)
    model.compile(tf_keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    model.fit(images.astype(np.float32), labels, epochs=15, batch_size=64, verbose=0)
    return model


def convert(model: Any, calibration: np.ndarray | None = None, io: Any = None, int16: bool = False) -> bytes:
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if calibration is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([row[None].astype(np.float32)] for row in calibration)
        if int16:
            kind = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
            converter.target_spec.supported_ops = [kind]
        else:
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if io is not None:
        converter.inference_input_type, converter.inference_output_type = io
    return bytes(converter.convert())


def oddities() -> dict[str, bytes]:
    """Models that are no image classifiers."""
    layers = tf_keras.layers
    vector = layers.Input((12,))
    one, two = layers.Input((8, 8, 3)), layers.Input((8, 8, 3))
    picture = layers.Input((8, 8, 3))
    made = {
        "not_images": tf_keras.Model(vector, layers.Dense(4, activation="softmax")(vector)),
        "two_inputs": tf_keras.Model([one, two], layers.Dense(4)(layers.Flatten()(layers.Add()([one, two])))),
        "picture_out": tf_keras.Model(picture, layers.Conv2D(3, 3, padding="same")(picture)),
        "upsampling": tf_keras.Model(
            picture, layers.Dense(4)(layers.Flatten()(layers.Conv2DTranspose(2, 3, strides=2, padding="same")(picture)))
        ),
        "four_channels": tf_keras.Model(
            (deep := layers.Input((8, 8, 4))), layers.Dense(4, activation="softmax")(layers.Flatten()(deep))
        ),
    }
    return {name: convert(model) for name, model in made.items()}


def main() -> None:
    tf_keras.utils.set_random_seed(1)
    images, labels = digit_images()
    train, held = np.arange(len(images)) >= 200, np.arange(len(images)) < 200
    np.savez_compressed(HERE / "digits.npz", images=images[held][..., 0], labels=labels[held])
    files: dict[str, bytes] = oddities()

    raw = fit(network(1 / 255), images[train], labels[train])
    some = images[train][:200]
    files["uint8"] = convert(raw, some, (tf.uint8, tf.uint8))
    files["int8"] = convert(raw, some, (tf.int8, tf.int8))
    files["uint8_to_float"] = convert(raw, some, (tf.uint8, tf.float32))
    files["int16x8"] = convert(raw, some, (tf.float32, tf.float32), int16=True)
    files["float_0_255"] = convert(raw)

    unit = fit(network(None), images[train] / 255, labels[train])
    files["float_0_1"] = convert(unit)
    files["uint8_0_1"] = convert(unit, some / 255, (tf.uint8, tf.uint8))
    signed = fit(network(None), images[train] / 127.5 - 1, labels[train])
    files["float_-1_1"] = convert(signed)
    files["int8_-1_1"] = convert(signed, some / 127.5 - 1, (tf.int8, tf.int8))
    bare = fit(network(None), images[train], labels[train])
    files["float_bare_0_255"] = convert(bare)

    logits = fit(network(1 / 255, softmax=False), images[train], labels[train], softmax=False)
    files["float_logits"] = convert(logits)
    gray = fit(network(1 / 255, channels=1), images[train][..., :1], labels[train])
    files["gray_uint8"] = convert(gray, some[..., :1], (tf.uint8, tf.uint8))

    for name, content in files.items():
        (HERE / f"{name}.tflite").write_bytes(content)
        print(f"{name:18} {len(content):7,} bytes")
    for name, model, scale in (("raw", raw, 1.0), ("unit", unit, 1 / 255), ("bare", bare, 1.0)):
        print(name, model.evaluate(images[held] * scale, labels[held], verbose=0))
    print("signed", signed.evaluate(images[held] / 127.5 - 1, labels[held], verbose=0))


if __name__ == "__main__":
    main()
