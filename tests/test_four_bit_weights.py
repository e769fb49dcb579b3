"""Weights of 4 bits: integers and steps of the least error, what is stored, and the file that `compress` makes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgeclf
from edgeclf.artifact.float_twin import make_float
from edgeclf.artifact.graph_cuts import GraphCutter
from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.macs import count_macs
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.operators import WEIGHTED
from edgeclf.artifact.tflite import TensorInfo, parse
from edgeclf.artifact.tflite_editor import INT4_VERSIONS, TfliteEditor
from edgeclf.artifact.wide_weights import with_int8_weights
from edgeclf.compression.compress_report import CompressedModel
from edgeclf.compression.export.four_bit_weights import LARGEST, choose_integers, find_narrow
from edgeclf.compression.export.tflite import TFLite
from edgeclf.compression.recipe import parse_recipe
from edgeclf.errors import InputError
from edgeclf.inference.litert import LITERT

Floats = npt.NDArray[np.float64]


@st.composite
def layers(draw: st.DrawFn) -> tuple[Floats, Floats]:
    """Weights of some channels, some of them zero, and the second moments of patches whose inputs go together."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows, inputs = draw(st.integers(1, 5)), draw(st.integers(1, 12))
    weights = random.standard_t(3, (rows, inputs)) * draw(st.sampled_from([1e-3, 1.0, 50.0]))
    weights[random.random(weights.shape) < draw(st.sampled_from([0.0, 0.3, 1.0]))] = 0
    patches = random.normal(size=(60, inputs)) + draw(st.sampled_from([0.0, 2.0])) * random.normal(size=(60, 1))
    return weights, patches.T @ patches / 60 + 0.01 * np.eye(inputs)


def errors(integers: Floats, steps: Floats, wanted: Floats, moments: Floats) -> Floats:
    left = integers * steps[:, None] - wanted
    return np.asarray(np.einsum("ok,kl,ol->o", left, moments, left), np.float64)


@settings(deadline=None, max_examples=60)
@given(layers(), st.booleans())
def test_no_other_integer_is_better_and_the_nearest_ones_are_worse(case: tuple[Floats, Floats], one_step: bool) -> None:
    wanted, moments = case
    integers, steps = choose_integers(wanted, moments, one_step=one_step)
    assert np.array_equal(integers, np.rint(integers))
    assert np.abs(integers).max() <= LARGEST
    assert (integers[wanted == 0] == 0).all()
    assert (steps > 0).all()
    assert not one_step or np.ptp(steps) == 0
    found = errors(integers, steps, wanted, moments)
    slack = 1e-9 * np.maximum(np.einsum("ok,kl,ol->o", wanted, moments, wanted), 1e-30)
    for k in range(wanted.shape[1]):
        for integer in range(-LARGEST, LARGEST + 1):
            other = integers.copy()
            other[:, k] = np.where(wanted[:, k] == 0, other[:, k], integer)
            assert (errors(other, steps, wanted, moments) >= found - slack).all()
    spanning = np.maximum(np.abs(wanted).max(axis=1), 1e-30) / LARGEST
    spanning = np.full_like(spanning, spanning.max()) if one_step else spanning
    nearest = errors(np.rint(wanted / spanning[:, None]), spanning, wanted, moments)
    assert found.sum() <= nearest.sum() + slack.sum()
    assert one_step or (found <= nearest + slack).all()


def test_weights_that_are_multiples_of_a_step_are_kept() -> None:
    integers = np.array([[7.0, -3, 0, 1], [-7, 7, 2, 5]])
    steps = np.array([0.25, 3.0])
    found, chosen = choose_integers(integers * steps[:, None], np.eye(4))
    np.testing.assert_array_equal(found, integers)
    np.testing.assert_allclose(chosen, steps, rtol=1e-9)


def test_one_large_weight_does_not_take_the_levels_of_all_others() -> None:
    random = np.random.default_rng(0)
    wanted = np.append(random.normal(size=200), 9.0)[None]
    integers, steps = choose_integers(wanted, None)
    spanning = np.array([9.0 / LARGEST])
    nearest = np.rint(wanted / spanning)
    assert errors(integers, steps, wanted, np.eye(201)) < 0.8 * errors(nearest, spanning, wanted, np.eye(201))


# What is stored


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CompressedModel]:
    """The files that `compress` makes of the float twin of the zoo's `digits`, and their figures."""
    pytest.importorskip("tensorflow")
    folder = tmp_path_factory.mktemp("four bits")
    cutter = GraphCutter(ModelFile.read(locate_model("digits")).content)
    twin = cutter.cut(range(len(cutter.graph.operators)), make_float)
    # weights as training leaves them: those of the twin are multiples of a step, which are kept equal where they are
    editor, random = TfliteEditor(twin.content), np.random.default_rng(0)
    for index in {op.inputs[1] for op in editor.graph.operators if op.name in WEIGHTED}:
        values = np.asarray(editor.graph.tensors[index].values())
        step = np.abs(values).max() / 127
        editor.set_constant(index, (values + random.uniform(-0.5, 0.5, values.shape) * step).astype(np.float32))
    (folder / "digits.tflite").write_bytes(editor.pack())
    report = edgeclf.compress(
        folder / "digits.tflite", recipes=["int8", "int4"], data="digits", normalize="0..1", speed=False
    )
    return {model.recipe: model for model in report.models}


def weights_of(path: str) -> list[TensorInfo]:
    graph = ModelFile.read(path).graph
    return [graph.tensors[op.inputs[1]] for op in graph.operators if op.name in INT4_VERSIONS]


def test_all_but_the_first_and_the_last_layer_are_in_four_bits(made: dict[str, CompressedModel]) -> None:
    narrow, wide = weights_of(made["int4"].path), weights_of(made["int8"].path)
    assert [tensor.dtype for tensor in wide] == ["int8"] * 10
    assert [tensor.dtype for tensor in narrow] == ["int8", *["int4"] * 8, "int8"]
    values = [tensor.values() for tensor in narrow[1:-1]]
    assert all(value is not None and np.abs(value).max() == LARGEST for value in values)
    saved = sum(tensor.elements // 2 for tensor in narrow[1:-1])
    assert saved == (2 * 2304 + 4608 + 9216 + 512 + 18432 + 36864 + 2048) // 2
    # records, and the order of tables, take a little more or less
    assert made["int8"].size_bytes - made["int4"].size_bytes == pytest.approx(saved, abs=400)


def test_four_bits_cost_little(made: dict[str, CompressedModel]) -> None:
    model = made["int4"]
    assert model.difference is not None
    assert model.images is not None
    assert model.difference >= -2 / model.images
    macs = [count_macs(ModelFile.read(one.path).graph) for one in made.values()]
    assert macs[0] == macs[1]


def test_the_runtime_computes_the_same_from_packed_and_unpacked_weights(made: dict[str, CompressedModel]) -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    content = ModelFile.read(made["int4"].path).content
    unpacked = with_int8_weights(content, parse(content))

    def compute(model: bytes, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        # without XNNPACK, which takes 8-bit weights alone, and rounds some sums to the other side
        plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        native = Interpreter(model_content=model, experimental_op_resolver_type=plain)
        native.allocate_tensors()
        native.set_tensor(native.get_input_details()[0]["index"], image)
        native.invoke()
        return np.asarray(native.get_tensor(native.get_output_details()[0]["index"]), np.uint8)

    random = np.random.default_rng(0)
    for _ in range(20):
        image = random.integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
        np.testing.assert_array_equal(compute(content, image), compute(unpacked, image))


def test_the_file_says_which_kernels_it_needs(made: dict[str, CompressedModel]) -> None:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(ModelFile.read(made["int4"].path).content, 0)
    versions = {code.builtinCode: code.version for code in model.operatorCodes}
    assert versions[schema.BuiltinOperator.CONV_2D] == 7
    assert versions[schema.BuiltinOperator.FULLY_CONNECTED] < 10  # its weights have 8 bits


def test_an_odd_number_of_weights_is_packed(made: dict[str, CompressedModel]) -> None:
    editor = TfliteEditor(ModelFile.read(made["int8"].path).content)
    bias = next(op.inputs[2] for op in editor.graph.operators if op.name == "CONV_2D")
    editor.set_constant(bias, np.arange(-7, 8).astype(np.int8))  # 15 integers
    editor.store_as_int4([bias])
    stored = parse(editor.pack()).tensors[bias]
    packed = np.frombuffer(bytes(stored.data or b""), np.uint8)
    assert len(packed) == 8
    low, high = (packed & 0xF).astype(np.int8), (packed >> 4).astype(np.int8)
    both = np.stack([low, high], axis=1).ravel()[:15]
    np.testing.assert_array_equal(np.where(both > 7, both - 16, both), np.arange(-7, 8))


# What it does not go with


def test_a_network_without_layers_in_between_is_refused() -> None:
    tf_keras = pytest.importorskip("tf_keras")
    from edgeclf.artifact.normalization import RAW
    from edgeclf.compression.step import StepContext
    from edgeclf.graph.float_network import FloatNetwork, InputSpec
    from edgeclf.graph.prepared_network import prepare_network

    layers_of = tf_keras.layers
    model = tf_keras.Sequential(
        [layers_of.Rescaling(1 / 255, input_shape=(8, 8, 3)), layers_of.Conv2D(4, 3), layers_of.Flatten(),
         layers_of.Dense(3)]
    )  # fmt: skip
    spec = InputSpec(8, 8, RAW)
    network = prepare_network(FloatNetwork(model, lambda x: model(x, training=False), model, spec, tuple("abc")))
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    with pytest.raises(InputError, match="the network has none; make an int8 model of it"):
        TFLite("int4").export(network, StepContext(network, calibration_images=images))


def test_depthwise_first_and_last_layers_keep_eight_bits() -> None:
    graph = ModelFile.read(locate_model("clothing")).graph
    narrow = find_narrow(graph)
    weighted = [op for op in graph.operators if op.name in WEIGHTED]
    kept = [op for op in weighted if op.inputs[1] not in narrow]
    # MobileNetV1: a scaling, a convolution, 13 times depthwise and pointwise, and a dense layer
    assert [op.name for op in kept] == ["DEPTHWISE_CONV_2D", "CONV_2D", *["DEPTHWISE_CONV_2D"] * 13, "FULLY_CONNECTED"]
    assert [op.name for op in weighted if op.inputs[1] in narrow] == ["CONV_2D"] * 13


def test_settings_of_int8_and_trained_ranges_are_refused() -> None:
    for setting in ({"rounding": "nearest"}, {"ranges": "mse"}, {"bias_correction": False}, {"equalization": True}):
        with pytest.raises(InputError, match="goes with int8 models, got int4"):
            TFLite("int4", **setting)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="int8"):
        parse_recipe("qat-int4")


# Layers that need care


def network_around(weights: npt.NDArray[np.float32], bias: npt.NDArray[np.float32], *, dense: bool = True) -> Any:
    """A prepared network with a middle layer, dense or pointwise, of these weights: float32[12, 10], float32[10]."""
    tf_keras = pytest.importorskip("tf_keras")
    from edgeclf.artifact.normalization import RAW
    from edgeclf.graph.float_network import FloatNetwork, InputSpec
    from edgeclf.graph.prepared_network import prepare_network

    tf_keras.utils.set_random_seed(0)
    layers_of = tf_keras.layers
    pooling = layers_of.GlobalAveragePooling2D()
    inner = layers_of.Dense(10, activation="relu") if dense else layers_of.Conv2D(10, 1, activation="relu")
    model = tf_keras.Sequential(
        [layers_of.Rescaling(1 / 255, input_shape=(8, 8, 3)), layers_of.Conv2D(12, 3, strides=2, activation="relu"),
         *((pooling, inner) if dense else (inner, pooling)), layers_of.Dense(3)]
    )  # fmt: skip
    inner.set_weights([weights if dense else weights[None, None], bias])
    spec = InputSpec(8, 8, RAW)
    return prepare_network(FloatNetwork(model, lambda x: model(x, training=False), model, spec, tuple("abc")))


IMAGES = np.random.default_rng(3).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)


def exported(network: Any, io: str = "uint8") -> ModelFile:
    from edgeclf.compression.step import StepContext

    file = TFLite("int4", io).export(network, StepContext(network, calibration_images=IMAGES))
    assert isinstance(file, ModelFile)
    return file


@pytest.mark.parametrize("dense", [True, False], ids=["dense", "pointwise"])
@pytest.mark.parametrize("io", ["uint8", "int8", "float32"])
def test_a_layer_of_dead_and_tiny_channels_keeps_its_biases(io: str, dense: bool) -> None:
    random = np.random.default_rng(0)
    weights, bias = random.normal(size=(12, 10)).astype(np.float32), np.linspace(0.1, 1, 10, dtype=np.float32)
    weights[:, 0] = 0  # a filter that was pruned away as a whole
    weights[:, 1] *= 1e-12
    network = network_around(weights, bias, dense=dense)
    file = exported(network, io)
    assert file.graph.inputs[0].dtype == file.graph.outputs[0].dtype == io
    inner = [op for op in file.graph.operators if op.name in INT4_VERSIONS][1]
    narrow, entry, stored = (file.graph.tensors[inner.inputs[i]] for i in (1, 0, 2))
    assert narrow.dtype == "int4"
    assert len(narrow.scales) == (1 if dense else 10)
    values = np.asarray(stored.values(), np.float64) * entry.scale * np.asarray(narrow.scales, np.float64)
    # bias correction moves a channel by the mean error of its weights, and these two have none
    np.testing.assert_allclose(values[:2], bias[:2], rtol=2e-3)
    session = LITERT.open(file)
    dtype = np.dtype(io)
    for image in IMAGES[:10]:
        pixels = image[None].astype(np.int16) - (128 if io == "int8" else 0)
        scores = session.run(np.ascontiguousarray(pixels.astype(dtype)))
        output = file.graph.outputs[0]
        real = (scores.astype(np.float64) - output.zero_point) * output.scale if output.scale else scores
        expected = np.asarray(network.on_pixels(image[None]))
        np.testing.assert_allclose(real, expected, atol=0.12 * np.abs(expected).max())


def test_only_integers_that_fit_are_stored_in_four_bits(made: dict[str, CompressedModel]) -> None:
    editor = TfliteEditor(ModelFile.read(made["int8"].path).content)
    weight = next(op.inputs[1] for op in editor.graph.operators if op.name == "CONV_2D")
    with pytest.raises(ValueError, match="expected integers of -8 to 7"):
        editor.store_as_int4([weight])


def test_equal_weights_stay_equal() -> None:
    """The weights of a cluster, and the zeros of pruned ones, in a network that a step has marked."""
    from dataclasses import replace

    from edgeclf.compression.step import StepContext

    random = np.random.default_rng(0)
    clusters = np.array([-0.9, -0.4, 0.0, 0.35, 0.8], np.float32)
    weights = clusters[random.integers(0, 5, (12, 10))]
    network = network_around(weights, np.ones(10, np.float32))
    network = replace(network, invariants=replace(network.invariants, nearest_rounding=True))
    file = TFLite("int4").export(network, StepContext(network, calibration_images=IMAGES))
    assert isinstance(file, ModelFile)
    dense = next(op for op in file.graph.operators if op.name == "FULLY_CONNECTED")
    values = np.asarray(file.graph.tensors[dense.inputs[1]].values())
    for row, wanted in zip(values, weights.T, strict=True):
        assert all(np.unique(row[wanted == cluster]).size <= 1 for cluster in clusters)
        assert (row[wanted == 0] == 0).all()
