"""Networks behind a preprocessing that the file does not name, and measurements that cannot decide it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stranger_cases.case import Finding, case, run_command

SUBJECT = "normalization"
SIDE, CLASSES = 32, ("green", "orange", "violet")
_COLORS = np.array([[100, 140, 90], [170, 120, 70], [120, 90, 150]])
_MEAN, _STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
_ODD = "90,100,110/31,37,41"

Images = npt.NDArray[np.uint8]


def _photos(per_class: int, seed: int) -> tuple[Images, npt.NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(CLASSES)), per_class)
    light = random.normal(0, 22, (len(labels), 1, 1, 3))
    pixels = _COLORS[labels][:, None, None] + light + random.normal(0, 30, (len(labels), SIDE, SIDE, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8), labels


def _write(folder: Path) -> Path:
    """Write `photos/train/<class>` and `photos/test/<class>`."""
    import cv2

    for split, per_class, seed in (("train", 40, 1), ("test", 30, 2)):
        for number, (image, label) in enumerate(zip(*_photos(per_class, seed), strict=True)):
            place = folder / "photos" / split / CLASSES[label]
            place.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(place / f"{number:03}.png"), image[..., ::-1])
    return folder / "photos"


def _preprocess(name: str, images: Images) -> npt.NDArray[np.float32]:
    """As keras.applications does it, written out."""
    values = images.astype(np.float64)
    if name == "caffe":
        values = values[..., ::-1] - [103.939, 116.779, 123.68]
    elif name == "torch":
        values = (values / 255 - _MEAN) / _STD
    elif name == "tf":
        values = values / 127.5 - 1
    else:
        values = (values - [90, 100, 110]) / [31, 37, 41]
    return values.astype(np.float32)


@functools.cache
def _network(name: str) -> Any:
    """Train a small network behind a preprocessing."""
    import tf_keras

    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(1)
    x = inputs = layers.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(12, 3, strides=4)(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.6)(x))
    x = layers.GlobalAveragePooling2D()(x)
    model = tf_keras.Model(inputs, layers.Dense(len(CLASSES), activation="softmax")(x))
    model.compile(tf_keras.optimizers.Adam(0.03), "sparse_categorical_crossentropy")
    images, labels = _photos(40, 1)
    model.fit(_preprocess(name, images), labels, epochs=10, batch_size=24, verbose=0)
    return model


def _by_hand(name: str) -> float:
    images, labels = _photos(30, 2)
    found: npt.NDArray[Any] = np.asarray(_network(name)(_preprocess(name, images))).argmax(axis=1)
    return float((found == labels).mean())


@functools.cache
def _tflite(name: str, quantized: bool = False) -> bytes:
    """Convert it with TensorFlow alone, as others do; the file says nothing about its preprocessing."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(_network(name))
    if quantized:
        images, _ = _photos(20, 3)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([one[None]] for one in _preprocess(name, images))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    return bytes(converter.convert())


def _compress(folder: Path, name: str, *options: str) -> Finding:
    _network(name).save(folder / "net.h5")
    done = run_command("compress", folder / "net.h5", "--int8", "--data", _write(folder), *options, "--json")
    expected = _by_hand(name)
    if done.code:
        return Finding(f"{expected:.1%}", f"exit {done.code}", False)
    path = done.document["models"][0]["path"]
    # raw RGB in: benched by a client that knows nothing of the preprocessing
    report = run_command("bench", path, "--data", folder / "photos", "--runs", "5", "--json").document
    got = report["models"][0]["top1"]
    return Finding(f"{expected:.1%}", f"{got:.1%}", abs(got - expected) < 0.04)


@case(SUBJECT, "network behind BGR minus mean, compressed")
def _blue_first(folder: Path) -> Finding:
    return _compress(folder, "caffe", "--normalize", "caffe")


@case(SUBJECT, "network behind BGR minus mean, nothing said")
def _measured(folder: Path) -> Finding:
    return _compress(folder, "caffe")


@case(SUBJECT, "network behind per-channel mean and std, compressed")
def _per_channel(folder: Path) -> Finding:
    return _compress(folder, "torch", "--normalize", "torch")


@case(SUBJECT, "float .tflite behind odd mean and std, benched with the option")
def _foreign(folder: Path) -> Finding:
    (folder / "net.tflite").write_bytes(_tflite("odd"))
    done = run_command(
        "bench", folder / "net.tflite", "--data", _write(folder), "--normalize", _ODD, "--runs", "5", "--json"
    )
    expected, got = _by_hand("odd"), done.document["models"][0]["top1"]
    return Finding(f"{expected:.1%}", f"{got:.1%}", abs(got - expected) < 0.02)


@case(SUBJECT, "8-bit .tflite whose input spans none of the usual ranges")
def _odd_span(folder: Path) -> Finding:
    (folder / "net.tflite").write_bytes(_tflite("odd", quantized=True))
    data = _write(folder)
    plain = run_command("bench", folder / "net.tflite", "--data", data, "--runs", "5", "--json").document["models"][0]
    given = run_command(
        "bench", folder / "net.tflite", "--data", data, "--normalize", _ODD, "--runs", "5", "--json"
    ).document["models"][0]
    said = any("none of the usual ranges" in note and "--normalize" in note for note in plain["notes"])
    expected = _by_hand("odd")
    right = said and abs(given["top1"] - expected) < 0.04
    return Finding(
        f"a note, {expected:.1%} with the option", f"{'a note' if said else 'silent'}, {given['top1']:.1%}", right
    )


@case(SUBJECT, "network near chance on its own photos")
def _near_chance(folder: Path) -> Finding:
    _network("torch").save(folder / "net.h5")
    done = run_command("compress", folder / "net.h5", "--data", _write(folder), "--normalize=-9000..-8000")
    named = "--normalize" in done.stderr and "--labels" in done.stderr
    got = f"exit {done.code}, {'remedies named' if named else 'no remedy'}"
    return Finding("exit 2, remedies named", got, done.code == 2 and named)


@case(SUBJECT, "one photo, .tflite for -1..1 that does not say so")
def _one_photo(folder: Path) -> Finding:
    (folder / "net.tflite").write_bytes(_tflite("tf"))
    photos = sorted((_write(folder) / "test").rglob("*.png"))[::10]
    expected = {str(one): _label_by_hand(one) for one in photos}
    got, said = {}, True
    for photo in photos:
        document = run_command("predict", folder / "net.tflite", photo, "--top", "1", "--json").document
        got[str(photo)] = document["predictions"][0]["labels"][0]["index"]
        said = said and any("not decided" in note and "--normalize" in note for note in document["notes"])
    equal = sum(got[name] == expected[name] for name in expected)
    shown = f"{equal} of {len(expected)} labels, {'not decided' if said else 'stated as a fact'}"
    return Finding(f"{len(expected)} of {len(expected)} labels, not decided", shown, said and equal == len(expected))


@case(SUBJECT, "live with a .tflite that does not say what it expects")
def _frames(folder: Path) -> Finding:
    (folder / "net.tflite").write_bytes(_tflite("tf"))
    frames = _write(folder) / "test" / CLASSES[0]
    done = run_command("live", folder / "net.tflite", "--camera", frames, "--every-frame", "--json", "--threads", "1")
    said = "not decided" in done.stderr
    return Finding("says that nothing is decided", "says so" if said else "silent", said and done.code == 0)


def _label_by_hand(photo: Path) -> int:
    import cv2

    pixels = cv2.imread(str(photo))[None, ..., ::-1]
    return int(np.asarray(_network("tf")(_preprocess("tf", pixels))).argmax())
