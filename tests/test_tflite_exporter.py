"""The TFLite exporter: its settings, what it refuses, and what it needs of a network."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import RAW, Normalization
from edgeclf.compression.export.formats import FORMATS
from edgeclf.compression.export.int8_format import widen_empty
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


@pytest.mark.parametrize("summed", [False, True])
def test_a_layer_that_is_always_0_leaves_an_int8_model_that_runs(summed: bool) -> None:
    """Steps of next to nothing behind it, or beside the other summand, are refused by XNNPACK."""
    tf_keras = pytest.importorskip("tf_keras")
    from edgeclf.graph.float_network import FloatNetwork, InputSpec
    from edgeclf.graph.prepared_network import prepare_network
    from edgeclf.inference.litert import LITERT

    tf_keras.utils.set_random_seed(0)
    layers = tf_keras.layers
    entry = tf_keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(layers.Rescaling(1 / 255)(entry))
    dead = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="dead")(x)
    y = layers.Conv2D(4, 1, name="behind")(dead)
    x = layers.Add()([x, y]) if summed else y
    model = tf_keras.Model(entry, layers.Dense(3, name="head")(layers.GlobalAveragePooling2D()(x)))
    kernel, bias = model.get_layer("dead").get_weights()
    model.get_layer("dead").set_weights([100 * kernel, bias - 1e6])
    spec = InputSpec(8, 8, RAW)
    network = prepare_network(FloatNetwork(model, lambda x: model(x, training=False), model, spec, tuple("abc")))
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3)).astype(np.uint8)
    made = TFLite("int8", "float32").export(network, context(network, calibration_images=images))
    session = LITERT.open(ModelFile(made.content, "dead.tflite"))
    for image in images:
        tensor = image[None].astype(np.float32)
        np.testing.assert_allclose(session.run(tensor), model(tensor), atol=0.02)


def test_ranges_of_next_to_nothing_become_a_hundredth_of_the_widest() -> None:
    found = widen_empty({1: (-2.0, 6.0), 2: (0.0, 0.0), 3: (0.0, 1e-8), 4: (-1e-9, 0.0), 5: (0.0, 1e-3), 6: (7.0, 7.0)})
    assert found == {
        1: (-2.0, 6.0), 2: (0.0, 0.08), 3: (0.0, 0.08), 4: (-0.08, 0.0), 5: (0.0, 1e-3), 6: (7.0, 7.0)
    }  # fmt: skip
    assert widen_empty({1: (0.0, 0.0)}) == {1: (0.0, 1.0)}
    assert widen_empty({}) == {}
