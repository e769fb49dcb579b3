"""Where a compression's network, images and input range come from, and what is refused before any work."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import colored_squares
import numpy as np
import pytest
from colored_squares import compress
from listener import Listener

from edgeclf import api
from edgeclf.artifact.provenance import read_provenance
from edgeclf.dataset.types import Dataset
from edgeclf.errors import DataError, InputError, ModelError, UnknownNameError

tf_keras = pytest.importorskip("tf_keras")
pytest.importorskip("tensorflow_model_optimization")
from edgeclf.compression import Recipe, parse_recipe  # noqa: E402
from edgeclf.compression.compress_report import CompressedModel  # noqa: E402
from edgeclf.compression.pipeline.plan import CompressPlan  # noqa: E402
from edgeclf.compression.pipeline.request import check_request  # noqa: E402

layers = tf_keras.layers


def check(source: Path, *recipes: Recipe, **fields: Any) -> None:
    check_request(CompressPlan(str(source), recipes, **fields))


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


@pytest.fixture(scope="module")
def foreign(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that wants -1 to 1 and scales nothing inside."""
    tf_keras.utils.set_random_seed(0)
    model = tf_keras.Sequential(
        [layers.Conv2D(8, 3, activation="relu", input_shape=(16, 16, 3)), layers.GlobalAveragePooling2D(),
         layers.Dense(3, activation="softmax")]
    )  # fmt: skip
    path = tmp_path_factory.mktemp("foreign") / "foreign.h5"
    colored_squares.trained(model, data, low=-1, high=1, epochs=10).save(path)
    return path


@pytest.mark.slow
def test_the_input_range_that_was_given_is_said_and_kept(foreign: Path, data: Dataset, tmp_path: Path) -> None:
    heard = Listener()
    (made,) = compress(foreign, "float32", data=data, input_range=(-1, 1), out=tmp_path, progress=heard).models
    assert "pixels enter as -1 to 1 (given)" in heard.said
    assert made.network_input is not None
    assert (made.network_input.low, made.network_input.high, made.network_input.source) == (-1, 1, "given")
    stored = json.loads((tmp_path / "foreign-float32.json").read_text(encoding="utf-8"))
    assert CompressedModel.from_dict(stored["model"]) == made
    provenance = read_provenance(Path(made.path).read_bytes())
    assert provenance is not None
    assert provenance.recipe["network_input"]["source"] == "given"


@pytest.mark.slow
def test_the_input_range_that_was_measured_is_kept_with_its_scores(
    foreign: Path, data: Dataset, tmp_path: Path
) -> None:
    (made,) = compress(foreign, "float32", data=data, out=tmp_path).models
    assert made.network_input is not None
    assert made.network_input.source == ("measured" if made.network_input.decided else "assumed")
    assert set(made.network_input.scores or ()) == {"0..1", "-1..1", "0..255", "torch", "caffe"}
    assert (made.network_input.sentence in made.notes) == (not made.network_input.decided)


@pytest.mark.slow
def test_classes_in_another_order_than_the_folders_are_an_error_that_says_so(data: Dataset, tmp_path: Path) -> None:
    tf_keras.utils.set_random_seed(0)
    model = tf_keras.Sequential(
        [layers.Conv2D(8, 3, activation="relu", input_shape=(16, 16, 3)), layers.GlobalAveragePooling2D(),
         layers.Dense(3, activation="softmax")]
    )  # fmt: skip
    colored_squares.trained(model, data, low=-1, high=1, epochs=10)
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel[:, [1, 2, 0]], bias[[1, 2, 0]]])
    model.save(tmp_path / "shuffled.h5")
    heard = Listener()
    with pytest.raises(DataError, match="classes stand in another order than .*: name them with --labels FILE"):
        compress(tmp_path / "shuffled.h5", "float32", data=data, out=tmp_path, progress=heard)
    assert any("may number its classes in another order" in line for line in heard.warned)


@pytest.mark.slow
def test_scaling_twice_is_warned_of(source: Path, data: Dataset, tmp_path: Path) -> None:
    heard = Listener()
    # a little less than raw pixels, which leaves it better than chance
    compress(source, "float32", data=data, input_range=(0, 200), out=tmp_path, progress=heard)
    assert any("scales its input inside" in line for line in heard.warned)


@pytest.mark.slow
def test_the_float_top1_of_a_saved_model(source: Path, network: Any, data: Dataset, tmp_path: Path) -> None:
    (plain,) = compress(source, "float32", data=data, out=tmp_path).models
    network.export(tmp_path / "exported")
    (made,) = compress(tmp_path / "exported", "float32", data=data, out=tmp_path).models
    assert plain.float_top1 is not None
    assert made.float_top1 == plain.float_top1


@pytest.mark.slow
def test_the_float_top1_of_a_keras_3_network(foreign: Path, data: Dataset, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras", minversion="3")
    known = tf_keras.models.load_model(foreign, compile=False)
    model = keras.Sequential(
        [keras.layers.Input((16, 16, 3)), keras.layers.Conv2D(8, 3, activation="relu"),
         keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, activation="softmax")]
    )  # fmt: skip
    model.set_weights(known.get_weights())
    model.save(tmp_path / "three.keras")
    (made,) = compress(tmp_path / "three.keras", "float32", data=data, input_range=(-1, 1), out=tmp_path).models
    assert made.float_top1 is not None
    assert made.float_top1 >= 0.9
    assert made.top1 == made.float_top1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["int8", "int16x8", "qat-int8"])
def test_two_halves_of_the_calibration_are_always_compared(
    name: str, source: Path, data: Dataset, tmp_path: Path
) -> None:
    heard = Listener()
    recipe = colored_squares.short_recipe(name)
    (made,) = compress(source, recipe, data=data, calibration=30, out=tmp_path, progress=heard).models
    stored = json.loads(Path(made.path).with_suffix(".json").read_text(encoding="utf-8"))["calibration"]
    assert stored["halves_worst"] >= 1
    assert stored["halves_tensor"]
    assert any("calibration images are few" in note for note in made.notes)
    if name == "int16x8":
        assert "calibrating int16x8" in heard.tasks
    if name == "qat-int8":
        assert heard.tasks.index("calibrating") < heard.tasks.index("quantization-aware training")
    if name == "int8":
        assert heard.tasks.count("calibrating") == 1


@pytest.mark.slow
def test_halves_that_disagree_are_told_before_training(
    source: Path, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgeclf.compression.pipeline import preparation
    from edgeclf.compression.steps import fake_quantization

    heard = Listener()

    def stop(*_: Any, **__: Any) -> Any:
        raise InputError("training begins")

    monkeypatch.setattr(preparation, "compare_halves", lambda *_: (2.0, "conv", ("two halves disagree",)))
    monkeypatch.setattr(fake_quantization, "fine_tune", stop)
    with pytest.raises(InputError, match="training begins"):
        compress(source, "qat-int8", data=data, calibration=30, out=tmp_path, progress=heard)
    assert "two halves disagree" in heard.warned


def test_what_cannot_work_is_refused_before_the_network_is_loaded(source: Path, tmp_path: Path) -> None:
    int8, qat = Recipe(), parse_recipe("qat-int8")
    photos = tmp_path / "photos"
    photos.mkdir()
    with pytest.raises(ModelError, match="no such file or folder"):
        check(tmp_path / "nothing.keras", int8, data="digits")
    with pytest.raises(ModelError, match="neither a run folder"):
        check(photos, int8, data="digits")
    with pytest.raises(InputError, match="int8 needs training images, and net.keras names none"):
        check(source, int8)
    with pytest.raises(DataError, match="photos"):
        check(source, int8, data=str(photos))
    with pytest.raises(UnknownNameError, match="did you mean 'digits'"):
        check(source, int8, data="digitz")
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"data": {"source": str(tmp_path / "moved")}}))
    with pytest.raises(ModelError, match="has no model.keras yet"):
        check(run, int8)
    (run / "model.keras").write_bytes(source.read_bytes())
    with pytest.raises(DataError, match="the data of this run: .*name other data with --data"):
        check(run, int8)
    exported = tmp_path / "exported"
    exported.mkdir()
    (exported / "saved_model.pb").write_bytes(b"x")
    with pytest.raises(ModelError, match="exported is a SavedModel network; qat-int8 needs a tf-keras"):
        check(exported, qat, data="digits")


MISTAKES: list[dict[str, Any]] = [
    {"source": "nothing.keras"}, {"source": "net.keras", "io": "int9"}, {"source": "net.keras", "data": "digitz"},
    {"source": "net.keras", "data": "digits", "qat": True, "augment": "hevy"},
    {"source": "net.keras", "data": "digits", "qat": True, "qat_epoch": 1},
    {"source": "net.keras", "data": "digits", "recipes": "int8", "prune": 0.5},
    {"source": "net.keras", "data": "digits", "calibration": 0},
    {"source": "net.keras", "data": "digits", "float16": True, "io": "int8"},
]  # fmt: skip


def test_a_mistake_costs_no_import_of_tensorflow(source: Path) -> None:
    code = (
        "import sys\nfrom edgeclf import api, errors\n"
        f"for arguments in {MISTAKES!r}:\n"
        "    try:\n        api.compress(**arguments)\n"
        "    except errors.InputError as error:\n        print(error)\n"
        "    else:\n        raise SystemExit(f'accepted: {arguments}')\n"
        "    assert 'tensorflow' not in sys.modules, arguments\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=source.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(MISTAKES)


@pytest.mark.slow
def test_without_data_float_formats_are_made(source: Path, tmp_path: Path) -> None:
    report = api.compress(source, float32=True, out=tmp_path / "out")
    assert [made.recipe for made in report.models] == ["float32"]
    assert report.models[0].top1 is None


def with_code(function: Any, path: Path) -> Path:
    """A network with a Lambda that knows the colours: each class is the sum of one channel."""
    parts = [layers.Rescaling(1 / 255, input_shape=(16, 16, 3)), layers.Lambda(function), layers.Flatten()]
    network = tf_keras.Sequential([*parts, layers.Dense(3)])
    channel_of_class = np.argmax(colored_squares.COLORS, axis=1)
    network.layers[-1].set_weights([np.tile(np.eye(3)[:, channel_of_class], (256, 1)) / 256, np.zeros(3)])
    network.save(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_trusted_network_may_carry_code(suffix: str, data: Dataset, tmp_path: Path) -> None:
    path = with_code(lambda pixels: pixels * 0.5, tmp_path / f"code.{suffix}")
    for name in ("float32", "int8"):
        (made,) = compress(path, name, data=data, calibration=30, out=tmp_path, trust_model=True).models
        assert made.top1 is not None
    with pytest.raises(ModelError, match="--trust-model"):
        compress(path, "float32", data=data, out=tmp_path / "again")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["float32", "int8", "int16x8"])
def test_what_the_converter_refuses_is_one_line(name: str, data: Dataset, tmp_path: Path) -> None:
    def odd(pixels: Any) -> Any:
        import tensorflow as tf

        return tf.math.digamma(pixels + 1.0)

    path = with_code(odd, tmp_path / "odd.h5")
    data = dataclasses.replace(data, splits={"train": data.splits["train"]})  # untrained: not to be scored
    with pytest.raises(ModelError, match="the TFLite converter refuses this network: .*Digamma") as caught:
        compress(path, name, data=data, calibration=30, out=tmp_path / "out", trust_model=True)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
