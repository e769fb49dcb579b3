"""Files that would run foreign code are refused before anything in them is run; damaged ones are named in one line."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from edgeclf.errors import ModelError, UntrustedModelError
from edgeclf.keras_files.loading import load_float_model, load_source, read_configuration
from edgeclf.keras_files.trust import check_configuration, check_saved_model_operators

tf_keras = pytest.importorskip("tf_keras")
layers = tf_keras.layers


def small_network(*extra: Any) -> Any:
    return tf_keras.Sequential(
        [
            layers.InputLayer((8, 8, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, activation="relu", kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            *extra,
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax"),
        ]
    )


def layer(name: str, **more: Any) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"layers": [{"class_name": name, "config": {"name": "x"}, **more}]}}


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_own_networks_load(tmp_path: Path, suffix: str) -> None:
    small_network().save(tmp_path / f"net{suffix}")
    assert load_float_model(tmp_path / f"net{suffix}").output_shape == (None, 2)
    source = load_source(tmp_path / f"net{suffix}")
    network = source.network
    assert (source.kind, network.input.height, network.input.width) == ("tf-keras", 8, 8)
    assert network.classes == ("0", "1")


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_lambda_is_refused_before_it_runs(tmp_path: Path, suffix: str) -> None:
    mark = tmp_path / "ran"
    code = f"lambda x: (open({str(mark)!r}, 'w').close(), x)[1]"
    path = tmp_path / f"net{suffix}"
    small_network(layers.Lambda(eval(code))).save(path)
    mark.unlink(missing_ok=True)
    with pytest.raises(UntrustedModelError, match=r"holds a Lambda layer .*--trust-model"):
        load_float_model(path)
    assert not mark.exists()
    load_float_model(path, trust_model=True)
    assert mark.exists()


@pytest.mark.parametrize(
    "config",
    [
        layer("Lambda"),
        layer("TFOpLambda"),
        layer("MyLayer"),
        layer("Dense", module="os"),
        layer("Dense", module="keras.layers", registered_name="evil>Dense"),
        layer("function", module="builtins") | {},
        {"class_name": "function", "module": "os", "config": "system"},
        {"class_name": "__lambda__", "config": {"value": "AAAA"}},
        {"class_name": "Dense", "config": {"activation": "my_fn"}},
        {"class_name": "Dense", "config": {"kernel_initializer": {"class_name": "get_file", "module": "keras.utils"}}},
    ],
)
def test_what_is_not_on_the_list_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(UntrustedModelError, match="net.h5 holds"):
        check_configuration(config, "net.h5")


@pytest.mark.parametrize("suffix", [".h5", ".keras", ".hdf5"])
def test_a_file_of_two_kinds_is_refused(tmp_path: Path, suffix: str) -> None:
    mark = tmp_path / "ran"
    code = f"lambda x: (open({str(mark)!r}, 'w').close(), x)[1]"
    hidden = small_network(layers.Lambda(eval(code)))
    for kind in ("keras", "h5"):
        hidden.save(tmp_path / f"hidden.{kind}")
        small_network().save(tmp_path / f"shown.{kind}")
    mark.unlink(missing_ok=True)
    # An archive in the part that HDF5 leaves to its users: the loader of .h5 finds HDF5 at a multiple of 512 bytes.
    path = tmp_path / f"front{suffix}"
    archive = (tmp_path / "shown.keras").read_bytes()
    room = 512
    while room < len(archive):
        room *= 2
    path.write_bytes(archive.ljust(room, b"\0") + (tmp_path / "hidden.h5").read_bytes())
    if suffix == ".keras":  # here the loader takes the archive, which is what was looked over
        load_source(path)
    else:
        with pytest.raises(ModelError, match="a name that ends in .keras was expected"):
            load_source(path)
    # An archive at the end, where zip looks for one, behind HDF5.
    path = tmp_path / f"back{suffix}"
    path.write_bytes((tmp_path / "shown.h5").read_bytes() + (tmp_path / "hidden.keras").read_bytes())
    with pytest.raises(ModelError, match="holds HDF5 and a zip archive in one file"):
        load_float_model(path)
    assert not mark.exists()


def test_registered_functions_and_wrapped_layers_are_refused(tmp_path: Path) -> None:
    wrapped = layers.TimeDistributed(layers.Dense(3))
    network = tf_keras.Sequential([layers.InputLayer((4, 3)), wrapped])
    network.save(tmp_path / "net.h5")
    with pytest.raises(UntrustedModelError, match="TimeDistributed"):
        load_float_model(tmp_path / "net.h5")


def test_a_saved_model_that_reads_files_is_refused() -> None:
    check_saved_model_operators({"Conv2D", "RestoreV2", "VarHandleOp"}, "net")
    for name in ("ReadFile", "EagerPyFunc", "TFRecordDataset"):
        with pytest.raises(UntrustedModelError, match=name):
            check_saved_model_operators({"Conv2D", name}, "net")


def test_damaged_files_are_named(tmp_path: Path) -> None:
    whole = tmp_path / "net.keras"
    small_network().save(whole)
    small_network().save(tmp_path / "net.h5")
    content, hdf5 = whole.read_bytes(), (tmp_path / "net.h5").read_bytes()
    broken = bytearray(content)
    broken[len(broken) // 2] ^= 0xFF
    for name, piece in {
        "cut.keras": content[: len(content) // 2],
        "flipped.keras": bytes(broken),
        "cut.h5": hdf5[: len(hdf5) // 2],
        "text.keras": b"hello, this is no network",
        "empty.keras": b"",
    }.items():
        path = tmp_path / name
        path.write_bytes(piece)
        with pytest.raises(ModelError, match=name) as caught:
            load_float_model(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="no such file"):
        load_float_model(tmp_path / "missing.keras")
    with pytest.raises(ModelError, match="neither a run folder"):
        load_source(tmp_path)


def test_weights_alone_are_not_enough(tmp_path: Path) -> None:
    small_network().save_weights(tmp_path / "only.h5")
    with pytest.raises(ModelError, match="weights alone"):
        read_configuration(tmp_path / "only.h5")


def test_keras_3_is_named_where_tf_keras_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "three.keras"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", json.dumps(layer("Dense", module="keras.layers")))
        archive.writestr("model.weights.h5", b"")
    path.write_bytes(stream.getvalue())
    assert read_configuration(path)[0] == "Keras 3"
    with pytest.raises(ModelError, match="saved by Keras 3; training needs tf-keras"):
        load_float_model(path)


def test_networks_that_are_no_image_classifiers_are_named(tmp_path: Path) -> None:
    tf_keras.Sequential([layers.InputLayer((5,)), layers.Dense(2)]).save(tmp_path / "table.keras")
    with pytest.raises(ModelError, match=r"expected \[N, height, width, 3\]"):
        load_source(tmp_path / "table.keras")
    inputs = layers.InputLayer((None, None, 3))
    network = tf_keras.Sequential([inputs, layers.GlobalAveragePooling2D(), layers.Dense(2)])
    network.save(tmp_path / "open.keras")
    with pytest.raises(ModelError, match="input size is open"):
        load_source(tmp_path / "open.keras")
