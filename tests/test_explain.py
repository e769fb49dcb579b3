"""Maps of evidence: what they are computed from, where they are drawn, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from command_line import document, edgeclf

from edgeclf import api
from edgeclf.artifact.float_twin import real_values
from edgeclf.artifact.inner_scores import find_inner_scores
from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.map_head import find_map_head
from edgeclf.artifact.model_file import ModelFile
from edgeclf.errors import InputError, ModelError, OutputError, UnknownNameError
from edgeclf.image.heatmap import draw_map, place_map
from edgeclf.image.shape import CROP, PAD, InputShape
from edgeclf.inference.activation_maps import MappingClassifier
from edgeclf.inference.classifier import Classifier
from edgeclf.inference.explaining import correlate
from edgeclf.inference.score_reader import ScoreReader

TFLITE = Path(__file__).parent / "tflite"


@pytest.fixture(scope="module")
def scans() -> np.ndarray:
    """Ten digits, uint8[10, 16, 16, 3]."""
    images = np.load(TFLITE / "digits.npz")["images"][:10]
    return np.repeat(images[..., None], 3, axis=-1)


@pytest.fixture
def photos(scans: np.ndarray, tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in (3, 7):
        assert cv2.imwrite(str(folder / f"{number}.png"), scans[number])
    return folder


@pytest.fixture(scope="module")
def digits() -> ModelFile:
    return ModelFile.read(locate_model("digits"))


def test_the_mean_of_a_map_is_the_logit_less_its_bias(digits: ModelFile, scans: np.ndarray) -> None:
    graph = digits.graph
    inner = find_inner_scores(graph)
    assert inner is not None
    head = graph.producer(inner.logits)
    assert head is not None
    bias = real_values(graph.tensors[head.inputs[2]])
    mapping = MappingClassifier(digits)
    reader = ScoreReader(digits, inner=inner, also_read=(find_map_head(graph).tensor,))
    step = graph.tensors[inner.logits].scale
    for image in scans:
        mapping.scores(image)
        reader.session.run(image[None])
        maps = np.stack([mapping.activation_map(index) for index in range(10)])
        assert maps.shape == (10, *mapping.map_size)
        # the logits are whole steps, and so are the pooled features that they are computed from
        assert np.abs(maps.mean(axis=(1, 2)) + bias - reader.logits()).max() < 4 * step


def test_a_classifier_with_maps_gives_the_same_probabilities(digits: ModelFile, scans: np.ndarray) -> None:
    plain, mapping = Classifier(digits), MappingClassifier(digits)
    assert np.array_equal(plain.probabilities(scans), mapping.probabilities(scans))
    assert plain.rule == mapping.rule


def test_random_weights_change_the_map(digits: ModelFile, scans: np.ndarray) -> None:
    """The check of Adebayo et al., 2018: a map that stays where weights are random shows the image, not the network."""
    pytest.importorskip("flatbuffers")
    from edgeclf.artifact.graph_cuts import GraphCutter
    from edgeclf.artifact.operators import WEIGHTED

    operators = digits.graph.operators
    weights = [operator.inputs[1] for operator in operators if operator.name in WEIGHTED]
    random = np.random.default_rng(0)
    changed = {}
    for kind, places in {"head": weights[-1:], "features": weights[:-1]}.items():
        names = {digits.graph.tensors[index].name for index in places}

        def shuffle(model: Any, tensors: Any, _: object, names: set[str] = names) -> None:
            for new, info in zip(model.subgraphs[0].tensors, tensors, strict=True):
                if info.name in names:
                    shuffled = random.permutation(np.frombuffer(info.data, np.uint8))
                    model.buffers[new.buffer].data = shuffled

        content = GraphCutter(digits.content).cut(range(len(operators)), shuffle).content
        changed[kind] = MappingClassifier(ModelFile(content, f"{kind}.tflite"), normalize="0..1")
    mapping = MappingClassifier(digits)
    for name, other in changed.items():
        alike = []
        for image in scans:
            best = int(mapping.scores(image).argmax())
            other.scores(image)
            alike.append(correlate(mapping.activation_map(best), other.activation_map(best)) or 0.0)
        assert abs(np.mean(alike)) < 0.5, (name, alike)
    assert correlate(mapping.activation_map(3), mapping.activation_map(3)) == pytest.approx(1)


@pytest.mark.parametrize("name", ["float_0_255.tflite", "int8.tflite", "gray_uint8.tflite"])
def test_another_head_is_refused_in_a_line_that_names_what_was_expected(name: str) -> None:
    with pytest.raises(ModelError, match="global average pooling and one fully connected layer behind the last") as e:
        MappingClassifier(ModelFile.read(TFLITE / name))
    assert str(e.value).startswith(f"{name}: ")
    assert "\n" not in str(e.value)


def test_damage_is_refused_where_the_head_is_looked_for(digits: ModelFile) -> None:
    pytest.importorskip("flatbuffers")
    from edgeclf.artifact.graph_cuts import GraphCutter

    sound = GraphCutter(digits.content).cut(range(len(digits.graph.operators))).content
    random = np.random.default_rng(0)
    found = 0
    for _ in range(150):
        damaged = np.frombuffer(sound, np.uint8).copy()
        damaged[random.integers(0, len(damaged), 40)] = random.integers(0, 256, 40)
        try:
            head = find_map_head(ModelFile(damaged.tobytes(), "damaged.tflite").graph)
        except ModelError:
            continue
        found += 1
        assert head.weights.shape == (10, 64)
    assert 0 < found < 150


def test_maps_need_an_engine_that_reads_inside() -> None:
    onnx = pytest.importorskip("onnxruntime")
    assert onnx
    with pytest.raises(InputError, match="runtime litert"):
        MappingClassifier(ModelFile.read(locate_model("digits")), runtime="onnxruntime")


def test_a_map_lies_where_the_network_saw_the_picture() -> None:
    hot = np.zeros((4, 4), np.float32)
    hot[0, 0] = 1
    # of a wide picture the middle enters by crop: its left edge is a quarter of the width
    placed, box = place_map(hot, 40, 80, InputShape(20, 20, CROP))
    assert (box, placed.shape) == ((20, 0, 60, 40), (40, 40))
    assert placed[0, 0] == 255
    assert placed[20:, 20:].max() == 0
    # by pad all of it enters, in the middle of the input: the first row of places lies in the gray above it
    placed, box = place_map(hot, 40, 80, InputShape(20, 20, PAD))
    assert (box, placed.shape) == ((0, 0, 80, 40), (40, 80))
    assert placed[0, 0] < 255
    drawn = draw_map(np.full((40, 80, 3), 100, np.uint8), hot, InputShape(20, 20, CROP))
    assert (drawn[:, :20] == 100).all()
    assert (drawn[0, 20] != 100).any()
    assert (draw_map(np.full((8, 8, 3), 255, np.uint8), -hot, InputShape(8, 8)) == 255).all()


def test_explain_on_the_command_line(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "why"
    found = document(tmp_path, "explain", "digits", photos, "--out", out)
    assert [source["method"] for source in found["sources"]] == ["class activation map"]
    assert [photo["label"] for photo in found["photos"]] == ["3", "7"]
    for photo in found["photos"]:
        (one,) = photo["maps"]
        picture = cv2.imread(one["saved"])
        assert picture is not None
        assert min(picture.shape[:2]) >= 240
        assert np.shape(one["rows"]) == tuple(found["sources"][0]["map_size"])
    if found["page"] is not None:
        page = Path(found["page"]).read_text(encoding="utf-8")
        assert page.count("<figure>") == 4
        assert all(Path(photo["maps"][0]["saved"]).name in page for photo in found["photos"])
    chosen = api.explain("digits", photos / "3.png", out=tmp_path / "eight", class_name="8").photos[0]
    assert (chosen.label, chosen.maps[0].label) == ("8", "3")
    assert chosen.maps[0].rows != tuple(map(tuple, found["photos"][0]["maps"][0]["rows"]))


def test_explain_refuses_before_it_writes(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "why"
    with pytest.raises(UnknownNameError, match="class 'nine'"):
        api.explain("digits", photos, out=out, class_name="nine")
    with pytest.raises(InputError, match="folder without image files"):
        api.explain("digits", tmp_path, out=out)
    assert not out.exists()
    with pytest.raises(OutputError, match="not empty"):
        api.explain("digits", photos, out=photos)
    done = edgeclf(tmp_path, "explain", TFLITE / "int8.tflite", photos, "--out", out)
    assert (done.exit_code, done.stderr.count("\n"), out.exists()) == (2, 1, False)


def test_the_page_of_explain_needs_no_package_that_draws(photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    program = (
        "import sys\n"
        "sys.modules['matplotlib'] = None\n"
        "from edgeclf import api\n"
        "print(api.explain('digits', sys.argv[1], out=sys.argv[2]).page)\n"
    )
    out = tmp_path / "why"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", program, photos, out], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == f"{out / 'index.html'}\n", done.stderr


def test_an_empty_text_is_neither_a_model_nor_a_folder(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(locate_model("digits"), tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="expected the name or path of a model, got nothing"):
        api.explain("", photos)
    with pytest.raises(InputError, match=r"expected the path of a folder \(--out\), got an empty text"):
        api.explain("digits", photos, out="", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits-int8.tflite", "photos"]


def test_options_that_a_model_has_no_use_for_are_refused(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "why"
    refused = r"^\S+: has no float network, and --trust-model is for these; leave it out$"
    with pytest.raises(InputError, match=refused):
        api.explain("digits", photos, out=out, trust_model=True)
    run = make_run(tmp_path, fit="stretch")
    for path in (run, run / "model.keras"):
        for option in ({"runtime": "tflite-runtime"}, {"threads": 2}):
            with pytest.raises(InputError, match=r"^\S+: has no model file, and --runtime and --threads are for these"):
                api.explain(path, photos, out=out, **option)
    assert not out.exists()


def test_another_fit_than_that_of_the_run_is_refused(photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    run = make_run(tmp_path, fit="crop")
    for path in (run, run / "model.keras"):
        with pytest.raises(InputError, match="the run was trained with the fit crop, got pad; leave --fit out"):
            api.explain(path, photos, out=tmp_path / "why", fit="pad")
        with pytest.raises(UnknownNameError, match="'nonsense'"):
            api.explain(path, photos, out=tmp_path / "why", fit="nonsense")


def make_run(folder: Path, fit: str) -> Path:
    """A run folder whose network is an empty file."""
    run = folder / "run"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"name": "run", "data": {"class_names": ["a"]}, "config": {"fit": fit}}))
    (run / "model.keras").touch()
    return run


@pytest.mark.slow
def test_grad_cam_is_the_class_activation_map_of_a_pooled_network(tmp_path: Path) -> None:
    tf_keras = pytest.importorskip("tf_keras")
    from network_builds import float_network, images

    from edgeclf.graph.grad_cam import GradCam
    from edgeclf.keras_files.explaining import NetworkExplainer

    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(1)
    inputs = layers.Input((16, 16, 3))
    maps = layers.Conv2D(6, 3, strides=2, activation="relu")(layers.Rescaling(1 / 255)(inputs))
    pooled = layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling2D()(maps))
    model = tf_keras.Model(inputs, pooled)
    image = images(16)[0]
    cam = GradCam(float_network(model), "pooled.keras")
    outputs, values = cam.explain(image, 2)
    features = tf_keras.Model(inputs, maps)(image[None].astype(np.float32))[0].numpy()
    expected = features @ model.layers[-1].get_weights()[0][:, 2] / features[..., 0].size
    assert cam.map_size == values.shape == (7, 7)
    assert np.allclose(values, expected, atol=1e-5)
    assert np.allclose(outputs, model(image[None].astype(np.float32))[0], atol=1e-6)
    # the check of Adebayo et al., 2018, on gradients: first the head, then all below it
    for layer in (model.layers[-1], model.layers[2]):
        kernel, bias = layer.get_weights()
        layer.set_weights([np.random.default_rng(5).permutation(kernel.ravel()).reshape(kernel.shape), bias])
        changed = GradCam(float_network(model), "random.keras").explain(image, 2)[1]
        assert abs(np.corrcoef(changed.ravel(), values.ravel())[0, 1]) < 0.9
    tf_keras.Model(inputs, layers.Dense(4, activation="sigmoid")(layers.GlobalAveragePooling2D()(maps))).save(
        tmp_path / "independent.keras"
    )
    with pytest.raises(UnknownNameError, match="'nonsense'"):
        NetworkExplainer(tmp_path / "independent.keras", fit="nonsense")
    explainer = NetworkExplainer(tmp_path / "independent.keras", fit="crop")
    assert explainer.input_shape.fit == "crop"
    independent = tf_keras.models.load_model(tmp_path / "independent.keras")(image[None].astype(np.float32))[0]
    np.testing.assert_allclose(explainer.explain(image, None)[0], independent, atol=1e-6)
    flat = tf_keras.Model(inputs, layers.Softmax()(layers.Dense(4)(layers.Flatten()(maps))))
    flat.trainable = False
    _, evidence = GradCam(float_network(flat), "flat.keras").explain(image)
    assert evidence.shape == (7, 7)
    assert np.abs(evidence).max() > 0
    dense = tf_keras.Model(inputs, layers.Dense(4, activation="softmax")(layers.Flatten()(inputs)))
    with pytest.raises(ModelError, match="dense.keras: Grad-CAM needs a feature map"):
        GradCam(float_network(dense), "dense.keras")
    with pytest.raises(ModelError, match="without a graph"):
        GradCam(dataclasses.replace(float_network(model), model=None), "saved.keras")
    head = layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling2D()(layers.Conv2D(6, 3)(inputs)))
    tf_keras.Model(inputs, head).save(tmp_path / "bare.keras")
    with pytest.raises(InputError, match="input values it expects; add --normalize NAME") as refused:
        api.explain(tmp_path / "bare.keras", tmp_path, out=tmp_path / "why")
    assert "--data" not in str(refused.value), "explain has no such option"
