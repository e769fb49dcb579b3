"""Reaches into what Keras, TensorFlow and tensorflow-model-optimization keep private; nothing else in edgeclf does.

None of it is promised to stay between versions, so each use has one typed function here. Nothing is imported before it
is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, cast

# --- TensorFlow ---


def uses_onednn() -> bool:
    """Return whether TensorFlow computes with the kernels of oneDNN in this process, decided when it was imported."""
    from tensorflow.python.util import _pywrap_util_port

    return bool(_pywrap_util_port.IsMklEnabled())


# --- graphs of tf-keras ---


def has_graph(model: Any) -> bool:
    """Return whether a tf-keras model is functional, or sequential with a known input."""
    return bool(getattr(model, "_is_graph_network", False))


def producer(tensor: Any) -> Any:
    """Return the layer that computes a symbolic tensor."""
    return tensor._keras_history.layer


def call_of(tensor: Any) -> Any:
    """Return the call of a layer (Keras' node) that computes a symbolic tensor."""
    history = tensor._keras_history
    return history.layer._inbound_nodes[history.node_index]


def readers(layer: Any) -> list[Any]:
    """List the layers that take the layer's outputs, one for each use."""
    return [node.layer for node in layer._outbound_nodes]


def operands(tensor: Any) -> list[Any]:
    """List the symbolic tensors that a symbolic tensor is computed from."""
    return list(call_of(tensor).keras_inputs)


def following(layer: Any) -> list[Any]:
    """List the layers or operations that take the outputs of a layer, of tf-keras or Keras 3, one for each use."""
    nodes = getattr(layer, "_outbound_nodes", ())
    return [node.operation if hasattr(node, "operation") else node.layer for node in nodes]


def entering(model: Any) -> list[Any]:
    """List the layers that the inputs of a functional or sequential model of tf-keras or Keras 3 come from."""
    histories = [getattr(tensor, "_keras_history", None) for tensor in getattr(model, "inputs", None) or ()]
    return [getattr(history, "operation", None) or history.layer for history in histories if history is not None]


def calls_of(layer: Any) -> int:
    """Count the places where a layer is called."""
    return len(layer._inbound_nodes)


def calls_in_order(model: Any) -> Iterator[Any]:
    """Walk the calls of layers in a functional model (Keras' nodes), in an order in which they can be made."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        yield from model._nodes_by_depth[depth]


def tensors_of(model: Any, layer: Any) -> list[tuple[Any, Any]]:
    """List what a layer takes and what it makes in each place of a functional model where it is called."""
    return [(node.input_tensors, node.output_tensors) for node in calls_in_order(model) if node.layer is layer]


def is_self_contained(model: Any) -> bool:
    """Return whether the layers of a functional model are called, and their outputs read, in that model alone."""
    own = {id(node) for node in calls_in_order(model)}
    return all(id(node) in own for layer in model.layers for node in (*layer._inbound_nodes, *layer._outbound_nodes))


def all_layers(model: Any) -> list[Any]:
    """List all layers of a tf-keras model, those of models inside it too."""
    return list(model._flatten_layers())


def freeze(layer: Any) -> None:
    """Make a layer untrainable, also where a wrapper of TFMOT keeps a list of its own."""
    layer.trainable = False
    layer._trainable_weights = []


def rename(layer: Any, name: str) -> None:
    """Give a layer another name, which its tensors in an exported file will carry."""
    layer._name = name


def safe_mode(enabled: bool) -> AbstractContextManager[Any]:
    """Make a context in which tf-keras copies layers that carry code only if `enabled` is False."""
    from tf_keras.src.saving.serialization_lib import SafeModeScope

    return cast(AbstractContextManager[Any], SafeModeScope(safe_mode=enabled))


def function_graph(function: Any) -> Any:
    """Make a graph, with the shapes that follow from its inputs, of a function as a file holds it."""
    from tensorflow.python.framework.function_def_to_graph import function_def_to_graph

    return function_def_to_graph(function)


def random_generator(layer: Any) -> Any:
    """Return the `tf.random.Generator` that a layer draws from; None: it draws otherwise."""
    return layer._random_generator._generator


def restart_averages(optimizer: Any, variables: Any) -> None:
    """Let an optimizer that averages weights begin at their values now; one that does not stays as it is."""
    for average, variable in zip(getattr(optimizer, "_model_variables_moving_average", ()), variables, strict=False):
        average.assign(variable)


# --- Keras 3 ---


def keras3_producer(tensor: Any) -> tuple[Any, Any]:
    """Return the layer of Keras 3 that computes a symbolic tensor, and the first tensor that it takes, or None."""
    history = tensor._keras_history
    nodes = history.operation._inbound_nodes
    entering = nodes[history.node_index].input_tensors if nodes else ()
    return history.operation, entering[0] if entering else None


@contextmanager
def keras3_variables(before: Callable[[Any], None]) -> Iterator[None]:
    """Call `before` with the shape of each variable that Keras 3 makes, before its first values are computed."""
    from keras.src.backend import Variable  # noqa: TID251  # nothing public knows the shape before

    original = Variable._initialize_with_initializer

    def initialize(variable: Any, initializer: Any) -> None:
        before(variable._shape)
        original(variable, initializer)

    Variable._initialize_with_initializer = initialize
    try:
        yield
    finally:
        Variable._initialize_with_initializer = original


# --- the TFLite converter ---


def disable_per_channel_dense(converter: Any) -> None:
    """Give dense layers one scale each: all that runtimes of 2023 (tflite-runtime 2.14) know."""
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True


def quantize_graph(content: bytes, kept: frozenset[str] = frozenset()) -> bytes:
    """Quantize a float graph whose tensors carry their ranges to int8, with float input and output.

    Args:
        content: the graph.
        kept: names of the tensors whose operators stay in float.
    """
    from tensorflow.lite.python.convert import mlir_quantize

    return bytes(mlir_quantize(content, disable_per_channel_for_dense_layers=True, denylisted_nodes=set(kept) or None))


def change_io_type(content: bytes, entry: Any, result: Any) -> bytes:
    """Give an integer graph with float input and output others: `tf.uint8` or `tf.int8`; `tf.float32` stays."""
    from tensorflow.lite.python.util import modify_model_io_type

    return bytes(modify_model_io_type(content, entry, result))


def converter_error() -> type[Exception]:
    """Return the exception that the converter raises."""
    from tensorflow.lite.python.convert_phase import ConverterError

    return cast(type[Exception], ConverterError)


# --- tensorflow-model-optimization ---


def default_8bit_registry() -> Any:
    """Make TFMOT's registry of quantizable layers: `supports(layer)`, `get_quantize_config(layer)`."""
    from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
        default_8bit_quantize_registry as registry,
    )

    return registry.Default8BitQuantizeRegistry()


@contextmanager
def inputs_in_order() -> Iterator[None]:
    """Let TFMOT rewrite functional graphs without exchanging the inputs of a layer.

    It looks the inputs of a concatenation up in the order of the whole graph and connects them again in that order: the
    channels of branches of unlike depth change places (tensorflow-model-optimization 0.8).
    """
    from tensorflow_model_optimization.python.core.quantization.keras.graph_transformations.model_transformer import (
        ModelTransformer as Transformer,
    )

    original = Transformer._get_layers

    def get_layers(self: Any, names: list[str]) -> list[Any]:
        found = original(self, names)
        if not self._is_functional_model(self.model):
            return cast(list[Any], found)
        return sorted(found, key=lambda layer: names.index(layer["config"]["name"]))

    Transformer._get_layers = get_layers
    try:
        yield
    finally:
        Transformer._get_layers = original


def quantizable_activations() -> frozenset[str]:
    """Name the activation functions inside a layer that quantization-aware training has rules for."""
    from tensorflow_model_optimization.python.core.quantization.keras.quantize_aware_activation import (
        QuantizeAwareActivation as Rules,
    )

    return frozenset(Rules._PRE_QUANT_ACTIVATIONS | Rules._POST_QUANT_ACTIVATIONS)


def is_quantize_wrapper(layer: Any) -> bool:
    """Return whether it is TFMOT's wrapper around a quantized layer."""
    from tensorflow_model_optimization.python.core.quantization.keras.quantize_wrapper import QuantizeWrapper

    return isinstance(layer, QuantizeWrapper)


def is_input_quantizer(layer: Any) -> bool:
    """Return whether it is the layer with which TFMOT quantizes a network's input."""
    from tensorflow_model_optimization.python.core.quantization.keras.quantize_layer import QuantizeLayer

    return isinstance(layer, QuantizeLayer)


def activation_quantizers(wrapper: Any) -> list[tuple[str, Any]]:
    """List a wrapped layer's output quantizers: `pre` or `post` activation, and `min_var` and `max_var` by name."""
    pairs: list[tuple[str, Any]] = []
    for activation in wrapper._quantize_activations:
        if activation._should_pre_quantize():
            pairs.append(("pre", activation._pre_activation_vars))
        if activation._should_post_quantize():
            pairs.append(("post", activation._post_activation_vars))
    if wrapper._output_quantizers:
        pairs.append(("post", wrapper._output_quantizer_vars))
    return pairs


def weight_quantizers(wrapper: Any) -> list[tuple[Any, Any]]:
    """List a wrapped layer's weights, each with the variables of its quantizer (`min_var`, `max_var`) by name."""
    return [(weight, variables) for weight, _, variables in wrapper._weight_vars]


def strip_cluster_preservation(model: Any) -> Any:
    """Take the clustering out of a network after cluster-preserving quantization-aware training."""
    from tensorflow_model_optimization.python.core.quantization.keras.collab_opts.cluster_preserve import cluster_utils

    return cluster_utils.strip_clustering_cqat(model)


def sparsity_preserving_clustering() -> Callable[..., Any]:
    """Return TFMOT's `cluster_weights` that knows the argument `preserve_sparsity`."""
    from tensorflow_model_optimization.python.core.clustering.keras.experimental.cluster import cluster_weights

    return cast(Callable[..., Any], cluster_weights)
