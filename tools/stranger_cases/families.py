"""The smallest member of each family of keras.applications, with untrained weights: the same probabilities?"""

from __future__ import annotations

import contextlib
import functools
import io
from pathlib import Path
from typing import Any

import numpy as np

from stranger_cases.case import Finding, case, run_command
from stranger_cases.loading import colored_squares, import_tf_keras, read_squares

FAMILIES: dict[str, tuple[int, dict[str, Any]]] = {
    "MobileNet": (32, {"alpha": 0.25}),
    "MobileNetV2": (32, {"alpha": 0.35}),
    "MobileNetV3Small": (32, {"alpha": 0.75}),
    "EfficientNetB0": (32, {}),
    "EfficientNetV2B0": (32, {}),
    "RegNetX002": (32, {}),
    "RegNetY002": (32, {}),
    "NASNetMobile": (32, {}),
    "DenseNet121": (32, {}),
    "ResNet50": (32, {}),
    "ResNet50V2": (32, {}),
    "ResNetRS50": (32, {}),
    "InceptionV3": (75, {}),
    "Xception": (71, {}),
    "VGG16": (32, {"include_top": False, "pooling": "avg"}),
}
"""By name: side in pixels, settings. VGG16 gets a small head for its own of 120 million parameters; VGG19, ResNet101
and so on are the same layers again."""
WHOLE = ("MobileNet", "VGG16")
"""Converted whole in seconds; the converter takes half a minute to two minutes for each of the others."""
ADDITIONS = {
    "MobileNetV2": 2,
    "MobileNetV3Small": 3,
    "EfficientNetB0": 2,
    "EfficientNetV2B0": 3,
    "RegNetX002": 4,
    "RegNetY002": 4,
    "ResNet50": 4,
    "ResNet50V2": 4,
    "Xception": 4,
}
"""How many of their blocks end in an addition until each kind of block has come; behind, they only repeat. Cut there,
they are tried without `--all`; `tests/test_families.py` has whole ones, unconverted."""
FOREIGN_LAYERS = {"ConvNeXtTiny": 32, "InceptionResNetV2": 75}
"""Built of layers that only their own code defines."""


def _find_additions(keras: Any, network: Any) -> list[Any]:
    """Find the tensors that are sums: of layers, or of the operator + (RegNet)."""
    operator = "tf.__operators__.add"
    found = [one for one in network.layers if isinstance(one, keras.layers.Add) or one.name.startswith(operator)]
    return [layer.output for layer in found]


def _save(name: str, folder: Path, side: int, settings: dict[str, Any], additions: int | None = None) -> Any:
    """Save the network as it is built, or cut behind its first `additions` additions, with a head."""
    keras = import_tf_keras()
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    if additions is not None:
        settings = settings | {"include_top": False}
    network = getattr(keras.applications, name)(
        input_shape=(side, side, 3), weights=None, **({"classes": 3} | settings)
    )
    if not settings.get("include_top", True):
        features = network.output
        if additions is not None:
            features = keras.layers.GlobalAveragePooling2D()(_find_additions(keras, network)[additions - 1])
        # RegNet's own head has no softmax, whatever its arguments say
        head = keras.layers.Dense(3, activation=None if name.startswith("RegNet") else "softmax")
        network = keras.Model(network.input, head(features))
    with contextlib.redirect_stderr(io.StringIO()):
        network.save(folder / "net.h5")
    return network


def _family(name: str, additions: int | None, folder: Path) -> Finding:
    """Compress to float32, where nothing but the way into the file may change the probabilities."""
    side, settings = FAMILIES[name]
    network = _save(name, folder, side, settings, additions)
    options = ("--float32", "--input-range", "0,255", "--no-speed", "--out", folder / "out")
    done = run_command("--json", "compress", folder / "net.h5", *options)
    if done.code:
        return Finding("probabilities of Keras", done.stderr.strip()[-160:], False)
    from edgeclf.inference.classifier import Classifier

    (model,) = (folder / "out").glob("*.tflite")
    pixels = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), np.uint8)
    expected = np.asarray(network(pixels.astype(np.float32), training=False), np.float64)
    if not np.allclose(expected.sum(axis=1), 1, atol=1e-3):
        expected = np.exp(expected - expected.max(axis=1, keepdims=True))
        expected /= expected.sum(axis=1, keepdims=True)
    found = Classifier(model).probabilities(pixels)
    worst = float(np.abs(found - expected).max()) if found.shape == expected.shape else np.inf
    return Finding("probabilities of Keras", f"off by at most {worst:.1e}", worst <= 2e-3)


def _refused(name: str, side: int, option: str, words: str, folder: Path) -> Finding:
    """One line that says what in the network it is."""
    _save(name, folder, side, {}, ADDITIONS.get(name))
    data = ("--data", colored_squares(folder, side), "--input-range", "0,255")
    done = run_command("compress", folder / "net.h5", option, *data, "--out", folder / "out", "--quiet")
    last = done.stderr.strip().splitlines()[-1] if done.stderr else ""
    right = done.code == 2 and words in last and "Traceback" not in done.stderr and not list(folder.rglob("*.tflite"))
    return Finding(f"exit 2: {words}", f"exit {done.code}: {last[:140]}", right)


def _int8(folder: Path) -> Finding:
    """Compress to int8 and compare with Keras; untrained networks spread their probabilities little."""
    network = _save("MobileNet", folder, 32, {"alpha": 0.25})
    options = ("--int8", "--data", colored_squares(folder), "--input-range", "0,255", "--no-speed")
    done = run_command("--json", "compress", folder / "net.h5", *options, "--out", folder / "out")
    if done.code:
        return Finding("probabilities of Keras", done.stderr.strip()[-160:], False)
    from edgeclf.inference.classifier import Classifier

    (model,) = (folder / "out").glob("*.tflite")
    images, _ = read_squares(folder / "photos")
    expected = np.asarray(network(images[:3].astype(np.float32), training=False))
    worst = float(np.abs(Classifier(model).probabilities(images[:3]) - expected).max())
    return Finding("probabilities of Keras", f"off by at most {worst:.1e}", worst <= 0.03)


for _name in FAMILIES:
    case("families", f"{_name}, float32", slow=_name not in WHOLE)(functools.partial(_family, _name, None))
for _name, _additions in ADDITIONS.items():
    case("families", f"blocks of {_name}, float32")(functools.partial(_family, _name, _additions))
for _name, _side in FOREIGN_LAYERS.items():
    case("families", f"{_name}: layers of its own")(
        functools.partial(_refused, _name, _side, "--float32", "--trust-model")
    )
case("families", "MobileNet, int8")(_int8)
