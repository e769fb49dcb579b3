"""A scaling of the input with an offset: int8 models carry it as the quantization of their input, without a layer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tf_keras

from edgeclf.artifact.entry_scaling import find_shiftable, whole_steps
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import RAW, Normalization
from edgeclf.artifact.tflite import parse
from edgeclf.compression import FineTuning, QuantizeAware, TFLite
from edgeclf.compression.export.converter import change_io, float_graph
from edgeclf.compression.export.input_offset import fold_scaling, move_offset, scaled_range
from edgeclf.compression.export.int8_format import observe, quantize_observed
from edgeclf.compression.step import StepContext
from edgeclf.doctor.findings.lossy_layer import pair_layers
from edgeclf.graph.float_network import FloatNetwork, InputSpec
from edgeclf.graph.prepared_network import prepare_network
from edgeclf.inference.litert import LITERT
from tests import colored_squares

layers = tf_keras.layers
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3)).astype(np.uint8)
SCALING = "DEPTHWISE_CONV_2D"
WHOLE = (2 / 255, -127 * 2 / 255, 127)
"""A scaling whose offset is a whole number of steps: scale, offset, and the pixel value that becomes 0."""
HALF = (1 / 127.5, -1.0, 128)
"""One that lies between two: 127.5 of them."""


def network(front: Any, *, padding: str = "same", first: Any = None) -> FloatNetwork:
    tf_keras.utils.set_random_seed(0)
    first = convolution(padding) if first is None else first
    stack = [*([] if front is None else [front]), first, convolution("same"), layers.Flatten(), layers.Dense(3)]
    model = tf_keras.Sequential([layers.InputLayer((8, 8, 3)), *stack])
    return prepared(FloatNetwork(model, lambda x: model(x, training=False), model, InputSpec(8, 8, RAW), tuple("abc")))


def prepared(given: FloatNetwork) -> FloatNetwork:
    made: FloatNetwork = prepare_network(given)
    return made


def convolution(padding: str) -> Any:
    return layers.Conv2D(8, 3, padding=padding, activation="relu", bias_initializer="random_normal")


def rescaling(scale: float, offset: float) -> Any:
    return layers.Rescaling(scale, offset)


def outputs(content: bytes, tensors: Any) -> Any:
    session = LITERT.open(ModelFile(content, "the model"))
    return np.concatenate([session.run(tensor[None]) for tensor in tensors])


def real_outputs(content: bytes) -> Any:
    (info,) = parse(content).outputs
    return (outputs(content, IMAGES).astype(np.float32) - info.zero_point) * info.scale


def exported(made: FloatNetwork, io: str = "uint8", **settings: Any) -> bytes:
    context = StepContext(made, calibration_images=IMAGES)
    return TFLite(**{"format": "int8", "io": io, **settings}).export(made, context).content


@pytest.mark.parametrize(("scale", "offset", "zero"), [WHOLE, HALF])
@pytest.mark.parametrize("settings", [{}, {"ranges": "mse"}, {"format": "int4"}, {"bias_correction": False}], ids=str)
def test_the_input_carries_the_scaling(scale: float, offset: float, zero: int, settings: dict[str, Any]) -> None:
    made = network(rescaling(scale, offset))
    content = exported(made, **settings)
    graph = parse(content)
    assert SCALING not in [op.name for op in graph.operators]
    assert graph.inputs[0].scale == pytest.approx(scale)
    assert graph.inputs[0].zero_point == zero
    plain = made.on_pixels(IMAGES).numpy()
    allowed = 0.25 if settings.get("format") == "int4" else 0.03
    np.testing.assert_allclose(real_outputs(content), plain, atol=allowed * float(np.ptp(plain)))


@pytest.mark.parametrize(("scale", "offset", "zero"), [WHOLE, HALF])
@pytest.mark.parametrize("io", ["uint8", "int8"])
def test_a_model_without_the_layer_computes_the_same_bits(scale: float, offset: float, zero: int, io: str) -> None:
    made = network(rescaling(scale, offset))
    quantized = quantize_observed(observe(made, IMAGES))
    assert SCALING in [op.name for op in parse(quantized).operators]
    folded = fold_scaling(quantized)
    assert [op.name for op in parse(folded).operators] == [
        op.name for op in parse(quantized).operators if op.name != SCALING
    ]
    pixels = IMAGES if io == "uint8" else (IMAGES.astype(np.int16) - 128).astype(np.int8)
    expected, found = (outputs(change_io(content, io), pixels) for content in (quantized, folded))
    np.testing.assert_array_equal(found, expected)
    shift = {"uint8": 0, "int8": -128}[io]
    entry = parse(change_io(folded, io)).inputs[0]
    assert (entry.zero_point, "scaling" in entry.name) == (zero + shift, False)


def test_nothing_is_left_of_the_layer() -> None:
    """Runtimes for microcontrollers refuse a tensor that nothing computes and nothing reads."""
    for io in ("uint8", "int8"):
        graph = parse(exported(network(rescaling(*HALF[:2])), io))
        named = {index for op in graph.operators for index in (*op.inputs, *op.outputs)} | set(graph.input_indices)
        assert {tensor.index for tensor in graph.tensors} <= named


def test_the_doctor_pairs_the_layers_of_the_int8_and_the_float_file() -> None:
    made = network(rescaling(*HALF[:2]))
    files = [exported(made), TFLite("float32").export(made, StepContext(made)).content]
    assert len(pair_layers(*map(parse, files))) == 3  # two convolutions and the dense layer
    assert len(pair_layers(parse(exported(made, "float32")), parse(files[1]))) == 3


def test_what_the_offset_is_moved_by_goes_into_the_biases() -> None:
    made = network(rescaling(*HALF[:2]), padding="valid")
    before = float_graph(made)
    after = move_offset(before, 1.0)
    assert after != before
    pixels = IMAGES.astype(np.float32) / 255
    # without padding there is no border, so nothing is left
    np.testing.assert_allclose(outputs(after, pixels), outputs(before, pixels), atol=2e-5)
    padded = network(rescaling(*HALF[:2]), padding="same")
    before = float_graph(padded)
    found, expected = outputs(move_offset(before, 1.0), pixels), outputs(before, pixels)
    assert 0 < np.abs(found - expected).max() < 0.02 * np.ptp(expected)


def test_padding_apart_from_the_convolution_passes_the_offset_on() -> None:
    first = layers.DepthwiseConv2D(3, strides=2, activation="relu", bias_initializer="random_normal")
    padding = layers.ZeroPadding2D(((0, 1), (0, 1)))
    made = network(rescaling(*HALF[:2]), first=tf_keras.Sequential([padding, first]))
    graph = parse(exported(made))
    assert graph.inputs[0].zero_point == HALF[2]
    assert [op.name for op in graph.operators].count(SCALING) == 1  # the network's own


@pytest.mark.parametrize(
    ("front", "first"),
    [
        (layers.Normalization(mean=[100.0, 110.0, 120.0], variance=[50.0, 60.0, 70.0]), None),
        (layers.Rescaling(1 / 127.5, 0.5), None),
        (layers.Rescaling(1 / 127.5, -2.5), None),
        (layers.Rescaling(1 / 127.5, -1.0), layers.AveragePooling2D(2)),
    ],
    ids=["channels differ", "no pixel value is 0", "all pixel values are negative", "nothing has a bias"],
)
def test_other_scalings_stay_a_layer(front: Any, first: Any) -> None:
    made = network(front, first=first)
    content = exported(made)
    graph = parse(content)
    assert [op.name for op in graph.operators].count(SCALING) == 1
    assert graph.inputs[0].scale == pytest.approx(1 / 255)
    assert graph.inputs[0].zero_point == 0
    plain = made.on_pixels(IMAGES).numpy()
    np.testing.assert_allclose(real_outputs(content), plain, atol=0.04 * float(np.ptp(plain)))


def test_a_float_input_still_takes_raw_pixels() -> None:
    made = network(rescaling(*HALF[:2]))
    content = exported(made, "float32")
    assert SCALING in [op.name for op in parse(content).operators]
    plain = made.on_pixels(IMAGES).numpy()
    np.testing.assert_allclose(outputs(content, IMAGES.astype(np.float32)), plain, atol=0.03 * float(np.ptp(plain)))


def test_a_constant_that_others_read_keeps_its_number() -> None:
    """The converter stores equal numbers once."""
    plain_network = network(None)
    call, spec = plain_network.call, InputSpec(8, 8, Normalization.from_range(0.0, 1.0))
    given = prepared(
        FloatNetwork(None, lambda x: call(x * 2.0 - 1.0) - 1.0, plain_network.trackable, spec, plain_network.classes)
    )
    before = float_graph(given)
    assert [op.name for op in parse(before).operators].count("SUB") == 2
    halved = observe(given, IMAGES)
    pixels = IMAGES.astype(np.float32) / 255 * np.float32(halved.input_max)
    np.testing.assert_allclose(outputs(halved.content, pixels), given.on_pixels(IMAGES).numpy(), atol=1e-5)
    assert "SUB" in [op.name for op in parse(exported(given)).operators]


def test_levelled_channels_leave_the_scaling_alone() -> None:
    images = IMAGES.copy()
    images[..., 2] = images[..., 2] // 3 + 100
    made = network(rescaling(*HALF[:2]))
    context = StepContext(made, calibration_images=images)
    content = TFLite("int8", equalization=True).export(made, context).content
    assert SCALING not in [op.name for op in parse(content).operators]


def test_numbers_that_are_no_scaling_are_none() -> None:
    one, three = np.ones(1), np.ones(3)
    step, zero = whole_steps(three / 127.5, -three, 1.0) or (0.0, 0)
    assert step == pytest.approx(1 / 127.5)
    assert zero == 128
    for scales, offsets in ((one, one * np.inf), (one * np.nan, one), (-one, one), (0 * one, one), (one * np.inf, one)):
        assert whole_steps(scales, offsets, 1.0) is None
    assert whole_steps(np.array([1.0, 1.0, 0.9]), -three, 1.0) is None
    assert whole_steps(three, np.array([1.0, 1.0, 0.9]), 1.0) is None


def test_paddings_that_lead_in_a_circle_or_are_many_end() -> None:
    def graph(*operators: tuple[str, int, int]) -> Any:
        made = [SimpleNamespace(name=name, inputs=(entry,), outputs=(output,)) for name, entry, output in operators]

        def consumers(index: int) -> Any:
            return [op for op in made if index in op.inputs]

        return SimpleNamespace(operators=made, output_indices=(99,), consumers=consumers)

    assert find_shiftable(graph(("PAD", 0, 0)), 0) is None
    assert find_shiftable(graph(*(("PAD", place, place + 1) for place in range(20))), 0) is None
    assert find_shiftable(graph(("PAD", 0, 1), ("SOFTMAX", 1, 2)), 0) is None


@pytest.mark.parametrize("added", [True, False])
def test_a_graph_that_multiplies_and_adds_in_front_is_carried_too(added: bool) -> None:
    """As other exporters write a scaling: two operators."""
    plain_network = network(None)
    call, source = plain_network.call, plain_network.trackable
    spec = InputSpec(8, 8, Normalization.from_range(0.0, 1.0))

    def scaled(x: Any) -> Any:
        return call(x * 2.0 + (-1.0) if added else x * 2.0 - 1.0)

    given = prepared(FloatNetwork(None, scaled, source, spec, plain_network.classes))
    graph = parse(float_graph(given))
    assert [op.name for op in graph.operators[:2]] == ["MUL", "ADD" if added else "SUB"]
    content = exported(given)
    assert not {"ADD", "SUB", "MUL"} & {op.name for op in parse(content).operators}
    assert parse(content).inputs[0].zero_point == 128
    plain = given.on_pixels(IMAGES).numpy()
    np.testing.assert_allclose(real_outputs(content), plain, atol=0.03 * float(np.ptp(plain)))


def test_ranges_of_a_graph_without_scaling_are_left_alone() -> None:
    from edgeclf.artifact.tflite_editor import TfliteEditor

    plain = float_graph(network(rescaling(1 / 255, 0.0)))
    assert move_offset(plain, 1.0) is plain
    assert scaled_range(TfliteEditor(plain), 1.0) == {}
    assert fold_scaling(plain) is plain


@pytest.mark.slow
def test_quantization_aware_training_carries_the_scaling_too() -> None:
    data = colored_squares.dataset()
    images = np.asarray(data.splits["train"].images)
    side = images.shape[1]
    tf_keras.utils.set_random_seed(0)
    stack = [layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"), layers.GlobalAveragePooling2D()]
    end = layers.Dense(len(data.class_names), activation="softmax")
    model = tf_keras.Sequential([layers.InputLayer((side, side, 3)), rescaling(*HALF[:2]), *stack, end])
    spec = InputSpec(side, side, RAW)
    made = prepared(FloatNetwork(model, lambda x: model(x, training=False), model, spec, tuple(data.class_names)))
    context = StepContext(made, data, images)
    trained = QuantizeAware(FineTuning(epochs=1)).apply(made, context)
    content = TFLite("int8").export(trained, context).content
    graph = parse(content)
    assert SCALING not in [op.name for op in graph.operators]
    assert graph.inputs[0].scale == pytest.approx(2 / 255)
    assert graph.inputs[0].zero_point == HALF[2]
    found = outputs(content, images[:50]).astype(np.float32) / 256
    np.testing.assert_allclose(found, trained.on_pixels(images[:50]).numpy(), atol=0.03)
