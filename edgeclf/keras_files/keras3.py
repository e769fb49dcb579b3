"""Makes networks that Keras 3 saved computable in float32, with an output for each class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgeclf.graph.private_apis import all_layers, keras3_producer
from edgeclf.graph.two_classes import ASSUMED_LOGIT, AVERAGED, HALVES, TWO_CLASSES, check_one_output

_HALF = ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16")


def call_in_float32(model: Any, name: str, trust_model: bool) -> tuple[Callable[[Any], Any], Any, tuple[str, ...]]:
    """Make the call of a network in inference mode, from float pixels `[N, H, W, 3]` to float32[N, C].

    Args:
        model: a Keras 3 network with one input and one output.
        name: of its file, for messages.
        trust_model: rebuild layers even if that runs code from the file.

    Returns:
        the call, the object that owns its variables, and remarks, a line each.

    Raises:
        ModelError: it has one output that is no probability of a class.
    """
    import tensorflow as tf

    network = _in_float32(model, trust_model)
    if network.output_shape[-1] != 1:
        return lambda x: network(x, training=False), network, ()
    import keras  # noqa: TID251  # a network of Keras 3 takes activations of Keras 3 alone

    last, before, inside = _find_activated(network.outputs[0])
    found = _name_activation(last)
    if found == "GlobalAveragePooling2D":
        averaged = _name_activation(_find_activated(before)[0])
        found = AVERAGED if averaged.lower() in ("sigmoid", "softmax") else "linear"
    elif found == "Sigmoid" and not inside:  # `keras.ops.sigmoid`, which has no activation that could be changed
        network, found = keras.Model(network.inputs, keras.layers.Flatten()(before)), "sigmoid"
    elif found == "sigmoid":
        last.activation = keras.activations.linear
    check_one_output(found, name)
    halves = tf.constant([HALVES], tf.float32)
    note = f"{name}: {TWO_CLASSES if found == 'sigmoid' else ASSUMED_LOGIT}"
    return lambda x: tf.nn.softmax(tf.matmul(network(x, training=False), halves)), network, (note,)


def _find_activated(tensor: Any) -> tuple[Any, Any, bool]:
    """Find the layer whose activation a tensor has; what only casts or reshapes it behind that is passed by.

    Returns:
        the layer, the tensor that it takes, and whether it is part of a network inside another one.
    """
    inside = False
    while True:
        layer, before = keras3_producer(tensor)
        if hasattr(layer, "layers"):
            tensor, inside = layer.outputs[0], True
        elif _passes_on(layer) and before is not None:
            tensor = before
        else:
            return layer, before, inside


def _name_activation(layer: Any) -> str:
    return str(getattr(getattr(layer, "activation", None), "__name__", type(layer).__name__))


def _passes_on(layer: Any) -> bool:
    kind, activation = type(layer).__name__, getattr(getattr(layer, "activation", None), "__name__", "")
    return kind in ("Dropout", "Flatten", "Reshape", "Cast") or (kind == "Activation" and activation == "linear")


def _in_float32(model: Any, trust_model: bool) -> Any:
    """Return a copy that computes in float32, or the network itself where it does."""
    from keras.saving import deserialize_keras_object, serialize_keras_object  # noqa: TID251  # see above

    config = serialize_keras_object(model)
    changed = _with_float32(config)
    if changed == config:
        return model
    copy = deserialize_keras_object(changed, safe_mode=not trust_model)
    copy.set_weights(model.get_weights())
    for layer in all_layers(copy):
        if type(layer).__name__ == "Normalization":  # it computes with constants that were made of its weights
            layer.finalize_state()
    return copy


def _with_float32(value: Any, key: str = "") -> Any:
    """Copy a configuration with 16-bit precision and whole numbers as input replaced by float32."""
    if isinstance(value, dict):
        if value.get("class_name") in ("DTypePolicy", "FloatDTypePolicy"):
            name = value["config"].get("name")
            return {**value, "config": {**value["config"], "name": "float32" if name in _HALF else name}}
        if value.get("class_name") == "InputLayer":
            return {**value, "config": {**value["config"], "dtype": "float32"}}
        return {name: _with_float32(part, str(name)) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_with_float32(part) for part in value)
    return "float32" if key == "dtype" and value in _HALF else value
