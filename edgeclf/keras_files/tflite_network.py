"""Reads a TFLite classifier into a tf-keras graph that can be trained again, its weights dequantized."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import tf_keras

from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.tflite import OperatorInfo
from edgeclf.errors import ModelError
from edgeclf.keras_files.tflite_operators import OPERATORS, activate
from edgeclf.keras_files.tflite_tensors import KerasGraph

layers = tf_keras.layers

_ACTIVATIONS = MappingProxyType({1: "RELU", 3: "RELU6", 4: "TANH"})
"""Activation functions that are fused into an operator, by their number in the schema; 0 is none."""


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
        ModelError: it is no image classifier, or holds an operator or an option of one that is not known here.
    """
    shape = file.shape
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
    network = tf_keras.Model(entry, result, name="network")
    for layer, weights in graph.weights:
        layer.set_weights(weights)
    return network


def _options(file: ModelFile) -> list[Any]:
    """Return the options of each operator, as the schema's object API has them."""
    from ai_edge_litert import schema_py_generated as schema

    return [one.builtinOptions for one in schema.ModelT.InitFromPackedBuf(file.content, 0).subgraphs[0].operators]


def _read(graph: KerasGraph, operator: OperatorInfo, options: Any) -> None:
    """Build the layers of an operator.

    Raises:
        ModelError: it is not known, or lacks what it needs.
    """
    if all(graph.computed.get(index) is None for index in operator.inputs):
        if operator.name != "DEQUANTIZE":  # `KerasGraph.constant` looks through these
            raise graph.refuse(operator.name, "it computes with constants alone, expected it to depend on the image")
        return
    build = OPERATORS.get(operator.name)
    if build is None:
        raise graph.refuse(operator.name, f"expected one of {', '.join(sorted(OPERATORS))}")
    made = build(graph, operator, options)
    fused = getattr(options, "fusedActivationFunction", 0)
    if fused:
        if fused not in _ACTIVATIONS:
            raise graph.refuse(operator.name, f"it has the fused activation function {fused}")
        made = activate(graph, _ACTIVATIONS[fused], made)
    graph.computed[operator.outputs[0]] = made
