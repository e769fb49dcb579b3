"""Networks from elsewhere: how they are built, and what they would run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from stranger_cases.case import Finding, case, run_command

SIDE = 32


def colored_squares(folder: Path, side: int = SIDE, classes: int = 3) -> Path:
    """Noisy squares of one color a class: 8 to train on, 3 to validate on."""
    import cv2

    random = np.random.default_rng(0)
    for split, count in (("train", 8), ("validation", 3)):
        for name in range(classes):
            target = folder / "photos" / split / f"class{name}"
            target.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                color = np.full(3, 60.0)
                color[name] = 200.0
                pixels = np.clip(random.normal(color, 25, (side, side, 3)), 0, 255).astype(np.uint8)
                cv2.imwrite(str(target / f"{number}.png"), pixels[..., ::-1])
    return folder / "photos"


def read_squares(photos: Path) -> Any:
    """The validation images as RGB, and their classes."""
    import cv2

    files = sorted((photos / "validation").rglob("*.png"))
    labels = [int(file.parent.name[-1]) for file in files]
    return np.stack([cv2.imread(str(file))[..., ::-1] for file in files]), np.asarray(labels)


def _network(framework: Any, front: Callable[[Any], Any], head: int = 3, dtype: str = "float32", order: int = 1) -> Any:
    """A network that weighs the colors, which are its classes, behind `front`; `order` -1: that turns RGB to BGR."""
    layers = framework.layers
    inputs = framework.Input((SIDE, SIDE, 3), dtype=dtype)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1, name="colors")(front(inputs)))
    x = layers.Dense(head, activation="softmax" if head > 1 else "sigmoid", dtype="float32", name="classes")(x)
    network = framework.Model(inputs, x)
    network.get_layer("colors").set_weights([np.eye(3, dtype=np.float32)[::order].reshape(1, 1, 3, 3), np.zeros(3)])
    kernel = 4 * np.eye(3) if head > 1 else [[-4.0], [4.0], [0.0]]
    network.get_layer("classes").set_weights([np.asarray(kernel, np.float32), np.zeros(head)])
    return network


def import_tf_keras() -> Any:
    import tf_keras

    import edgeclf.graph  # noqa: F401 - sets the variables that TensorFlow reads when it is first imported

    return tf_keras


def _compare(folder: Path, path: Path, photos: Path, expected: np.ndarray, recipe: str = "--int8") -> Finding:
    """Compress, and compare the labels of the model with those of Keras."""
    done = run_command("--json", "compress", path, recipe, "--data", photos, "--out", folder / "out")
    if done.code:
        return Finding("compressed", done.stderr.strip()[-200:], False)
    (model,) = (folder / "out").glob("*.tflite")
    _, labels = read_squares(photos)
    files = sorted((photos / "validation").rglob("*.png"))
    predicted = run_command("--json", "predict", model, *files).stdout.splitlines()
    rows = [json.loads(line) for line in predicted]
    rows = rows[0]["predictions"] if len(rows) == 1 and "predictions" in rows[0] else rows
    found = [int(str(row["labels"][0]["label"])[-1]) for row in rows]
    right, mine = float((expected == labels).mean()), float((np.asarray(found) == labels).mean())
    return Finding(f"top-1 {right:.2f}", f"top-1 {mine:.2f}", abs(right - mine) <= 0.12)


@case("loading", "preprocess_input of ResNet50 inside the network")
def caffe_inside(folder: Path) -> Finding:
    keras, photos = import_tf_keras(), colored_squares(folder)
    network = _network(keras, keras.applications.resnet50.preprocess_input, order=-1)
    network.save(folder / "net.h5")
    images, _ = read_squares(photos)
    return _compare(folder, folder / "net.h5", photos, np.asarray(network(images.astype(np.float32))).argmax(1))


@case("loading", "preprocess_input inside a Keras 3 file")
def keras3_inside(folder: Path) -> Finding:
    import_tf_keras()
    import keras  # noqa: TID251 - a file of Keras 3 is made

    photos = colored_squares(folder)
    network = _network(keras, keras.applications.mobilenet_v2.preprocess_input)
    network.save(folder / "net.keras")
    images, _ = read_squares(photos)
    return _compare(folder, folder / "net.keras", photos, np.asarray(network(images.astype(np.float32))).argmax(1))


@case("loading", "mixed_float16 and uint8 input")
def half(folder: Path) -> Finding:
    keras, photos = import_tf_keras(), colored_squares(folder)
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        network = _network(keras, keras.layers.Rescaling(1 / 127.5, -1), dtype="uint8")
    finally:
        keras.mixed_precision.set_global_policy("float32")
    network.save(folder / "net.h5")
    images, _ = read_squares(photos)
    return _compare(folder, folder / "net.h5", photos, np.asarray(network(images)).argmax(1))


@case("loading", "one sigmoid output")
def one_sigmoid(folder: Path) -> Finding:
    keras, photos = import_tf_keras(), colored_squares(folder, classes=2)
    network = _network(keras, keras.layers.Rescaling(1 / 255), head=1)
    network.save(folder / "net.h5")
    images, _ = read_squares(photos)
    expected = (np.asarray(network(images.astype(np.float32)))[:, 0] > 0.5).astype(int)
    return _compare(folder, folder / "net.h5", photos, expected)


@case("trust", "weights in another file (HDF5 external storage)")
def external_storage(folder: Path) -> Finding:
    import h5py

    keras = import_tf_keras()
    _network(keras, keras.layers.Rescaling(1 / 255)).save(folder / "net.h5")
    (folder / "secret").write_bytes(b"secret numbers")
    with h5py.File(folder / "net.h5", "a") as file:
        file.create_dataset("model_weights/more", (3,), "f4", external=[(str(folder / "secret"), 0, 12)])
    done = run_command("compress", folder / "net.h5", "--float32")
    return Finding(
        "refused, exit code 2", done.stderr.strip()[-90:], done.code == 2 and "external storage" in done.stderr
    )


@case("trust", "a SavedModel whose signature writes a file")
def writing_signature(folder: Path) -> Finding:
    import_tf_keras()
    import tensorflow as tf

    class Harm(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 3))])  # type: ignore[untyped-decorator]
        def serve(self, images: Any) -> Any:
            with tf.control_dependencies([tf.io.write_file(str(folder / "written"), "x")]):
                return tf.reduce_mean(images, (1, 2))

    harm = Harm()
    tf.saved_model.save(harm, str(folder / "net"), signatures=harm.serve)
    done = run_command("compress", folder / "net", "--float32", "--input-range", "0,1")
    held = done.code == 2 and "WriteFile" in done.stderr and not (folder / "written").exists()
    return Finding("refused, nothing written", done.stderr.strip()[-90:], held)
