"""The TFLite exporter: its settings, what it refuses, and what it needs of a network."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import RAW, Normalization
from edgeclf.compression.export.formats import FORMATS
from edgeclf.compression.export.range_floor import raise_narrow_ranges
from edgeclf.compression.export.tflite import TFLite
from edgeclf.compression.exporter import EXPORTERS, ExportedFile, register_exporter
from edgeclf.errors import InputError, ModelError, UnknownNameError


def test_the_settings_have_a_json_round_trip_and_the_format_is_the_label() -> None:
    exporter = TFLite("int8", "int8", bias_correction=False)
    assert TFLite.from_json(exporter.to_json()) == exporter
    assert exporter.label() == "int8"
    assert EXPORTERS["tflite"] is TFLite


def test_formats_say_what_they_need() -> None:
    assert [name for name in FORMATS if TFLite(name).calibrates] == ["int8", "int16x8", "int4"]
    assert [name for name in FORMATS if TFLite(name).carries_ranges] == ["int8"]
    assert "16 bits" in TFLite("float16").remark
    assert all(name == format.name for name, format in FORMATS.items())


def test_formats_and_types_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="int9"):
        TFLite("int9")
    with pytest.raises(UnknownNameError, match="uint4"):
        TFLite("int8", "uint4")
    with pytest.raises(InputError, match="--io int8 goes with int8 and int4 models, got float16; use uint8 or float32"):
        TFLite("float16", "int8")


def test_a_kind_is_registered_once() -> None:
    class Other:
        kind = "tflite"

    with pytest.raises(ValueError, match="'tflite' is registered already"):
        register_exporter(Other)
    assert register_exporter(TFLite) is TFLite


def test_settings_are_checked_without_tensorflow() -> None:
    code = (
        "import sys; from edgeclf.compression.export.tflite import TFLite; TFLite(); print('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.fixture(scope="module")
def network() -> Any:
    tf_keras = pytest.importorskip("tf_keras")
    from edgeclf.graph.float_network import FloatNetwork, InputSpec
    from edgeclf.graph.prepared_network import prepare_network

    tf_keras.utils.set_random_seed(0)
    layers = tf_keras.layers
    model = tf_keras.Sequential(
        [layers.Rescaling(1 / 255, input_shape=(8, 8, 3)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3)]
    )
    spec = InputSpec(8, 8, RAW)
    return prepare_network(FloatNetwork(model, lambda x: model(x, training=False), model, spec, tuple("abc")))


def context(network: Any, **values: Any) -> Any:
    from edgeclf.compression.step import StepContext

    return StepContext(network, **values)


def test_what_a_network_or_its_context_lacks_is_named(network: Any) -> None:
    with pytest.raises(InputError, match="int8, int16x8 and int4 need training images"):
        TFLite("int8").export(network, context(network))
    trained = dataclasses.replace(network, invariants=dataclasses.replace(network.invariants, trained_ranges=True))
    with pytest.raises(InputError, match="quantization-aware training makes int8 models, got float16"):
        TFLite("float16").export(trained, context(network))
    spec = dataclasses.replace(network.input, normalization=Normalization((1.0,), (2.0,)))
    with pytest.raises(ModelError, match="a prepared network was expected"):
        TFLite("float32").export(dataclasses.replace(network, input=spec), context(network))


def test_ranges_that_were_observed_are_taken_for_the_original_alone(network: Any) -> None:
    from edgeclf.compression.export.int8_format import observe

    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    observed = observe(network, images)
    wide = dataclasses.replace(observed.ranges, highs=observed.ranges.highs * 4)
    known = context(network, calibration_images=images, observed=dataclasses.replace(observed, ranges=wide))
    exporter = TFLite("int8", bias_correction=False)
    measured = exporter.export(network, context(network, calibration_images=images))
    assert isinstance(measured, ExportedFile)
    assert measured.graph.inputs[0].scale == pytest.approx(1 / 255)
    taken = exporter.export(network, known)
    assert taken.graph.outputs[0].scale > 2 * measured.graph.outputs[0].scale
    other = exporter.export(network.with_model(network.model), known)
    assert other.content == measured.content


def test_what_cannot_be_frozen_goes_over_a_saved_model() -> None:
    pytest.importorskip("tensorflow")
    from edgeclf.compression.export.converter import run_converter

    class Converter:
        experimental_lower_to_saved_model = False

        def convert(self) -> bytes:
            if not self.experimental_lower_to_saved_model:
                raise KeyError("a function that freezing removed")
            return b"converted"

    assert run_converter(Converter()) == b"converted"


def dead_network(reaches: float) -> tuple[Any, Any]:
    """Make a network, prepared and raw: a layer with large weights is 0 but for values up to `reaches`."""
    tf_keras = pytest.importorskip("tf_keras")
    from edgeclf.graph.float_network import FloatNetwork, InputSpec
    from edgeclf.graph.prepared_network import prepare_network

    tf_keras.utils.set_random_seed(0)
    layers = tf_keras.layers
    entry = tf_keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(layers.Rescaling(1 / 255)(entry))
    dead = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="dead")(x)
    y = layers.Conv2D(4, 1, name="behind")(layers.MaxPooling2D(2)(dead))
    x = layers.Add()([layers.AveragePooling2D(2)(x), y])
    model = tf_keras.Model(entry, layers.Dense(3, name="head")(layers.GlobalAveragePooling2D()(x)))
    kernel, bias = model.get_layer("dead").get_weights()
    model.get_layer("dead").set_weights([100 * kernel, bias])
    values = tf_keras.Model(entry, dead)(IMAGES.astype(np.float32))
    model.get_layer("dead").set_weights([100 * kernel, bias - float(np.max(values)) + reaches])
    spec = InputSpec(8, 8, RAW)
    network = FloatNetwork(model, lambda x: model(x, training=False), model, spec, tuple("abc"))
    return prepare_network(network), model


IMAGES = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3)).astype(np.uint8)


@pytest.mark.parametrize("reaches", [-1e6, 0.0, 1e-6, 1e-3])
@pytest.mark.parametrize(
    "settings", [{}, {"ranges": "mse"}, {"equalization": True}, {"format": "int4"}], ids=lambda given: str(given)
)
def test_a_layer_that_is_next_to_0_leaves_a_model_that_runs(reaches: float, settings: dict[str, Any]) -> None:
    """XNNPACK refuses steps of an output that are next to nothing beside those of input and weights."""
    from edgeclf.inference.litert import LITERT

    dead, model = dead_network(reaches)
    made = TFLite(**{"format": "int8", "io": "float32", **settings}).export(
        dead, context(dead, calibration_images=IMAGES)
    )
    session = LITERT.open(ModelFile(made.content, "dead.tflite"))
    allowed = 0.2 if settings.get("format") == "int4" else 0.02
    for image in IMAGES:
        tensor = image[None].astype(np.float32)
        np.testing.assert_allclose(session.run(tensor), model(tensor), atol=allowed)


def test_only_ranges_that_kernels_refuse_are_widened() -> None:
    """By hand: an input of width 8 and weights up to 4 allow an output of 8 * 4 / (127 * 128) and more."""

    def graph(*operators: tuple[str, tuple[int, ...], int]) -> Any:
        weights = SimpleNamespace(values=lambda: np.array([1.0, -4.0], np.float32))
        tensors = {number: SimpleNamespace(values=lambda: None) for number in range(9)} | {9: weights}
        made = [SimpleNamespace(name=name, inputs=inputs, outputs=(output,)) for name, inputs, output in operators]
        return SimpleNamespace(tensors=tensors, operators=made)

    least = 8 * 4 / (127 * 128)
    one = graph(("CONV_2D", (0, 9), 1))
    for given, expected in (
        ((0.0, 0.0), (0.0, least)),
        ((0.0, least / 2), (0.0, least)),
        ((-least / 8, least / 8), (-least / 2, least / 2)),
        ((-1e-9, 0.0), (-least, 0.0)),
        ((0.0, 2 * least), (0.0, 2 * least)),
        ((5.0, 5.0), (5.0, 5.0)),
    ):
        assert raise_narrow_ranges(one, {0: (-2.0, 6.0), 1: given})[1] == pytest.approx(expected)
    assert raise_narrow_ranges(one, {0: (-2.0, 6.0), 1: (0.0, 0.0)}, 7)[1] == pytest.approx((0.0, least * 127 / 7))
    # a pooling has the steps of what it pools; behind a sigmoid these are 1 / 256, whatever was seen
    pooled = graph(("CONV_2D", (0, 9), 1), ("MAX_POOL_2D", (1,), 2), ("LOGISTIC", (2,), 3), ("CONV_2D", (3, 9), 4))
    found = raise_narrow_ranges(pooled, {0: (-2.0, 6.0), **dict.fromkeys((1, 2, 3, 4), (0.0, 0.0))})
    assert found[2] == found[1] == pytest.approx((0.0, least))
    assert found[3] == (0.0, 0.0)
    assert found[4] == pytest.approx((0.0, 1 * 4 / (127 * 128)))
    # one very wide tensor, such as what masks attention, changes no other
    wide = graph(("CONV_2D", (0, 9), 1), ("ADD", (1, 5), 2))
    ranges = {0: (-2.0, 6.0), 1: (-1.0, 1.0), 5: (-1e9, 0.0), 2: (-1e9, 1.0)}
    assert raise_narrow_ranges(wide, ranges) == ranges


def test_networks_that_compute_nan_are_refused_in_one_line() -> None:
    network, _ = dead_network(1.0)
    kernel, bias = network.model.get_layer("behind").get_weights()
    network.model.get_layer("behind").set_weights([kernel * np.nan, bias])
    with pytest.raises(ModelError, match="computes NaN or infinite values on calibration images, first in '"):
        TFLite("int8").export(network, context(network, calibration_images=IMAGES))


@pytest.mark.slow
def test_quantization_aware_training_leaves_layers_that_are_0_a_range() -> None:
    pytest.importorskip("tensorflow_model_optimization")
    from edgeclf.compression.steps.fake_quantization import insert_quantizers, start_ranges, widen_empty_ranges
    from edgeclf.graph.quantizable import make_quantizable
    from edgeclf.inference.litert import LITERT

    prepared, pixels = dead_network(-1e6)
    network = make_quantizable(prepared)
    model = insert_quantizers(network)
    start_ranges(model, network, IMAGES)
    trained = network.with_model(model, invariants=dataclasses.replace(network.invariants, trained_ranges=True))
    exporter, images = TFLite("int8", "float32"), context(trained, calibration_images=IMAGES)
    with pytest.raises(ModelError, match="failed to"):
        LITERT.open(ModelFile(exporter.export(trained, images).content, "dead.tflite"))
    widen_empty_ranges(model)
    session = LITERT.open(ModelFile(exporter.export(trained, images).content, "dead.tflite"))
    for image in IMAGES:
        tensor = image[None].astype(np.float32)
        np.testing.assert_allclose(session.run(tensor), pixels(tensor), atol=0.05)


def test_networks_that_compute_nan_are_refused_without_images_too() -> None:
    from edgeclf.artifact.provenance import Provenance
    from edgeclf.compression.export.model_writer import package_model

    network, _ = dead_network(1.0)
    kernel, bias = network.model.get_layer("behind").get_weights()
    network.model.get_layer("behind").set_weights([kernel * np.nan, bias])
    content = TFLite("float32").export(network, context(network)).content
    with pytest.raises(ModelError, match="computes NaN or infinite values on drawn pictures"):
        package_model(content, labels=tuple("abc"), provenance=Provenance(), description="broken")


def test_a_part_of_a_graph_that_a_runtime_refuses_is_named() -> None:
    from edgeclf.artifact.tflite_editor import TfliteEditor
    from edgeclf.compression.export.converter import float_graph
    from edgeclf.compression.export.graph_parts import PartwiseRun

    network, _ = dead_network(1.0)
    editor = TfliteEditor(float_graph(network))
    convolution = editor.graph.operators[0]
    kernel = editor.graph.tensors[convolution.inputs[1]]
    editor.unpacked.subgraphs[0].tensors[kernel.index].shape = [4, 3, 3, 5]
    run = PartwiseRun(editor, np.zeros((2, 1, 8, 8, 3), np.float32))
    with pytest.raises(ModelError, match="the part of the graph that computes '.*first.*CONV_2D"):
        run.advance(1)
