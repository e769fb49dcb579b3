"""Flattens networks inside networks to one graph that can be walked, quantized and given a new head.

The usual way to fine-tune in Keras calls a whole network as one layer of another: `base(x, training=False)`.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras

from edgeclf.errors import ModelError
from edgeclf.graph.private_apis import calls_in_order, has_graph, producer


def flatten(network: Any) -> Any:
    """Copy `network` with every functional or sequential network inside it replaced by its layers.

    The layers are copies with the same weights, also where one is used in several places. A layer whose name is taken
    gets the name of its network in front. The argument `training` of a call is left out, so that the layers of a base
    that was called with `training=False` train again; inference is the same.

    Args:
        network: a functional or sequential tf-keras network.

    Returns:
        a functional network, not compiled, or `network` itself where nothing is nested.

    Raises:
        ModelError: `network`, or one inside it, is neither functional nor sequential.
    """
    if not any(isinstance(layer, tf_keras.Model) for layer in network.layers):
        return network
    copies = _Copies()
    inputs = []
    for entry in _graph(network).inputs:
        layer = producer(entry)
        copies.names.add(layer.name)
        inputs.append(tf_keras.Input(batch_shape=entry.shape.as_list(), dtype=entry.dtype, name=layer.name))
    outputs = copies.call(network, inputs)
    flat = tf_keras.Model(inputs, outputs, name=network.name)
    for layer, copy in copies.made.values():
        copy.set_weights(layer.get_weights())
    return flat


class _Copies:
    """Copies of layers, one each, by the identity of the original."""

    def __init__(self) -> None:
        self.made: dict[int, tuple[Any, Any]] = {}
        self.names: set[str] = set()

    def call(self, network: Any, inputs: list[Any], inside: str = "") -> list[Any]:
        """Call copies of the layers of `network` on the tensors `inputs`; returns the outputs."""
        tensors: dict[str, Any] = {
            str(id(known)): given for known, given in zip(_graph(network).inputs, inputs, strict=True)
        }
        for node in calls_in_order(network):
            if node.is_input:
                continue
            if isinstance(node.layer, tf_keras.Model):
                entering = [tensors[str(id(tensor))] for tensor in node.keras_inputs]
                made: Any = self.call(node.layer, entering, f"{inside}{node.layer.name}_")
            else:
                given = node.flat_input_ids  # keras takes each tensor out of its list, once for each use
                arguments, named = node.map_arguments({key: [tensors[key]] * len(given) for key in given})
                named.pop("training", None)
                made = self.copy_of(node.layer, inside)(*arguments, **named)
            tensors.update(zip(node.flat_output_ids, tf.nest.flatten(made), strict=True))
        return [tensors[str(id(tensor))] for tensor in network.outputs]

    def copy_of(self, layer: Any, inside: str) -> Any:
        """Return the copy of `layer`, made when it is first asked for."""
        if id(layer) not in self.made:
            config = layer.get_config()
            name = config["name"] if config["name"] not in self.names else f"{inside}{config['name']}"
            while name in self.names:
                name += "_again"
            self.names.add(name)
            self.made[id(layer)] = (layer, type(layer).from_config(config | {"name": name}))
        return self.made[id(layer)][1]


def _graph(network: Any) -> Any:
    if not has_graph(network):
        raise ModelError(f"a functional or sequential network was expected, got {type(network).__name__}")
    return network
