"""What quantization-aware training takes is trained and converted; what it cannot take is named before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import colored_squares
import numpy as np
import pytest
from colored_squares import compress, short_recipe

from edgeclf.artifact.normalization import RAW
from edgeclf.artifact.tflite import parse
from edgeclf.dataset.types import Dataset
from edgeclf.errors import ModelError

tf_keras = pytest.importorskip("tf_keras")
pytest.importorskip("tensorflow_model_optimization")
from edgeclf.compression.export.graph_queries import float_operators  # noqa: E402
from edgeclf.compression.steps.fake_quantization import insert_quantizers, start_ranges  # noqa: E402
from edgeclf.compression.steps.prune import Prune  # noqa: E402
from edgeclf.compression.steps.pruning import choose_layers  # noqa: E402
from edgeclf.graph.float_network import FloatNetwork, InputSpec  # noqa: E402
from edgeclf.graph.prepared_network import prepare_network  # noqa: E402
from edgeclf.graph.private_apis import activation_quantizers, calls_of  # noqa: E402
from edgeclf.graph.quantizable import make_quantizable  # noqa: E402

layers = tf_keras.layers
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)


def network(*middle: Any) -> Any:
    tf_keras.utils.set_random_seed(0)
    parts = [layers.Rescaling(1 / 255, input_shape=(16, 16, 3)), layers.Conv2D(8, 3, strides=2), *middle]
    return tf_keras.Sequential([*parts, layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")])


def prepare(model: Any) -> FloatNetwork:
    spec = InputSpec(16, 16, RAW)
    return prepare_network(FloatNetwork(model, lambda x: model(x, training=False), model, spec, ("a", "b", "c")))


@pytest.fixture(scope="module")
def data() -> Dataset:
    return colored_squares.dataset()


@pytest.mark.parametrize(
    ("middle", "words"),
    [
        ([layers.PReLU(name="odd"), layers.ELU(name="too")], r"odd \(PReLU\), too \(ELU\)"),
        ([layers.Activation("selu", name="odd")], r"odd \(activation selu\)"),
        ([layers.Conv2D(8, 3, activation="elu", name="odd")], r"odd \(activation elu\)"),
        ([layers.DepthwiseConv2D(3, activation="relu6", name="odd")], r"odd \(activation relu6\)"),
        ([layers.Dense(8, activation="selu", name="odd")], r"odd \(activation selu\)"),
        ([layers.SeparableConv2D(8, 3, activation="softplus", name="odd")], r"odd \(activation softplus\)"),
    ],
)
def test_layers_that_cannot_be_quantized_are_named(middle: list[Any], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        make_quantizable(prepare(network(*middle)))


def test_pruning_counts_the_convolutions_that_quantization_will_add() -> None:
    prepared = prepare(network(layers.ReLU(), layers.BatchNormalization(), layers.Conv2D(8, 3)))
    chosen, goal, _ = choose_layers(prepared.model, Prune(0.5))
    quantizable = make_quantizable(prepared).model
    weights = sum(w.shape.num_elements() for layer in quantizable.layers for w in layer.weights if len(w.shape) >= 2)
    zeros = sum(goal * prepared.model.get_layer(name).kernel.shape.num_elements() for name in chosen)
    assert zeros / weights == pytest.approx(0.5)


def test_a_normalization_of_vectors_is_named() -> None:
    model = tf_keras.Sequential(
        [
            layers.Conv2D(4, 3, input_shape=(16, 16, 3)),
            layers.GlobalAveragePooling2D(),
            layers.BatchNormalization(name="loose"),
            layers.Dense(3),
        ]
    )
    with pytest.raises(ModelError, match=r"loose \(BatchNormalization\)"):
        make_quantizable(prepare(model))


LOOSE = {
    "behind an activation": [layers.Conv2D(8, 3, activation="relu"), layers.BatchNormalization()],
    "behind a pooling": [layers.MaxPooling2D(), layers.BatchNormalization(scale=False, center=False), layers.ReLU()],
    "inner scaling": [layers.Rescaling(0.5, 0.1), layers.Conv2D(8, 3)],
    "inner scaling of nested numbers": [layers.Rescaling([[[0.5] * 8]], [[[0.1] * 8]]), layers.Conv2D(8, 3)],
    "inner normalization": [layers.Normalization(mean=[0.1] * 8, variance=[2.0] * 8), layers.Conv2D(8, 3)],
    "fused": [layers.BatchNormalization(), layers.ReLU(), layers.DepthwiseConv2D(3), layers.BatchNormalization()],
}


@pytest.mark.parametrize("which", LOOSE)
def test_loose_normalizations_and_scalings_become_convolutions(which: str) -> None:
    model = network(*(type(layer).from_config(layer.get_config()) for layer in LOOSE[which]))
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            random = np.random.default_rng(1)
            layer.set_weights([random.uniform(0.5, 2, weight.shape) for weight in layer.get_weights()])
    prepared = prepare(model)
    changed = make_quantizable(prepared)
    assert (changed is prepared) == (which == "fused")
    np.testing.assert_allclose(changed.on_pixels(PIXELS).numpy(), prepared.on_pixels(PIXELS).numpy(), atol=1e-5)
    insert_quantizers(make_quantizable(prepared))


@pytest.mark.parametrize("nested", [False, True])
def test_a_scaling_by_channel_at_the_front_is_taken_out_however_its_numbers_are_nested(nested: bool) -> None:
    scale = [0.01, 0.02, 0.03]
    front = layers.Rescaling([[scale]] if nested else scale, -1.0, input_shape=(16, 16, 3))
    model = tf_keras.Sequential([front, layers.GlobalAveragePooling2D(), layers.Dense(3)])
    prepared = prepare(model)
    assert front.name not in [layer.name for layer in prepared.model.layers]
    np.testing.assert_allclose(prepared.on_pixels(PIXELS), model(PIXELS.astype(np.float32)), atol=1e-5)


def test_a_scaling_with_a_number_for_each_place_stays_where_it_is() -> None:
    front = layers.Rescaling(1.0, np.full((16, 16, 3), -0.5).tolist(), input_shape=(16, 16, 3))
    model = tf_keras.Sequential([front, layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), layers.Dense(3)])
    prepared = prepare(model)
    assert front.name in [layer.name for layer in prepared.model.layers]
    np.testing.assert_allclose(prepared.on_pixels(PIXELS), model(PIXELS.astype(np.float32)), rtol=1e-4)


def test_a_separable_convolution_becomes_two_whose_ranges_start_from_the_images() -> None:
    tf_keras.utils.set_random_seed(0)
    inputs = layers.Input((16, 16, 3))
    # names that TFMOT would give to the halves
    x = layers.Conv2D(8, 3, activation="relu", name="conv2d")(layers.Rescaling(1 / 255)(inputs))
    twice = layers.SeparableConv2D(8, 3, padding="same", depth_multiplier=2, activation="relu", name="twice")
    x = twice(twice(x))
    x = layers.SeparableConv2D(4, 3, strides=2, use_bias=False, name="once")(x)
    x = layers.ReLU(name="end")(layers.BatchNormalization()(x))
    model = tf_keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
    for layer in model.layers:  # far from -6..6
        layer.set_weights([3 * weight for weight in layer.get_weights()])
    prepared = prepare(model)
    kinds = {layer.name: type(layer).__name__ for layer in prepared.model.layers}
    assert (kinds["twice_depthwise"], kinds["twice"]) == (kinds["once_depthwise"], kinds["once"])
    assert (kinds["once_depthwise"], kinds["once"]) == ("DepthwiseConv2D", "Conv2D")
    pixels = PIXELS.astype(np.float32)
    np.testing.assert_allclose(prepared.on_pixels(PIXELS), model(pixels), atol=1e-5)
    quantized = insert_quantizers(make_quantizable(prepared))
    start_ranges(quantized, prepared, PIXELS)
    wrappers = {layer.name: layer for layer in quantized.layers}
    for name in ("twice_depthwise", "twice", "once_depthwise", "end"):
        (pair,) = activation_quantizers(wrappers[f"quant_{name}"])
        layer = prepared.model.get_layer(name)
        made = tf_keras.Model(prepared.model.inputs, [layer.get_output_at(i) for i in range(calls_of(layer))])
        found = made(pixels / 255)
        values = np.concatenate([np.ravel(one) for one in (found if isinstance(found, list) else [found])])
        assert float(pair[1]["max_var"]) == pytest.approx(values.max(), rel=1e-4)
        assert float(pair[1]["min_var"]) == pytest.approx(min(values.min(), 0.0), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("branches", [2, 3])
def test_branches_of_unlike_depth_keep_their_places_in_a_concatenation(branches: int) -> None:
    tf_keras.utils.set_random_seed(0)
    start = tf_keras.Input((16, 16, 3))
    x = layers.ReLU()(layers.Conv2D(8, 3, padding="same")(layers.Rescaling(1 / 255)(start)))
    long = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, strides=2, padding="same")(x)))
    for order in ([long, layers.MaxPooling2D()(x)], [layers.MaxPooling2D()(x), long]):
        operands = [*order, layers.Conv2D(8, 1, strides=2)(x)][:branches]
        y = layers.GlobalAveragePooling2D()(layers.Concatenate(name="joined")(operands))
        network = prepare(tf_keras.Model(start, layers.Dense(3, activation="softmax")(y)))
        quantized = insert_quantizers(network)
        start_ranges(quantized, network, PIXELS)
        expected = tf_keras.Model(network.model.inputs, network.model.get_layer("joined").output)
        made = tf_keras.Model(quantized.inputs, quantized.get_layer("quant_joined").output)
        pixels = PIXELS * np.float32(network.input_max / 255)
        most = float(np.max(expected(pixels)))
        np.testing.assert_allclose(made(pixels), expected(pixels), atol=0.03 * most)


@pytest.mark.slow
@pytest.mark.parametrize("batch_norm", [False, True])
def test_activations_that_tfmot_knows_are_trained_and_converted(
    batch_norm: bool, data: Dataset, tmp_path: Path
) -> None:
    """One behind the other: what one of them loses, none of those behind it brings back."""
    middle: list[Any] = []
    for name in ("relu6", "swish", "gelu", "tanh", "sigmoid"):
        middle += [layers.Conv2D(8, 1)] if middle else []
        middle += [layers.BatchNormalization(momentum=0.7)] if batch_norm else []
        middle += [layers.Activation(name)]
    model = network(*middle)
    colored_squares.trained(model, data, epochs=20).save(tmp_path / "net.keras")
    recipe = short_recipe("qat-int8")
    (made,) = compress(tmp_path / "net.keras", recipe, data=data, calibration=60, out=tmp_path).models
    assert made.top1 is not None
    assert made.top1 >= 0.9
    assert float_operators(parse(Path(made.path).read_bytes())) == ()


def test_the_range_of_a_layer_that_is_called_twice_holds_both_calls() -> None:
    tf_keras.utils.set_random_seed(0)
    inputs = layers.Input((16, 16, 3))
    twice = layers.Conv2D(4, 1, activation="relu", name="twice", kernel_initializer="ones")
    x = twice(layers.Conv2D(4, 3, activation="relu")(layers.Rescaling(1 / 255)(inputs)))
    wider = layers.Conv2D(4, 1, activation="relu", kernel_initializer=tf_keras.initializers.Constant(5.0))(x)
    second = twice(wider)
    outputs = layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(second))
    prepared = make_quantizable(prepare(tf_keras.Model(inputs, outputs)))
    model = insert_quantizers(prepared)
    start_ranges(model, prepared, PIXELS)
    (wrapper,) = (layer for layer in model.layers if layer.name == "quant_twice")
    ((kind, quantizer),) = activation_quantizers(wrapper)
    largest = float(np.max(tf_keras.Model(inputs, second)(PIXELS.astype(np.float32))))
    assert kind == "post"
    assert float(quantizer["max_var"]) == pytest.approx(largest, rel=1e-4)
    assert largest > 10 * float(np.max(tf_keras.Model(inputs, x)(PIXELS.astype(np.float32))))


@pytest.mark.slow
def test_a_base_used_as_one_layer(data: Dataset, tmp_path: Path) -> None:
    """The way of Keras' transfer learning guide: augmentation, scaling, a base called as a layer, a head."""
    base = tf_keras.Sequential(
        [layers.Conv2D(8, 3, strides=2, use_bias=False, input_shape=(16, 16, 3)),
         layers.BatchNormalization(momentum=0.7), layers.ReLU(), layers.Conv2D(8, 3, activation="relu"),
         layers.BatchNormalization(momentum=0.7)], name="base",
    )  # fmt: skip
    inputs = layers.Input((16, 16, 3))
    augmented = tf_keras.Sequential([layers.RandomFlip(), layers.RandomRotation(0.1)], name="augmentation")(inputs)
    x = base(layers.Rescaling(1 / 127.5, -1)(augmented))
    x = layers.Dropout(0.1)(layers.GlobalAveragePooling2D()(x))
    model = tf_keras.Model(inputs, layers.Dense(3, activation="softmax")(x))
    colored_squares.trained(model, data, epochs=10).save(tmp_path / "nested.keras")
    recipes = [short_recipe(f"{name}-int8") for name in ("prune50", "cluster8", "qat", "prune50-cluster8-qat")]
    models = compress(tmp_path / "nested.keras", recipes, data=data, calibration=60, out=tmp_path).models
    assert len(models) == len(recipes)
    for made in models:
        assert made.top1 is not None
        assert made.top1 >= 0.8, made.recipe
        assert float_operators(parse(Path(made.path).read_bytes())) == (), made.recipe
        if made.recipe.startswith("prune"):
            assert made.sparsity is not None
            assert made.sparsity >= 0.5, made.recipe


@pytest.mark.slow
def test_a_pruned_layer_with_fewer_weights_than_clusters_is_left_as_it_is(data: Dataset, tmp_path: Path) -> None:
    narrow = [layers.Conv2D(2, 1, name="narrow"), layers.ReLU(), layers.Conv2D(16, 3, activation="relu")]
    colored_squares.trained(network(*narrow), data, epochs=10).save(tmp_path / "net.keras")
    # 16 weights, of which 4 stay, beside 8 clusters of the others
    recipe = short_recipe("prune75-cluster8-int8")
    (made,) = compress(tmp_path / "net.keras", recipe, data=data, calibration=60, out=tmp_path).models
    assert made.sparsity is not None
    assert made.sparsity >= 0.75
    assert {row["elements"]: row["sparsity"] for row in made.tensors}[16] >= 0.75
    assert made.distinct_weights_per_channel_max is not None
    assert made.distinct_weights_per_channel_max <= 8


@pytest.mark.slow
def test_the_network_of_the_tutorial(data: Dataset, tmp_path: Path) -> None:
    model = tf_keras.Sequential(
        [layers.RandomFlip(input_shape=(16, 16, 3)), layers.RandomRotation(0.1), layers.Rescaling(1 / 255),
         layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(), layers.Dense(3, "softmax")]
    )  # fmt: skip
    colored_squares.trained(model, data, epochs=10).save(tmp_path / "tutorial.keras")
    recipes = ["int8", short_recipe("qat-int8")]
    for made in compress(tmp_path / "tutorial.keras", recipes, data=data, calibration=60, out=tmp_path).models:
        assert made.top1 is not None
        assert made.top1 >= 0.9
        graph = parse(Path(made.path).read_bytes())
        assert float_operators(graph) == ()
        assert graph.inputs[0].scale == pytest.approx(1 / 255, rel=1e-6)
