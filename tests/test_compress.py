"""From a tiny trained network to files: what was asked for is in the file, counted there."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import colored_squares
import numpy as np
import pytest
from colored_squares import COLORS, NAMES, compress, short_recipe
from listener import Listener

from edgeclf import api
from edgeclf.artifact.provenance import integrity, read_provenance
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.artifact.tflite import TfliteModel, parse
from edgeclf.dataset import load_dataset
from edgeclf.dataset.types import Dataset
from edgeclf.errors import DataError, InputError, ModelError, OutputError
from edgeclf.inference.classifier import Classifier

tf_keras = pytest.importorskip("tf_keras")
pytest.importorskip("tensorflow_model_optimization")
from edgeclf.compression import CompressedModel, Recipe  # noqa: E402
from edgeclf.compression.choice import with_settings  # noqa: E402
from edgeclf.compression.export.graph_queries import float_operators  # noqa: E402
from edgeclf.compression.pipeline.model_folder import ModelFolder  # noqa: E402

pytestmark = pytest.mark.slow
layers = tf_keras.layers
FORMATS = ("float32", "float16", "dynamic", "int8", "int16x8", "int4")
TRAINED = (
    "qat-int8", "prune50-int8", "prune50-qat-int8", "prune50-float32", "prune50-float16", "prune2of4-int8",
    "cluster8-int8", "cluster8-qat-int8", "prune50-cluster8-int8", "prune50-cluster8-qat-int8",
)  # fmt: skip


@pytest.fixture(scope="module")
def data() -> Dataset:
    return colored_squares.dataset()


@pytest.fixture(scope="module")
def network(data: Dataset) -> Any:
    return colored_squares.network(data)


@pytest.fixture(scope="module")
def source(network: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("net") / "net.keras"
    network.save(path)
    return path


class Made(NamedTuple):
    """What one call made of many recipes.

    Attributes:
        models: by name of the recipe; behind a space the type of input and output, where it is not uint8.
        out: the folder they lie in.
        heard: the progress.
        mirrored: whether a batch was mirrored at random, each batch of each training.
    """

    models: dict[str, CompressedModel]
    out: Path
    heard: Listener
    mirrored: list[bool]


@pytest.fixture(scope="module")
def made(source: Path, data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Models of all kinds from one call, which trains once what they have in common."""
    recipes = {name: short_recipe(name) for name in (*FORMATS, *TRAINED)}
    for io in ("int8", "float32"):
        recipes |= {f"{name} {io}": with_settings(recipes[name], {"io": io}) for name in ("int8", "qat-int8")}
    out, heard = tmp_path_factory.mktemp("made"), Listener()
    with pytest.MonkeyPatch.context() as patched:
        mirrored = watch_mirroring(patched)
        keywords = {"data": data, "calibration": 30, "out": out, "progress": heard}
        models = compress(source, list(recipes.values()), **keywords).models
    return Made(dict(zip(recipes, models, strict=True)), out, heard, mirrored)


def watch_mirroring(patched: pytest.MonkeyPatch) -> list[bool]:
    """The list that grows with each batch: whether it is mirrored at random."""
    from edgeclf.training import views

    seen: list[bool] = []
    real = views.augment

    def watched(batch: Any, recipe: Any, random: Any) -> Any:
        seen.append(recipe.flip)
        return real(batch, recipe, random)

    patched.setattr(views, "augment", watched)
    return seen


def graph(path: str) -> TfliteModel:
    return parse(Path(path).read_bytes())


def weights_of(model: TfliteModel) -> list[Any]:
    kinds = ("CONV_2D", "FULLY_CONNECTED")
    return [model.tensors[op.inputs[1]] for op in model.operators if op.name in kinds]


@pytest.mark.parametrize("name", FORMATS)
def test_each_format(made: Made, data: Dataset, name: str) -> None:
    model = made.models[name]
    # where a call makes several of one name, each carries its digest
    assert re.fullmatch(rf"net-{name}(-[0-9a-f]{{6}})?\.tflite", Path(model.path).name)
    assert Path(model.path).parent == made.out
    content = Path(model.path).read_bytes()
    assert integrity(content) == "verified"
    assert model.size_bytes == len(content)
    assert model.gzip_bytes <= model.size_bytes
    assert model.split == "validation"
    assert model.top1 is not None
    assert model.top1 >= 0.9
    classifier = Classifier(model.path)
    assert classifier.labels == NAMES
    assert parse(content).inputs[0].dtype == "uint8"
    validation = data.splits["validation"]
    assert (classifier.top1(np.asarray(validation.images)) == validation.labels).mean() == model.top1
    stored = json.loads(Path(model.path).with_suffix(".json").read_text(encoding="utf-8"))
    assert Recipe.from_dict(stored["recipe"]).name == name
    assert stored["model"]["top1"] == model.top1
    made_by = read_provenance(content)
    assert made_by is not None
    assert (made_by.recipe["name"], made_by.recipe["io"], made_by.recipe["seed"]) == (name, "uint8", 0)
    assert made_by.recipe["digest"] == model.digest == Recipe.from_dict(stored["recipe"]).digest


@pytest.mark.parametrize("io", ["uint8", "int8", "float32"])
@pytest.mark.parametrize("name", ["int8", "qat-int8"])
def test_the_inner_graph_is_integer(made: Made, io: str, name: str) -> None:
    found = made.models[name if io == "uint8" else f"{name} {io}"]
    model = graph(found.path)
    assert (model.inputs[0].dtype, model.outputs[0].dtype) == (io, io)
    assert model.inputs[0].shape == (1, 16, 16, 3)
    assert float_operators(model) == ()
    inner = [op.name for op in model.operators]
    edges = {"uint8": ("QUANTIZE", "QUANTIZE"), "float32": ("QUANTIZE", "DEQUANTIZE")}.get(io)
    if edges:
        assert (inner[0], inner[-1]) == edges
        inner = inner[1:-1]
    assert not {"QUANTIZE", "DEQUANTIZE", "MUL", "CAST"} & set(inner)
    if io == "uint8":
        assert model.inputs[0].scale == pytest.approx(1 / 255, rel=1e-6)
        assert model.inputs[0].zero_point == 0
    if io == "float32":
        assert read_provenance(Path(found.path).read_bytes()).input_range is None  # type: ignore[union-attr]
    assert found.top1 is not None
    assert found.top1 >= 0.9


@pytest.mark.parametrize("qat", [False, True])
def test_zeros_reach_the_file(made: Made, qat: bool) -> None:
    model = made.models["prune50-qat-int8" if qat else "prune50-int8"]
    assert model.sparsity is not None
    assert model.sparsity >= 0.5
    for tensor in weights_of(graph(model.path)):
        assert (tensor.values() == 0).mean() >= 0.5
    assert any("zeros are stored like all other weights" in note for note in model.notes)


def test_two_of_four(made: Made) -> None:
    model = made.models["prune2of4-int8"]
    assert model.recipe == "prune2of4-int8"
    checked = 0
    for tensor in weights_of(graph(model.path)):
        if tensor.shape[-1] % 4 == 0:
            assert ((tensor.values().reshape(-1, 4) == 0).sum(axis=1) >= 2).all()
            checked += 1
    assert checked == 2
    assert any("input channels in fours" in note for note in model.notes)


@pytest.mark.parametrize(
    "name", ["cluster8-int8", "cluster8-qat-int8", "prune50-cluster8-int8", "prune50-cluster8-qat-int8"]
)
def test_clusters_reach_the_file(made: Made, name: str) -> None:
    model = made.models[name]
    assert model.distinct_weights_per_channel_max is not None
    # The centroid of the zeros may be trained away from zero, where the mask of pruning holds them.
    beside_zero = 1 if name.startswith("prune") and "qat" in name else 0
    assert model.distinct_weights_per_channel_max <= 8 + beside_zero
    if name.startswith("prune"):
        assert model.sparsity is not None
        assert model.sparsity >= 0.5


def test_formats_and_later_steps_share_one_training(made: Made) -> None:
    first, second = (made.models[f"prune50-{name}"] for name in ("float32", "float16"))
    assert [first.recipe, second.recipe] == ["prune50-float32", "prune50-float16"]
    assert first.sparsity is not None
    assert min(first.sparsity, second.sparsity or 0) >= 0.5
    assert made.heard.tasks.count("pruning to 50 %") == 1


def test_the_same_call_gives_the_same_bytes(source: Path, data: Dataset, tmp_path: Path) -> None:
    (one,) = compress(source, "int8", data=data, calibration=30, out=tmp_path / "1").models
    (two,) = compress(source, "int8", data=data, calibration=30, out=tmp_path / "2").models
    assert Path(one.path).read_bytes() == Path(two.path).read_bytes()


def test_a_run_folder_brings_its_own_data(source: Path, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "colors"
    photos = tmp_path / "photos"
    import cv2

    for label, name in enumerate(("a", "b", "c")):
        for split, count in {"train": 12, "validation": 4}.items():
            (photos / split / name).mkdir(parents=True)
            for number in range(count):
                noise = np.random.default_rng([label, number, count]).integers(-30, 30, (16, 16, 3))
                pixels = np.clip(COLORS[label] + noise, 0, 255).astype(np.uint8)
                cv2.imwrite(str(photos / split / name / f"{number}.png"), pixels[..., ::-1])
    run.mkdir(parents=True)
    shutil.copy(source, run / "model.keras")
    record = {"name": "colors", "data": {"source": str(photos), "class_names": ["a", "b", "c"]}, "finished": True}
    (run / "run.json").write_text(json.dumps(record))
    (made,) = compress(run, "int8").models
    assert made.path == str(run / "compressed" / "colors-int8.tflite")
    assert [path.name for path in RunFolder(run).models()] == ["colors-int8.tflite"]
    assert sorted(path.name for path in (run / "compressed").iterdir()) == ["colors-int8.json", "colors-int8.tflite"]
    assert Classifier(made.path).labels == ("a", "b", "c")


def test_networks_without_scaling_are_measured_or_given(data: Dataset, tmp_path: Path) -> None:
    tf_keras.utils.set_random_seed(0)
    model = tf_keras.Sequential(
        [
            layers.InputLayer((16, 16, 3)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(tf_keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    train = data.splits["train"]
    model.fit(np.asarray(train.images) / 127.5 - 1, train.labels, epochs=10, batch_size=16, verbose=0)
    model.save(tmp_path / "foreign.h5")
    with pytest.raises(InputError, match="does not state which input values it expects"):
        compress(tmp_path / "foreign.h5", "float32", out=tmp_path)
    report = compress(tmp_path / "foreign.h5", ["int8", "float32"], data=data, calibration=30, out=tmp_path)
    assert all(made.top1 is not None and made.top1 >= 0.9 for made in report.models)
    given = compress(
        tmp_path / "foreign.h5", "int8", data=data, calibration=30, input_range=(-1, 1), out=tmp_path / "given"
    )
    assert given.models[0].top1 == report.models[0].top1
    assert float_operators(graph(given.models[0].path)) == ()


def test_a_saved_model_gets_the_same_clean_graph(source: Path, network: Any, data: Dataset, tmp_path: Path) -> None:
    network.export(tmp_path / "exported")
    exported = tmp_path / "exported"
    (made,) = compress(exported, "int8", data=data, calibration=30, out=tmp_path, speed=True).models
    assert made.speed is not None
    model = graph(made.path)
    assert "MUL" not in [op.name for op in model.operators]
    # The exporter folds the scaling into the first convolution; else it is the input's own quantization.
    assert any(model.inputs[0].scale == pytest.approx(scale, rel=1e-6) for scale in (1, 1 / 255))
    assert made.top1 is not None
    assert made.top1 >= 0.9
    with pytest.raises(ModelError, match="needs a tf-keras"):
        compress(tmp_path / "exported", "qat-int8", data=data, out=tmp_path)


def test_written_characters_are_not_mirrored(
    made: Made, source: Path, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = watch_mirroring(monkeypatch)
    compress(source, short_recipe("qat-int8"), data=replace(data, name="digits"), calibration=30, out=tmp_path)
    assert set(seen) == {False}
    assert set(made.mirrored) == {True}, "colors are"


def test_photos_of_a_run_without_augmentation_are_not_mirrored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder(tmp_path / "run", must_exist=False)
    api.train("digits", out=run.path, model="resnet8", image_size=8, epochs=2, batch_size=256, augment="none")
    # as photos of objects would have it
    run.write_record({**run.run_json, "config": {**run.run_json["config"], "flip": True}})
    seen = watch_mirroring(monkeypatch)
    compress(run.path, short_recipe("qat-int8"), calibration=30)
    assert set(seen) == {False}


def test_nothing_is_overwritten_unasked(source: Path, data: Dataset, tmp_path: Path) -> None:
    compress(source, "float32", data=data, out=tmp_path)
    with pytest.raises(OutputError, match="exists; replace it with --overwrite"):
        compress(source, "float32", data=data, out=tmp_path)
    compress(source, "float32", data=data, out=tmp_path, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net-float32.json", "net-float32.tflite"]


def test_an_interrupted_call_goes_on(
    source: Path, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import edgeclf.compression.pipeline.model_folder as module

    real = module.atomic_file

    def dies(path: Path) -> Any:
        if "float16" in path.name:
            raise KeyboardInterrupt
        return real(path)

    monkeypatch.setattr(module, "atomic_file", dies)
    with pytest.raises(KeyboardInterrupt):
        compress(source, ["float32", "float16"], data=data, out=tmp_path)
    monkeypatch.setattr(module, "atomic_file", real)
    stamp = (tmp_path / "net-float32.tflite").stat().st_mtime_ns
    report = compress(source, ["float32", "float16"], data=data, out=tmp_path)
    assert [made.recipe for made in report.models] == ["float32", "float16"]
    assert (tmp_path / "net-float32.tflite").stat().st_mtime_ns == stamp
    assert not list(tmp_path.glob(".*"))


def test_calibration_images_that_no_format_takes_are_warned_of(source: Path, data: Dataset, tmp_path: Path) -> None:
    heard = Listener()
    compress(source, ["float32", "float16"], data=data, calibration=20, out=tmp_path / "both", progress=heard)
    line = "--calibration 20 has no effect: no format of float32, float16 takes ranges from images"
    assert line in heard.warned
    heard = Listener()
    compress(source, "float16", data=data, out=tmp_path / "default", progress=heard)
    compress(source, ["float16", "int8"], data=data, calibration=20, out=tmp_path / "int8", progress=heard)
    assert not any("--calibration" in line for line in heard.warned)


def test_bad_input_is_one_clear_line(source: Path, data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="int8 needs training images"):
        compress(source, "int8", out=tmp_path)
    with pytest.raises(InputError, match="--io int8 goes with int8 and int4 models, got float16"):
        compress(source, "float16", io="int8", data=data, out=tmp_path)
    with pytest.raises(InputError, match="unknown io 'int9'"):
        compress(source, "int8", io="int9", data=data, out=tmp_path)
    with pytest.raises(InputError, match="given twice"):
        compress(source, ["int8", "int8"], data=data, out=tmp_path)
    few = Dataset("two", "two", ("a", "b"), data.splits, 16, 16, "0", 1)
    with pytest.raises(DataError, match="2 classes, but the network has 3 output classes"):
        compress(source, "int8", data=few, out=tmp_path)
    assert not list(tmp_path.glob("*.tflite"))


def test_what_was_applied_stands_beside_the_recipe(made: Made) -> None:
    trained = ("trained", "nearest", False)
    for name, expected in (
        ("int8", ("extremes", "adaptive", True)),
        ("int4", ("extremes", "adaptive", True)),
        ("cluster8-int8", ("extremes", "nearest", True)),
        ("qat-int8", trained),
        ("cluster8-qat-int8", trained),
        ("float16", None),
    ):
        path = Path(made.models[name].path)
        applied = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["applied"]
        made_by = read_provenance(path.read_bytes())
        assert made_by is not None
        assert made_by.recipe["applied"] == applied
        keys = "ranges", "rounding", "bias_correction"
        assert applied == {} if expected is None else tuple(applied[key] for key in keys) == expected


def test_a_setting_that_training_leaves_without_effect_is_noted(source: Path, data: Dataset, tmp_path: Path) -> None:
    recipe = with_settings(short_recipe("qat-int8"), {"bias_correction": False})
    (model,) = compress(source, recipe, data=data, calibration=30, out=tmp_path).models
    assert "bias_correction=false has no effect: biases stay as training left them" in model.notes


def test_top1_on_images_that_chose_the_epoch_is_marked(made: Made, source: Path, data: Dataset, tmp_path: Path) -> None:
    plain, trained = made.models["float32"], made.models["qat-int8"]
    assert (plain.split, plain.selected_on) == ("validation", False)
    assert trained.selected_on is True
    made_by = read_provenance(Path(trained.path).read_bytes())
    assert made_by is not None
    assert made_by.metrics["validation"]["selected_on"] is True
    untouched = replace(data, splits={"train": data.splits["train"], "test": data.splits["validation"]})
    report = compress(source, short_recipe("qat-int8"), data=untouched, calibration=30, out=tmp_path / "test")
    assert (report.models[0].split, report.models[0].selected_on) == ("test", False)
    assert not any("chose the epoch" in note for note in report.notes)


def test_images_that_a_run_never_saw_chose_no_epoch_of_it(tmp_path: Path) -> None:
    run = tmp_path / "run"
    api.train("digits", out=run, model="resnet8", image_size=8, epochs=1, batch_size=256)
    known = load_dataset("digits", image_size=8)
    others = {
        name: replace(split, hashes=tuple(f"{name}-{row}" for row in range(len(split))))
        for name, split in known.splits.items()
    }
    for number, (data, chose) in enumerate(((known, True), (replace(known, splits=others), False))):
        report = compress(run, "float32", data=data, out=tmp_path / str(number))
        (model,) = report.models
        assert (model.split, model.selected_on) == ("validation", chose)
        assert not any("not finished" in note for note in report.notes)
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "finished": False}))
    heard = Listener()
    unfinished = compress(run, "float32", data=known, out=tmp_path / "unfinished", progress=heard)
    assert any("not finished; it goes on with edgeclf train --resume" in line for line in heard.warned)
    assert any("not finished" in note for note in unfinished.models[0].notes)


def test_a_network_with_dropout_is_fine_tuned_to_the_same_weights_again(data: Dataset, tmp_path: Path) -> None:
    inputs = layers.Input((16, 16, 3))
    x = layers.Flatten()(layers.MaxPooling2D(4)(layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)))
    x = layers.Dense(3, activation="softmax")(layers.Dropout(0.5)(x))
    colored_squares.trained(tf_keras.Model(inputs, x), data).save(tmp_path / "net.keras")
    files = []
    for number in range(2):
        recipe = with_settings(short_recipe("qat-int8"), {"qat_learning_rate": 0.01})
        (model,) = compress(
            tmp_path / "net.keras", recipe, data=data, calibration=30, out=tmp_path / str(number)
        ).models
        files.append(Path(model.path).read_bytes())
    assert files[0] == files[1]


def test_frozen_layers_are_trained_too(network: Any, data: Dataset, tmp_path: Path) -> None:
    """Networks are saved with the layers frozen that a training left as they were; pruned, those have to recover."""
    made = tf_keras.models.clone_model(network)
    made.set_weights(network.get_weights())
    for layer in made.layers:
        layer.trainable = False
    made.save(tmp_path / "frozen.keras")
    network.save(tmp_path / "free.keras")
    # the layers themselves, by the order of their weights: the files have the names of two networks
    found = {}
    for name in ("frozen", "free"):
        (model,) = compress(
            tmp_path / f"{name}.keras", short_recipe("prune50-float32"), data=data, out=tmp_path / name
        ).models
        found[name] = [tensor.values() for tensor in weights_of(graph(model.path))]
    for ours, expected in zip(found["frozen"], found["free"], strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_a_softmax_in_front_of_what_only_shapes_is_one(network: Any) -> None:
    from edgeclf.graph.outputs import gives_probabilities

    assert gives_probabilities(network)
    scores, (image,) = network.outputs[0], network.inputs
    for behind in (layers.Reshape((3,)), layers.Flatten(), layers.Dropout(0.5), layers.Activation("linear")):
        assert gives_probabilities(tf_keras.Model(image, behind(scores)))
    logits = network.layers[-1].input
    for head in (layers.Dense(3), layers.Dense(3, activation="tanh"), layers.Reshape((8,))):
        assert not gives_probabilities(tf_keras.Model(image, head(logits)))
    assert gives_probabilities(tf_keras.Model(image, layers.Dense(3, activation="sigmoid")(logits)))
    assert gives_probabilities(tf_keras.Model(image, layers.Reshape((3,))(layers.Softmax()(layers.Dense(3)(logits)))))


def test_a_normalization_by_a_mean_image_stays_a_layer(data: Dataset, tmp_path: Path) -> None:
    tf_keras.utils.set_random_seed(0)
    images = np.asarray(data.splits["train"].images).astype(np.float32)
    norm = layers.Normalization(axis=(1, 2, 3))
    norm.adapt(images)
    x = inputs = layers.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, activation="relu")(norm(x))
    network = tf_keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Flatten()(x)))
    colored_squares.trained(network, data, epochs=3)
    network.save(tmp_path / "net.keras")
    settings = {"data": data, "out": tmp_path / "out", "fit_probabilities": False}
    made = compress(tmp_path / "net.keras", ["float32", "int8"], **settings).models
    expected = np.asarray(network(images))
    for model, tolerance in zip(made, (1e-5, 0.1), strict=True):
        found = Classifier(model.path).probabilities(np.asarray(data.splits["train"].images))
        np.testing.assert_allclose(found, expected, atol=tolerance)


def test_an_output_that_stays_float_is_said(source: Path, data: Dataset, tmp_path: Path) -> None:
    settings = {"float_operators": ("SOFTMAX",)}
    (model,) = compress(source, "int8", data=data, out=tmp_path, io="int8", **settings).models
    assert graph(model.path).outputs[0].dtype == "float32"
    assert "its output is float32, not int8: the last layer computes in float" in model.notes


def test_settings_of_int8_alone_are_refused_elsewhere(source: Path, tmp_path: Path) -> None:
    for name, value in (("equalization", True), ("bias_correction", False)):
        with pytest.raises(InputError, match=f"{name}={str(value).lower()} goes with int8 models, got float16"):
            compress(source, "float16", out=tmp_path / "out", **{name: value})


def test_an_interrupted_call_that_timed_nothing_is_timed(
    source: Path, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = ["float32", "float16"]

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(ModelFolder, "close", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compress(source, recipes, data=data, out=tmp_path)
    monkeypatch.undo()
    models = compress(source, recipes, data=data, out=tmp_path, speed=True).models
    assert all(model.speed is not None for model in models)
    for model in models:
        record = json.loads(Path(model.path).with_suffix(".json").read_text())
        assert record["model"]["speed"]["median_ms"] == model.speed.median_ms


def test_two_settings_of_a_step_lie_side_by_side(source: Path, data: Dataset, tmp_path: Path) -> None:
    for epochs in (1, 2):
        settings = {"qat_epochs": epochs, "batch_size": 16, "calibration": 30, "speed": False}
        api.compress(source, qat=True, data=data, out=tmp_path, **settings)
    names = sorted(path.name for path in tmp_path.glob("*.tflite"))
    assert len(names) == 2
    assert all(re.fullmatch(r"net-qat-int8-[0-9a-f]{6}\.tflite", name) for name in names)


def test_what_a_step_refuses_is_refused_before_any_training(source: Path, data: Dataset, tmp_path: Path) -> None:
    heard = Listener()
    recipes = [short_recipe("prune50-int8"), short_recipe("cluster256-int8")]
    small = tf_keras.Sequential(
        [layers.Rescaling(1 / 255, input_shape=(16, 16, 3)), layers.Conv2D(2, 3), layers.GlobalAveragePooling2D(),
         layers.Dense(3, activation="softmax")]
    )  # fmt: skip
    small.save(tmp_path / "small.keras")
    with pytest.raises(InputError, match="no weight tensor of more than 256 values"):
        compress(tmp_path / "small.keras", recipes, data=data, out=tmp_path / "out", progress=heard)
    assert not [task for task in heard.tasks if task.startswith("pruning")]


def test_a_network_that_takes_the_rows_of_a_picture_as_a_batch_becomes_int8(tmp_path: Path) -> None:
    tf_keras = pytest.importorskip("tf_keras")
    layers, data = tf_keras.layers, colored_squares.dataset()
    x = inputs = layers.Input((16, 16, 3))
    x = layers.Rescaling(1 / 255)(x)
    # a bias that is not zero: layers that share one of zeros are not rounded adaptively
    x = layers.Conv1D(8, 3, padding="same", activation="relu", bias_initializer="ones")(x)
    outputs = layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    colored_squares.trained(tf_keras.Model(inputs, outputs), data).save(tmp_path / "net.keras")
    report = colored_squares.compress(
        tmp_path / "net.keras", ["int8"], data=data, calibration=20, normalize="raw", out=tmp_path
    )
    (made,) = report.models
    assert made.top1 > 0.9
    graph = parse(Path(made.path).read_bytes())
    convolutions = [op for op in graph.operators if op.name == "CONV_2D"]
    assert [graph.tensors[op.outputs[0]].shape[0] for op in convolutions] == [16]
