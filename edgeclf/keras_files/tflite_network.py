"""Reads a TFLite classifier into a tf-keras graph that can be trained again, its weights dequantized."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras

from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.tflite import OperatorInfo, TensorInfo
from edgeclf.errors import ModelError

layers = tf_keras.layers
Weights = npt.NDArray[np.float32]

EPSILON = 1e-3
"""Of the batch normalization that is put behind each convolution."""
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
    reader = _Reader(file)
    reader.computed[file.graph.input_indices[0]] = entry
    for place, operator in enumerate(file.graph.operators):
        reader.read(place, operator)
    result = reader.computed.get(file.graph.output_indices[0])
    if result is None:
        raise ModelError(f"{file.name}: its output does not depend on the image")
    if result.shape.rank != 2:
        result = layers.Flatten(name="scores")(result)
    network = tf_keras.Model(entry, result, name="network")
    for layer, weights in reader.weights:
        layer.set_weights(weights)
    return network


class _Reader:
    """The tensors of a file that were computed so far, as Keras tensors.

    Attributes:
        computed: by the tensor's number.
        weights: of each new layer that has some, set once all layers are built.
    """

    def __init__(self, file: ModelFile) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.file = file
        self.tensors = file.graph.tensors
        self.computed: dict[int, Any] = {}
        self.weights: list[tuple[Any, list[Weights]]] = []
        self._stored = schema.ModelT.InitFromPackedBuf(file.content, 0).subgraphs[0].operators
        self._counts: dict[str, int] = {}

    def read(self, place: int, operator: OperatorInfo) -> None:
        """Build the layers of an operator.

        Raises:
            ModelError: it is not known, or lacks what it needs.
        """
        inputs = [self.computed.get(index) for index in operator.inputs]
        if all(tensor is None for tensor in inputs):
            self._read_constant(operator)
            return
        build = OPERATORS.get(operator.name)
        if build is None:
            raise self.refuse(operator.name, f"expected one of {', '.join(sorted(OPERATORS))}")
        options = self._stored[place].builtinOptions
        made = build(self, operator, options)
        fused = getattr(options, "fusedActivationFunction", 0)
        if fused:
            if fused not in _ACTIVATIONS:
                raise self.refuse(operator.name, f"it has the fused activation function {fused}")
            made = _activate(self, _ACTIVATIONS[fused], made)
        self.computed[operator.outputs[0]] = made

    def _read_constant(self, operator: OperatorInfo) -> None:
        """Pass over an operator that makes float numbers of stored ones: `constant` looks through it."""
        if operator.name != "DEQUANTIZE":
            raise self.refuse(operator.name, "it computes with constants alone, expected it to depend on the image")

    def refuse(self, name: str, reason: str) -> ModelError:
        """Make the error for an operator that cannot be read."""
        return ModelError(f"{self.file.name}: the operator {name} cannot be read into a network to train: {reason}")

    def tensor(self, operator: OperatorInfo, number: int = 0) -> Any:
        """Return the Keras tensor that is the operator's input `number`.

        Raises:
            ModelError: it is a constant.
        """
        found = self.computed.get(operator.inputs[number]) if number < len(operator.inputs) else None
        if found is None:
            raise self.refuse(operator.name, f"expected its input {number} to depend on the image")
        return found

    def constant(self, operator: OperatorInfo, number: int) -> npt.NDArray[Any]:
        """Return the operator's constant input `number`, dequantized where it is quantized.

        Raises:
            ModelError: it is none, or of a type that is not known here.
        """
        index = operator.inputs[number] if number < len(operator.inputs) else -1
        producer = self.file.graph.producer(index) if index >= 0 else None
        if producer is not None and producer.name == "DEQUANTIZE":
            index = producer.inputs[0]
        values = self.tensors[index].values() if index >= 0 else None
        if values is None or index in self.computed:
            raise self.refuse(operator.name, f"expected its input {number} to be a constant of a type that NumPy knows")
        return dequantize_constant(self.tensors[index], values)

    def bias(self, operator: OperatorInfo, count: int) -> Weights:
        """Return the operator's bias, zeros where it has none."""
        if len(operator.inputs) < 3 or operator.inputs[2] < 0:
            return np.zeros(count, np.float32)
        bias: Weights = np.asarray(self.constant(operator, 2), np.float32).reshape(count)
        return bias

    def add(self, layer: type, weights: list[Weights] | None = None, /, **settings: Any) -> Any:
        """Make a layer with a name of its own, and note its weights."""
        kind = layer.__name__.lower()
        self._counts[kind] = self._counts.get(kind, 0) + 1
        made = layer(name=f"{kind}_{self._counts[kind]}", **settings)
        if weights is not None:
            self.weights.append((made, weights))
        return made


def dequantize_constant(tensor: TensorInfo, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Compute the real values of a stored constant: float32 where it is quantized or float, else as it is."""
    if len(tensor.scales) == 0 or not (tensor.scales > 0).any():
        return values.astype(np.float32) if values.dtype.kind == "f" else values
    along = [1] * len(tensor.shape)
    if len(tensor.scales) > 1:
        along[tensor.axis] = -1
    zero_points = np.resize(tensor.zero_points if len(tensor.zero_points) else 0, len(tensor.scales))
    shape = along if along else [-1]
    real: npt.NDArray[np.float64] = (values.astype(np.float64) - zero_points.reshape(shape)) * tensor.scales.astype(
        np.float64
    ).reshape(shape)
    return real.astype(np.float32)


def _padding(reader: _Reader, operator: OperatorInfo, options: Any) -> str:
    if options.padding not in (0, 1):
        raise reader.refuse(operator.name, f"expected the padding 0 (same) or 1 (valid), got {options.padding}")
    return "valid" if options.padding else "same"


def _normalized(reader: _Reader, x: Any, bias: Weights) -> Any:
    """Put a batch normalization behind a convolution that does nothing but add its bias."""
    one, zero = np.ones_like(bias), np.zeros_like(bias)
    weights = [one, bias, zero, one - np.float32(EPSILON)]
    return reader.add(layers.BatchNormalization, weights, epsilon=EPSILON, momentum=0.9)(x)


def _convolution(reader: _Reader, operator: OperatorInfo, options: Any) -> Any:
    x, kernel = reader.tensor(operator), reader.constant(operator, 1)
    filters, height, width, channels = kernel.shape
    if channels != x.shape[-1]:
        raise reader.refuse(operator.name, "it is a grouped convolution")
    bias = reader.bias(operator, filters)
    weights = kernel.transpose(1, 2, 3, 0)
    if (height, width) == (1, 1) and tuple(x.shape[1:3]) == (1, 1) and not options.fusedActivationFunction:
        dense = reader.add(layers.Dense, [weights[0, 0], bias], units=filters)
        return dense(reader.add(layers.Flatten)(x))
    made = reader.add(
        layers.Conv2D,
        [weights],
        filters=filters,
        kernel_size=(height, width),
        strides=(options.strideH, options.strideW),
        dilation_rate=(options.dilationHFactor, options.dilationWFactor),
        padding=_padding(reader, operator, options),
        use_bias=False,
    )
    return _normalized(reader, made(x), bias)


def _depthwise(reader: _Reader, operator: OperatorInfo, options: Any) -> Any:
    x, kernel = reader.tensor(operator), reader.constant(operator, 1)
    _, height, width, outputs = kernel.shape
    channels = x.shape[-1]
    if outputs % channels or options.strideH != options.strideW:
        raise reader.refuse(operator.name, f"{outputs} outputs of {channels} channels, strides that differ")
    made = reader.add(
        layers.DepthwiseConv2D,
        [kernel.reshape(height, width, channels, outputs // channels)],
        kernel_size=(height, width),
        strides=(options.strideH, options.strideW),
        dilation_rate=(options.dilationHFactor, options.dilationWFactor),
        depth_multiplier=outputs // channels,
        padding=_padding(reader, operator, options),
        use_bias=False,
    )
    return _normalized(reader, made(x), reader.bias(operator, outputs))


def _fully_connected(reader: _Reader, operator: OperatorInfo, options: Any) -> Any:
    x, kernel = reader.tensor(operator), reader.constant(operator, 1)
    if options.weightsFormat != 0 or kernel.ndim != 2:
        raise reader.refuse(operator.name, "its weights are shuffled")
    if x.shape.rank != 2 and not options.keepNumDims:
        x = reader.add(layers.Flatten)(x)
    weights = [np.ascontiguousarray(kernel.T), reader.bias(operator, len(kernel))]
    return reader.add(layers.Dense, weights, units=len(kernel))(x)


def _pool(kind: type) -> Build:
    def build(reader: _Reader, operator: OperatorInfo, options: Any) -> Any:
        return reader.add(
            kind,
            pool_size=(options.filterHeight, options.filterWidth),
            strides=(options.strideH, options.strideW),
            padding=_padding(reader, operator, options),
        )(reader.tensor(operator))

    return build


def _mean(reader: _Reader, operator: OperatorInfo, options: Any) -> Any:
    axes = sorted(int(axis) % 4 for axis in reader.constant(operator, 1).reshape(-1))
    if axes != [1, 2]:
        raise reader.refuse(operator.name, f"expected the mean over the axes 1 and 2, got {axes}")
    return reader.add(layers.GlobalAveragePooling2D, keepdims=bool(options.keepDims))(reader.tensor(operator))


def _elementwise(merge: type, by_constant: Callable[[Weights], dict[str, Any]]) -> Build:
    def build(reader: _Reader, operator: OperatorInfo, options: Any) -> Any:
        both: list[Any] = [reader.computed.get(index) for index in operator.inputs]
        if all(tensor is not None for tensor in both):
            return reader.add(merge)(both)
        number = 0 if both[0] is None else 1
        values = reader.constant(operator, number).astype(np.float32)
        if values.size not in (1, both[1 - number].shape[-1]):
            raise reader.refuse(operator.name, f"with a constant of shape {list(values.shape)}")
        settings = by_constant(values.reshape(-1))
        return reader.add(layers.Rescaling, **settings)(both[1 - number])

    return build


def _listed(values: Weights) -> float | list[float]:
    return float(values[0]) if values.size == 1 else [float(value) for value in values]


def _concatenation(reader: _Reader, operator: OperatorInfo, options: Any) -> Any:
    tensors = [reader.tensor(operator, number) for number in range(len(operator.inputs))]
    return reader.add(layers.Concatenate, axis=options.axis)(tensors)


def _pad(reader: _Reader, operator: OperatorInfo, options: Any) -> Any:
    sides = reader.constant(operator, 1).astype(int).tolist()
    if len(sides) != 4 or sides[0] != [0, 0] or sides[3] != [0, 0]:
        raise reader.refuse(operator.name, f"expected padding of height and width, got {sides}")
    return reader.add(layers.ZeroPadding2D, padding=(tuple(sides[1]), tuple(sides[2])))(reader.tensor(operator))


def _reshape(reader: _Reader, operator: OperatorInfo, options: Any) -> Any:
    x, target = reader.tensor(operator), reader.tensors[operator.outputs[0]].shape
    if len(target) == 2:
        return reader.add(layers.Flatten)(x)
    return reader.add(layers.Reshape, target_shape=target[1:])(x)


def _softmax(reader: _Reader, operator: OperatorInfo, options: Any) -> Any:
    if options.beta != 1.0:
        raise reader.refuse(operator.name, f"expected beta 1, got {options.beta}")
    return reader.add(layers.Softmax)(reader.tensor(operator))


def _identity(reader: _Reader, operator: OperatorInfo, options: Any) -> Any:
    return reader.tensor(operator)


def _activation(reader: _Reader, operator: OperatorInfo, options: Any) -> Any:
    return _activate(reader, operator.name, reader.tensor(operator))


def _activate(reader: _Reader, name: str, x: Any) -> Any:
    if name == "RELU":
        return reader.add(layers.ReLU)(x)
    if name == "RELU6":
        return reader.add(layers.ReLU, max_value=6.0)(x)
    if name == "HARD_SWISH":  # x * relu6(x + 3) / 6 (Howard et al., 2019, arXiv:1905.02244)
        gate = reader.add(layers.ReLU, max_value=6.0)(reader.add(layers.Rescaling, scale=1.0, offset=3.0)(x))
        return reader.add(layers.Multiply)([x, reader.add(layers.Rescaling, scale=1 / 6)(gate)])
    return reader.add(layers.Activation, activation={"TANH": "tanh", "LOGISTIC": "sigmoid"}[name])(x)


Build = Callable[[_Reader, OperatorInfo, Any], Any]
OPERATORS: Mapping[str, Build] = MappingProxyType(
    {
        "ADD": _elementwise(layers.Add, lambda values: {"scale": 1.0, "offset": _listed(values)}),
        "AVERAGE_POOL_2D": _pool(layers.AveragePooling2D),
        "CONCATENATION": _concatenation,
        "CONV_2D": _convolution,
        "DEPTHWISE_CONV_2D": _depthwise,
        "DEQUANTIZE": _identity,
        "FULLY_CONNECTED": _fully_connected,
        "HARD_SWISH": _activation,
        "LOGISTIC": _activation,
        "MAX_POOL_2D": _pool(layers.MaxPooling2D),
        "MEAN": _mean,
        "MUL": _elementwise(layers.Multiply, lambda values: {"scale": _listed(values)}),
        "PAD": _pad,
        "QUANTIZE": _identity,
        "RELU": _activation,
        "RELU6": _activation,
        "RESHAPE": _reshape,
        "SOFTMAX": _softmax,
        "SQUEEZE": _reshape,
        "TANH": _activation,
    }
)
"""Operators that can be read, by name, and the functions that build their layers."""
