"""Gives a network with one output, the probability of the second of two classes, an output for each class.

The usual two-class network of Keras ends in one sigmoid. With z in front of it, the softmax of (-z/2, z/2) is exactly
(1 - p, p): every program that expects one probability a class can run the model, and quantization treats it as any
other classifier. Labels are in sorted order, as Keras numbers folders.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tf_keras

from edgeclf.errors import ModelError
from edgeclf.graph.flatten import flatten
from edgeclf.graph.outputs import find_activated_tensor, gives_probabilities
from edgeclf.graph.private_apis import calls_of, has_graph, operands, producer, readers
from edgeclf.graph.rewire import rewire

layers = tf_keras.layers
HALVES = (-0.5, 0.5)
"""What the value in front of the sigmoid is multiplied by for the two classes."""
ASSUMED_LOGIT = (
    "its one output ends in no sigmoid: it is taken as the log-odds of the second class, as after training with "
    "BinaryCrossentropy(from_logits=True)"
)
AVERAGED = "an average of probabilities"
TWO_CLASSES = "its one output is taken as the probability of the second of two classes, in sorted order"


def split_output(model: Any, name: str) -> tuple[Any, str]:
    """Give a network with one output a softmax over two classes.

    Args:
        model: a tf-keras network `[N, H, W, 3]` to `[N, 1]`; networks inside it are flattened.
        name: of its file, for the message.

    Returns:
        a copy with the outputs (1 - p, p), and a line on what was assumed.

    Raises:
        ModelError: the output is no probability of a class: it ends in something else than a sigmoid.
    """
    if not has_graph(model):
        raise ModelError(f"{name}: has one output class and no graph to give it a second; expected 2 output classes")
    flat = flatten(model)
    flat = rewire(tf_keras.Model(flat.inputs, flat.outputs))
    tensor = find_activated_tensor(flat.outputs[0])
    found = _activation(producer(tensor))
    check_one_output(AVERAGED if found == "linear" and gives_probabilities(flat) else found, name)
    note = TWO_CLASSES if found == "sigmoid" else ASSUMED_LOGIT
    return _with_two_outputs(flat, tensor), note


def check_one_output(activation: str, name: str) -> None:
    """Refuse one output that is neither a probability nor its log-odds.

    Raises:
        ModelError: it is so.
    """
    if activation not in ("sigmoid", "linear"):
        raise ModelError(
            f"{name}: has one output that ends in {activation}; expected a sigmoid (the probability of the second of "
            "two classes), no activation (its log-odds), or one output for each class"
        )


def _activation(layer: Any) -> str:
    if isinstance(layer, (layers.Dense, layers.Conv2D, layers.Activation)):
        return str(getattr(layer.activation, "__name__", layer.activation))
    weighted_sum = isinstance(layer, (layers.GlobalAveragePooling2D, layers.BatchNormalization, layers.Rescaling))
    return "linear" if weighted_sum else type(layer).__name__


def _with_two_outputs(flat: Any, activated: Any) -> Any:
    last = producer(activated)
    dense, removed = last, []
    if isinstance(last, layers.Activation):
        (before,) = operands(activated)
        removed, dense = [last.name], producer(before)
        if calls_of(last) > 1:  # its other calls stay
            return _with_softmax(rewire(tf_keras.Model(flat.inputs, layers.Flatten()(before))))
    if dense is last and calls_of(last) > 1:  # its other calls stay, and its weights are theirs
        (before,) = operands(activated)
        alone = type(last).from_config({**last.get_config(), "name": f"{last.name}_logit", "activation": "linear"})
        logit = layers.Flatten()(alone(before))
        alone.set_weights(last.get_weights())
        return _with_softmax(rewire(tf_keras.Model(flat.inputs, logit)))
    ends = isinstance(dense, layers.Dense) and calls_of(dense) == 1 and producer(flat.outputs[0]) is last
    if ends and (dense is last or (len(readers(dense)) == 1 and _activation(dense) == "linear")):
        kernel, bias = (*dense.get_weights(), np.zeros(1, np.float32))[:2]
        made = layers.Dense(2, activation="softmax")
        halves = np.asarray(HALVES, np.float32)
        return rewire(flat, removed=removed, replaced={dense.name: (made, [kernel * halves, bias * halves])})
    if dense is last and hasattr(last, "activation"):
        last.activation = tf_keras.activations.linear
    return _with_softmax(rewire(flat, removed=removed))


def _with_softmax(plain: Any) -> Any:
    made = layers.Dense(2, activation="softmax", use_bias=False, name="edgeclf_two_classes")
    model = tf_keras.Model(plain.inputs, made(plain.outputs[0]), name=plain.name)
    made.set_weights([np.asarray([HALVES], np.float32)])
    return model
