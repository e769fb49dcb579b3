"""Which layers of an int8 model stay in float: chosen by name or operator; what matches nothing is refused."""

from __future__ import annotations

from typing import Any

import pytest
import tflite_models

from edgeclf.artifact.tflite import parse
from edgeclf.compression.choice import Asked, choose_recipes
from edgeclf.compression.export.policy import QuantizationPolicy, layer_name
from edgeclf.compression.export.tflite import TFLite
from edgeclf.compression.recipe import Recipe
from edgeclf.errors import InputError

FLOAT = parse(tflite_models.bare("float_0_1"))
NAMES = [FLOAT.tensors[op.outputs[0]].name for op in FLOAT.operators]


def test_patterns_and_operators_name_layers_of_the_float_graph() -> None:
    assert QuantizationPolicy().float_nodes(FLOAT) == frozenset()
    first = layer_name(NAMES[0])
    assert QuantizationPolicy(float_layers=(first,)).float_nodes(FLOAT) == {NAMES[0]}
    assert QuantizationPolicy(float_layers=("*",)).float_nodes(FLOAT) == set(NAMES)
    convolutions = {n for n, op in zip(NAMES, FLOAT.operators, strict=True) if op.name == "CONV_2D"}
    assert QuantizationPolicy(float_operators=("conv_2d",)).float_nodes(FLOAT) == convolutions
    assert len(convolutions) == 2


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (QuantizationPolicy(("model/conv_9*",)), r"float_layers: model/conv_9\* matches no layer; the nearest"),
        (QuantizationPolicy((), ("LSTM",)), "float_operators: the network has no LSTM; it has CONV_2D, DEPTHWISE"),
    ],
)
def test_what_matches_nothing_is_refused(policy: QuantizationPolicy, message: str) -> None:
    with pytest.raises(InputError, match=message):
        policy.float_nodes(FLOAT)


def test_a_selective_recipe_has_a_file_name_of_its_own_and_a_json_round_trip() -> None:
    (recipe,) = choose_recipes(Asked(recipes="int8", settings={"float_layers": ("a*", "b"), "equalization": True}))
    assert recipe.export == TFLite(equalization=True, policy=QuantizationPolicy(("a*", "b")))
    assert recipe.name == "int8"
    assert recipe.file_name.startswith("int8-")
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert not recipe.export.integer
    with pytest.raises(InputError, match="float_layers and float_operators go with int8 models, got float16"):
        TFLite("float16", policy=QuantizationPolicy(("a",)))


def test_a_layer_in_float_computes_with_its_float_weights() -> None:
    pytest.importorskip("tf_keras")
    import residual_network

    from edgeclf.compression.step import StepContext

    network: Any = residual_network.build()
    context = StepContext(network, calibration_images=residual_network.IMAGES)
    mixed = TFLite(policy=QuantizationPolicy(("*/depthwise/*",))).export(network, context).graph
    (kept,) = [op for op in mixed.operators if op.name == "DEPTHWISE_CONV_2D"]
    weights = mixed.tensors[kept.inputs[1]].values()
    assert weights is not None
    expected = network.model.get_layer("depthwise").get_weights()[0]
    assert weights.reshape(expected.shape) == pytest.approx(expected)
    assert [mixed.tensors[op.inputs[1]].dtype for op in mixed.operators if op.name == "CONV_2D"] == ["int8"] * 3
    assert mixed.inputs[0].dtype == "uint8"
