"""Files that would run foreign code are refused before anything in them is run; damaged ones are named in one line."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from edgeclf.errors import ModelError, UntrustedModelError
from edgeclf.keras_files.configuration import LARGEST_JSON, read_configuration
from edgeclf.keras_files.loading import load_float_model, load_network
from edgeclf.keras_files.trust import check_configuration

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
    source = load_network(tmp_path / f"net{suffix}")
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
        load_network(path)
    else:
        with pytest.raises(ModelError, match="a name that ends in .keras was expected"):
            load_network(path)
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


def saved_model(folder: Path, harm: Any = None, **hooks: Any) -> Path:
    """A SavedModel whose signature calls `harm`, and whose root object has the functions `hooks`."""
    import tensorflow as tf

    root = tf.Module()
    root.weights = tf.Variable(tf.ones((3, 2)))

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 3))])
    def inner(images: Any) -> Any:
        with tf.control_dependencies([] if harm is None else [harm()]):
            return {"scores": tf.reduce_mean(images, (1, 2)) @ root.weights}

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 3))])
    def serve(images: Any) -> Any:
        return tf.cond(tf.size(images) > 0, lambda: inner(images), lambda: inner(images * 2))

    for name, function in hooks.items():
        setattr(root, name, tf.function(function, input_signature=[]))
    tf.saved_model.save(root, str(folder), signatures={"serving_default": serve})
    return folder


def writing(kind: str, target: Path) -> Any:
    import tensorflow as tf

    raw, path = tf.raw_ops, str(target)
    harm: dict[str, Any] = {
        "WriteFile": lambda: raw.WriteFile(filename=path, contents="x"),
        "SaveV2": lambda: raw.SaveV2(prefix=path, tensor_names=["x"], shape_and_slices=[""], tensors=[tf.ones(2)]),
        "MergeV2Checkpoints": lambda: raw.MergeV2Checkpoints(checkpoint_prefixes=[path], destination_prefix=path),
        "ReadFile": lambda: raw.ReadFile(filename=path),
        "EagerPyFunc": lambda: tf.py_function(lambda: tf.constant(target.touch() is None), [], tf.bool),
    }
    return harm[kind]


@pytest.mark.parametrize("kind", ["SaveV2", "MergeV2Checkpoints", "WriteFile", "ReadFile", "EagerPyFunc"])
def test_a_saved_model_whose_signature_touches_files_is_refused(kind: str, tmp_path: Path) -> None:
    folder = saved_model(tmp_path / "net", writing(kind, tmp_path / "written"))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UntrustedModelError, match=rf"net holds the operator '{kind}'.*--trust-model"):
        load_network(folder)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_trusted_saved_model_may_do_what_it_likes(tmp_path: Path) -> None:
    import numpy as np

    folder = saved_model(tmp_path / "net", writing("SaveV2", tmp_path / "written"))
    source = load_network(folder, trust_model=True)
    source.network.call(np.ones((1, 8, 8, 3), np.float32))
    assert list(tmp_path.glob("written*"))


def test_functions_beside_the_signature_are_checked_since_loading_may_call_them(tmp_path: Path) -> None:
    folder = saved_model(tmp_path / "net", _restore_from_tensors=writing("ReadFile", tmp_path / "written"))
    with pytest.raises(UntrustedModelError, match="the operator 'ReadFile'"):
        load_network(folder)


def test_an_unknown_operator_is_refused(tmp_path: Path) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    folder = saved_model(tmp_path / "net")
    load_network(folder)
    stored = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    for function in stored.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            if node.op == "MatMul":
                node.op = "SomebodysMatMul"
    (folder / "saved_model.pb").write_bytes(stored.SerializeToString())
    with pytest.raises(UntrustedModelError, match="the operator 'SomebodysMatMul'"):
        load_network(folder)


def augmented_network(framework: Any, normalize: bool = True) -> Any:
    """With preprocessing, layers of training alone, and blocks of the kind that MobileNet is made of."""
    make = framework.layers
    x = inputs = make.Input((8, 8, 3))
    for layer in (
        make.Resizing(12, 12),
        make.RandomFlip(),
        make.RandomRotation(0.1),
        make.RandomContrast(0.1),
        make.Rescaling(1 / 127.5, -1),
        make.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0]),
        make.Conv2D(8, 3, strides=2, padding="same", use_bias=False, kernel_regularizer="l2"),
        make.BatchNormalization() if normalize else make.ReLU(),
        make.Activation("hard_sigmoid"),
        make.DepthwiseConv2D(3, padding="same"),
        make.LayerNormalization(),
        make.Activation("gelu"),
        make.Dropout(0.2),
        make.GlobalAveragePooling2D(),
    ):
        x = layer(x)
    return framework.Model(inputs, make.Dense(2, activation="softmax")(x))


@pytest.mark.parametrize("maker", ["tf-keras save", "tf-keras export", "Keras 3 export"])
def test_exports_of_keras_are_loaded_untrusted_without_their_augmentation(maker: str, tmp_path: Path) -> None:
    import numpy as np

    keras3 = pytest.importorskip("keras", minversion="3")
    network = augmented_network(keras3 if maker.startswith("Keras 3") else tf_keras, not maker.startswith("Keras 3"))
    if maker == "tf-keras save":
        network.compile("adam", "categorical_crossentropy")
        network.fit(np.ones((2, 8, 8, 3)), np.eye(2), verbose=0)
        network.save(tmp_path / "net")
    else:
        network.export(tmp_path / "net", **({"verbose": False} if maker.startswith("Keras 3") else {}))
    source = load_network(tmp_path / "net")
    images = np.random.default_rng(0).uniform(0, 255, (1, 8, 8, 3)).astype(np.float32)
    scores = np.asarray(source.network.call(images))
    np.testing.assert_allclose(scores, np.asarray(network(images, training=False)), atol=1e-5)
    assert bool(source.network.notes) == (maker != "tf-keras save")  # an export keeps the layers of training alone
    if source.network.notes:
        assert "random_rotation" in source.network.notes[0]


def test_an_export_in_training_mode_is_refused_in_one_line(tmp_path: Path) -> None:
    """Keras 3 exports a network with augmentation so that its batch normalization trains on."""
    keras3 = pytest.importorskip("keras", minversion="3")
    augmented_network(keras3).export(tmp_path / "net", verbose=False)
    with pytest.raises(ModelError, match=r"net: was exported in training mode \(AssignVariableOp in .*batch_norm"):
        load_network(tmp_path / "net")


def test_a_saved_model_in_16_bits_computes_in_float32(tmp_path: Path) -> None:
    import numpy as np

    from edgeclf.compression.export.converter import float_graph
    from edgeclf.graph.prepared_network import prepare_network

    tf_keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        network = small_network(layers.Conv2D(3, 1), layers.BatchNormalization())
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
    inputs = tf_keras.Input((8, 8, 3))
    tf_keras.Model(inputs, layers.Activation("linear")(network(inputs))).export(tmp_path / "net")
    loaded = load_network(tmp_path / "net").network
    images = np.random.default_rng(0).uniform(0, 255, (1, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(loaded.call(images), np.asarray(network(images), np.float32), atol=2e-3)
    assert float_graph(prepare_network(loaded))


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
        load_network(tmp_path)


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
        load_network(tmp_path / "table.keras")
    inputs = layers.InputLayer((None, None, 3))
    network = tf_keras.Sequential([inputs, layers.GlobalAveragePooling2D(), layers.Dense(2)])
    network.save(tmp_path / "open.keras")
    with pytest.raises(ModelError, match="input size is open"):
        load_network(tmp_path / "open.keras")
    image = layers.Input((8, 8, 3))
    flat = layers.GlobalAveragePooling2D()(image)
    named = tf_keras.Model(image, {"label": layers.Dense(2)(flat), "aux": layers.Dense(2)(flat)})
    named.save(tmp_path / "named.keras")
    with pytest.raises(ModelError, match=r"expected \[N, height, width, 3\]"):
        load_network(tmp_path / "named.keras")


def first_version_model(folder: Path, harm: str, mark: Path) -> Path:
    """A SavedModel of TensorFlow 1, which restores its variables with operators of its own graph."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        images = v1.placeholder(tf.float32, (None, 8, 8, 3))
        weights = v1.get_variable("weights", (3, 2), initializer=v1.zeros_initializer(), use_resource=True)
        write = tf.raw_ops.WriteFile(filename=str(mark), contents="x")
        with tf.control_dependencies([write] if harm == "signature" else []):
            scores = tf.reduce_mean(images, (1, 2)) @ weights
        session.run(v1.global_variables_initializer())
        signature = v1.saved_model.predict_signature_def({"images": images}, {"scores": scores})
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"serving_default": signature}, main_op=write if harm == "initializer" else None
        )
        builder.save()
    mark.unlink(missing_ok=True)
    return folder


@pytest.mark.parametrize("harm", ["nothing", "signature", "initializer"])
def test_saved_models_of_tensorflow_1_are_checked_too(harm: str, tmp_path: Path) -> None:
    mark = tmp_path / "written"
    folder = first_version_model(tmp_path / "net", harm, mark)
    if harm == "nothing":
        assert load_network(folder).network.classes == ("0", "1")
    else:
        with pytest.raises(UntrustedModelError, match="the operator 'WriteFile'"):
            load_network(folder)
    assert not mark.exists()


def test_a_configuration_that_unpacks_to_very_much_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", '{"keras_version": "2.15.0"}')
        archive.writestr("config.json", b" " * (LARGEST_JSON + 1))
    with pytest.raises(ModelError, match=r"config\.json has 67,108,865 bytes"):
        read_configuration(path)
