"""An independent client, MediaPipe's ImageClassifier, opens the packaged file as it is and answers the same.

EDGECLF_MEDIAPIPE_PYTHON names a Python with mediapipe installed (tested with 1.2.2).
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import colored_squares
import cv2
import numpy as np
import pytest
import tflite_models
from presence import refuse

from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.provenance import Provenance
from edgeclf.compression.export.model_writer import package_model
from edgeclf.inference.classifier import Classifier
from edgeclf.inference.images import load_pixels

pytestmark = pytest.mark.slow

CLIENT = Path(__file__).parent / "mediapipe_client.py"


@pytest.fixture(scope="module")
def mediapipe_python() -> str:
    named = os.environ.get("EDGECLF_MEDIAPIPE_PYTHON")
    if not named:
        refuse("EDGECLF_MEDIAPIPE_PYTHON is not set")
    return named


def _answers(python: str, model: Path, files: list[Path]) -> list[Any]:
    listed = model.with_suffix(".list")
    listed.write_text("\n".join(map(str, files)), encoding="utf-8")
    done = subprocess.run([python, CLIENT, model, listed], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    answers: list[Any] = json.loads(done.stdout)
    return answers


@pytest.fixture(scope="module")
def cifar_model(cifar_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network, trained for seconds: what matters is that its answers differ."""
    tf = pytest.importorskip("tensorflow")
    import tf_keras

    layers = tf_keras.layers
    names = sorted(path.name for path in (cifar_folder / "train").iterdir())
    files = [
        (path, label) for label, name in enumerate(names) for path in sorted((cifar_folder / "train" / name).iterdir())
    ]
    images = np.stack([cv2.imread(str(path))[..., ::-1] for path, _ in files])
    labels = np.array([label for _, label in files])
    tf_keras.utils.set_random_seed(0)
    network = tf_keras.Sequential(
        [layers.Input((32, 32, 3)), layers.Rescaling(1 / 255), layers.Conv2D(16, 3, 2, activation="relu"),
         layers.Conv2D(32, 3, 2, activation="relu"), layers.Flatten(), layers.Dense(10, activation="softmax")]
    )  # fmt: skip
    network.compile("adam", "sparse_categorical_crossentropy")
    network.fit(images.astype(np.float32), labels, epochs=8, batch_size=32, verbose=0)
    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None].astype(np.float32)] for image in images[::10])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    content = package_model(
        bytes(converter.convert()), labels=names, provenance=Provenance(), description="CIFAR-10, small network"
    )
    path = tmp_path_factory.mktemp("mediapipe") / "cifar.tflite"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("which", "expected"), [("plain", 0.25), ("zoo", 0.75)])
def test_the_same_labels_on_500_images_of_the_models_own_size(
    which: str, expected: float, mediapipe_python: str, cifar_model: Path, cifar_folder: Path, tmp_path: Path
) -> None:
    """A network of the plain converter, packaged; and what training and compression as released have emitted."""
    files = sorted((cifar_folder / "test").glob("*/*"))
    assert len(files) == 500
    model = cifar_model
    if which == "zoo":
        model = tmp_path / "zoo.tflite"
        model.write_bytes(locate_model("cifar10").read_bytes())
    classifier = Classifier(model)
    right = 0
    for path, (label, index, score, order) in zip(files, _answers(mediapipe_python, model, files), strict=True):
        best = classifier.predict(path, top=10).labels
        assert (best[0].label, best[0].index) == (label, index), path
        # another client knows nothing of the fitted temperature
        _, _, plain = classifier.top1_with_confidence(load_pixels(path, classifier.input_shape)[None])
        assert plain[0] == pytest.approx(score, abs=1e-6), path
        assert set(order) == set(classifier.labels)
        right += label == path.parent.name
    assert right > expected * len(files)  # far from chance, so the answers mean something


@pytest.mark.parametrize(
    ("name", "input_range"),
    [("uint8", None), ("uint8_to_float", None), ("float_0_255", None), ("float_-1_1", (-1.0, 1.0)),
     ("float_0_1", (0.0, 1.0)), ("int16x8", None), ("int4", None)],
)  # fmt: skip
def test_every_input_and_output_type_and_any_label(
    name: str, input_range: tuple[float, float] | None, mediapipe_python: str, tmp_path: Path
) -> None:
    names = ("a b", "c/d", "Käse", "日本", "قطة", "50 %", "it's", '"quoted"', "zwei\tTabs", "🐈")
    model = tmp_path / "model.tflite"
    model.write_bytes(tflite_models.packaged(name, input_range, names))
    images, _ = tflite_models.digits()
    files = [tmp_path / f"{i:03}.png" for i in range(40)]
    for path, image in zip(files, images[:40], strict=True):
        cv2.imwrite(str(path), image[..., ::-1])
    classifier = Classifier(model)
    for path, (label, index, score, _) in zip(files, _answers(mediapipe_python, model, files), strict=True):
        best = classifier.predict(path).labels[0]
        assert (best.label, best.index) == (label, index)
        # its kernels for 4-bit weights round otherwise than those that edgeclf has compute them
        assert best.probability == pytest.approx(score, abs=4 / 256 if name == "int4" else 1e-5)


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A small trained network and its data."""
    pytest.importorskip("tensorflow_model_optimization")
    data = colored_squares.dataset()
    path = tmp_path_factory.mktemp("squares") / "squares.keras"
    colored_squares.network(data).save(path)
    return path, data


@pytest.mark.parametrize(
    ("recipe", "io"), [("int8", "uint8"), ("int8", "float32"), ("float16", "uint8"), ("qat-int8", "uint8")]
)
def test_what_compress_writes(
    recipe: str, io: str, mediapipe_python: str, squares: tuple[Path, Any], tmp_path: Path
) -> None:
    source, data = squares
    asked = colored_squares.short_recipe(recipe)
    # What the file itself computes: other clients know nothing of a fitted temperature.
    settings = {"calibration": 60, "io": io, "out": tmp_path, "fit_probabilities": False}
    (made,) = colored_squares.compress(source, asked, data=data, **settings).models
    assert made.recipe == recipe
    validation = data.splits["validation"]
    files = [tmp_path / f"{i:03}.png" for i in range(len(validation))]
    for path, image in zip(files, validation.images[: len(files)], strict=True):
        cv2.imwrite(str(path), image[..., ::-1])
    classifier = Classifier(made.path)
    right = 0
    answers = _answers(mediapipe_python, Path(made.path), files)
    for path, true, (label, index, score, order) in zip(files, validation.labels, answers, strict=True):
        best = classifier.predict(path).labels[0]
        assert (best.label, best.index) == (label, index)
        assert best.probability == pytest.approx(score, abs=1e-5)
        assert set(order) == set(colored_squares.NAMES)
        right += index == true
    assert right >= 0.9 * len(files)
