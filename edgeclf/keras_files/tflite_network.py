"""Reads a TFLite classifier into a tf-keras graph that can be trained again, its weights dequantized."""

from __future__ import annotations

from types import MappingProxyType

import tensorflow as tf
import tf_keras

from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.tflite import OperatorInfo
from edgeclf.errors import DamagedModelError, ModelError
from edgeclf.inference.limits import ModelLimits
from edgeclf.keras_files.tflite_operators import OPERATORS, activate
from edgeclf.keras_files.tflite_options import Options, read_options
from edgeclf.keras_files.tflite_tensors import KerasGraph

layers = tf_keras.layers

_ACTIVATIONS = MappingProxyType({1: "RELU", 3: "RELU6", 4: "TANH"})
"""Activation functions that are fused into an operator, by their number in the schema; 0 is none."""
MOST_OPERATORS = 5000
"""EfficientNet-B7 has about 800; Keras takes milliseconds for each."""


def read_tflite_network(file: ModelFile) -> tf_keras.Model:
    """Read a classifier into a functional tf-keras network that computes the same from the same real input values.

    Every convolution gets a batch normalization behind it that does nothing yet but add the bias (gamma 1, mean 0):
    files that were made for inference have theirs folded. `restore_statistics` gives it statistics. A 1x1 convolution
    of a 1x1 picture, which is how some files hold their classifier, becomes a dense layer.

    Args:
        file: float, or quantized to 8 bits, per tensor or per axis.

    Returns:
        from `float32[N, H, W, C]`, the real values of the file's input tensor, to its real outputs `float32[N, K]`.

    Raises:
        ModelError: it is no image classifier, is damaged or larger than allowed, or holds an operator or an option of
            one that is not known here.
    """
    shape, count = file.shape, len(file.graph.operators)
    if count > MOST_OPERATORS:
        raise ModelError(f"{file.name}: expected a network of at most {MOST_OPERATORS:,} operators, got {count:,}")
    ModelLimits.from_environment().check(file)
    entry = layers.Input((shape.height, shape.width, shape.channels), name="image")
    graph = KerasGraph(file)
    graph.computed[file.graph.input_indices[0]] = entry
    for operator, options in zip(file.graph.operators, _options(file), strict=True):
        _read(graph, operator, options)
    result = graph.computed.get(file.graph.output_indices[0])
    if result is None:
        raise ModelError(f"{file.name}: its output does not depend on the image")
    if result.shape.rank != 2:
        result = layers.Flatten(name="scores")(result)
    try:
        network = tf_keras.Model(entry, result, name="network")
    except RecursionError as error:  # Keras follows a graph by calls within calls
        raise ModelError(
            f"{file.name}: has more layers in a row than tf-keras can build ({count:,} operators); expected a network "
            "of a few hundred"
        ) from error
    used = set(network.layers)
    for layer, weights in graph.weights:
        if layer in used:
            layer.set_weights(weights)
    return network


def _options(file: ModelFile) -> list[Options]:
    try:
        return read_options(file.content, tuple(operator.name for operator in file.graph.operators))
    except DamagedModelError as error:
        raise DamagedModelError(f"{file.name}: {error}") from error


def _read(graph: KerasGraph, operator: OperatorInfo, options: Options) -> None:
    """Build the layers of an operator.

    Raises:
        ModelError: it is not known, lacks what it needs, or gives another shape than the file claims.
    """
    if all(graph.computed.get(index) is None for index in operator.inputs):
        if operator.name != "DEQUANTIZE":  # `KerasGraph.constant` looks through these
            raise graph.refuse(operator.name, "it computes with constants alone, expected it to depend on the image")
        return
    build = OPERATORS.get(operator.name)
    if build is None:
        raise graph.refuse(operator.name, f"expected one of {', '.join(sorted(OPERATORS))}")
    if len(operator.outputs) != 1 or operator.outputs[0] in graph.computed:
        raise graph.refuse(operator.name, "expected one output, which nothing else computes")
    try:
        made = build(graph, operator, options)
    except ModelError:  # a ValueError too
        raise
    except (ValueError, TypeError, tf.errors.OpError) as error:  # what Keras raises for sizes that do not go together
        reason = str(error).split("\n", 1)[0]
        raise graph.refuse(operator.name, f"its sizes do not fit together ({reason})") from error
    fused = int(options.get("activation", 0))
    if fused:
        if fused not in _ACTIVATIONS:
            raise graph.refuse(operator.name, f"it has the fused activation function {fused}")
        made = activate(graph, _ACTIVATIONS[fused], made)
    graph.set_computed(operator, made)
