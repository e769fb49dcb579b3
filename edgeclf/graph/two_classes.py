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
from edgeclf.graph.outputs import find_activated
from edgeclf.graph.private_apis import has_graph, producer, readers
from edgeclf.graph.rewire import rewire

layers = tf_keras.layers
HALVES = (-0.5, 0.5)
"""What the value in front of the sigmoid is multiplied by for the two classes."""
ASSUMED_LOGIT = (
    "its one output ends in no sigmoid: it is taken as the log-odds of the second class, as after training with "
    "BinaryCrossentropy(from_logits=True)"
)
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
    last = find_activated(flat)
    found = _activation(last)
    check_one_output(found, name)
    note = TWO_CLASSES if found == "sigmoid" else ASSUMED_LOGIT
    return _with_two_outputs(flat, last), note


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


def _with_two_outputs(flat: Any, last: Any) -> Any:
    dense, removed = last, []
    if isinstance(last, layers.Activation):
        removed, dense = [last.name], producer(last.input)
    ends = isinstance(dense, layers.Dense) and producer(flat.outputs[0]) is last
    if ends and (dense is last or (len(readers(dense)) == 1 and _activation(dense) == "linear")):
        kernel, bias = (*dense.get_weights(), np.zeros(1, np.float32))[:2]
        made = layers.Dense(2, activation="softmax")
        halves = np.asarray(HALVES, np.float32)
        return rewire(flat, removed=removed, replaced={dense.name: (made, [kernel * halves, bias * halves])})
    if dense is last and hasattr(last, "activation"):
        last.activation = tf_keras.activations.linear
    plain = rewire(flat, removed=removed)
    made = layers.Dense(2, activation="softmax", use_bias=False, name="edgeclf_two_classes")
    model = tf_keras.Model(plain.inputs, made(plain.outputs[0]), name=plain.name)
    made.set_weights([np.asarray([HALVES], np.float32)])
    return model
