"""Real models in milliseconds and without TensorFlow: softmax(W·x + b), fitted to scikit-learn's digits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

flatbuffers = pytest.importorskip("flatbuffers")

SIDE, CLASSES = 8, 10
_Array = np.ndarray


@dataclass(frozen=True)
class Digits:
    """`train` and `test` photos uint8[N, 8, 8, 3] with labels int64[N]."""

    train_images: _Array
    train_labels: _Array
    test_images: _Array
    test_labels: _Array


def load_digits() -> Digits:
    from sklearn.datasets import load_digits as load

    digits = load()
    gray = np.round(digits.images * (255 / 16)).astype(np.uint8)
    images, labels = np.repeat(gray[..., None], 3, axis=-1), digits.target.astype(np.int64)
    return Digits(images[:1200], labels[:1200], images[1200:], labels[1200:])


def fit(digits: Digits) -> tuple[_Array, _Array]:
    """Ridge regression in closed form: weights float64[10, 192] for values in 0..1, bias float64[10]."""
    x = digits.train_images.reshape(len(digits.train_images), -1) / 255.0
    x = np.hstack([x, np.ones((len(x), 1))])
    targets = np.eye(CLASSES)[digits.train_labels]
    solution = np.linalg.solve(x.T @ x + 0.5 * np.eye(x.shape[1]), x.T @ targets)
    # Softmax wants larger steps than one-hot regression gives.
    return 10 * solution[:-1].T, 10 * solution[-1]


def write_float_model(path: Path, weights: _Array, bias: _Array) -> Path:
    """float32[1, 8, 8, 3] of raw 0..255 in, float32[1, 10] probabilities out."""
    model = _Graph()
    image = model.tensor("image", (1, SIDE, SIDE, 3), schema.TensorType.FLOAT32)
    w = model.tensor("weights", weights.shape, schema.TensorType.FLOAT32, data=(weights / 255).astype(np.float32))
    b = model.tensor("bias", bias.shape, schema.TensorType.FLOAT32, data=bias.astype(np.float32))
    logits = model.tensor("logits", (1, len(bias)), schema.TensorType.FLOAT32)
    out = model.tensor("probabilities", (1, len(bias)), schema.TensorType.FLOAT32)
    model.fully_connected(image, w, b, logits)
    model.softmax(logits, out)
    return model.write(path, image, out)


def write_color_model(path: Path, colors: _Array, *, head: str = "softmax") -> Path:
    """float32[1, 8, 8, 3] of raw 0..255 in; the class is the nearest of `colors`, float[K, 3] in 0..1.

    `head`: `softmax` over all, or of two colours one value: `sigmoid` of the second, or its `logit`.
    """
    pixels = SIDE * SIDE
    weights, bias = 20 * np.tile(colors, pixels) / pixels, -10 * (colors**2).sum(axis=1)
    if head == "softmax":
        return write_float_model(path, weights, bias)
    types = schema.TensorType.FLOAT32
    model = _Graph()
    image = model.tensor("image", (1, SIDE, SIDE, 3), types)
    w = model.tensor("weights", (1, pixels * 3), types, data=((weights[1:] - weights[:1]) / 255).astype(np.float32))
    b = model.tensor("bias", (1,), types, data=(bias[1:] - bias[:1]).astype(np.float32))
    logit = model.tensor("logit", (1, 1), types)
    model.fully_connected(image, w, b, logit)
    if head == "logit":
        return model.write(path, image, logit)
    out = model.tensor("probability", (1, 1), types)
    model.logistic(logit, out)
    return model.write(path, image, out)


def put_behind(weights: _Array, bias: _Array, mean: _Array, std: _Array, *, blue_first: bool) -> tuple[_Array, _Array]:
    """Weights and bias for `(pixel - mean) / std`, of those for values in 0..1: the network behind a preprocessing."""
    turned = weights.reshape(len(weights), SIDE, SIDE, 3)[..., :: -1 if blue_first else 1]
    moved = bias + (turned * (np.asarray(mean) / 255)).sum(axis=(1, 2, 3))
    return (turned * (np.asarray(std) / 255)).reshape(len(weights), -1), moved


def write_int8_model(
    path: Path, weights: _Array, bias: _Array, *, bits: int = 8, input_scale: float = 1 / 255, input_zero: int = 0
) -> Path:
    """uint8[1, 8, 8, 3] in, uint8[1, 10] probabilities out; fewer `bits` make coarser weights."""
    scale = float(np.abs(weights).max() / (2 ** (bits - 1) - 1))
    quantized = np.round(weights / scale).astype(np.int8)
    model = _Graph()
    types = schema.TensorType
    image = model.tensor("image", (1, SIDE, SIDE, 3), types.UINT8, scale=input_scale, zero_point=input_zero)
    inner = model.tensor("inner", (1, SIDE, SIDE, 3), types.INT8, scale=input_scale, zero_point=input_zero - 128)
    w = model.tensor("weights", weights.shape, types.INT8, scale=scale, zero_point=0, data=quantized)
    whole = np.round(bias / (scale * input_scale)).astype(np.int32)
    b = model.tensor("bias", bias.shape, types.INT32, scale=scale * input_scale, zero_point=0, data=whole)
    logits = model.tensor("logits", (1, len(bias)), types.INT8, scale=0.2, zero_point=0)
    soft = model.tensor("soft", (1, len(bias)), types.INT8, scale=1 / 256, zero_point=-128)
    out = model.tensor("probabilities", (1, len(bias)), types.UINT8, scale=1 / 256, zero_point=0)
    model.quantize(image, inner)
    model.fully_connected(inner, w, b, logits)
    model.softmax(logits, soft)
    model.quantize(soft, out)
    return model.write(path, image, out)


class _Graph:
    def __init__(self) -> None:
        self._tensors: list[schema.TensorT] = []
        self._operators: list[schema.OperatorT] = []
        self._codes: list[int] = []
        self._buffers = [schema.BufferT()]

    def tensor(self, name, shape, kind, *, scale=None, zero_point=None, data=None) -> int:
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name, list(shape), kind, 0
        if scale is not None:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint = [scale], [zero_point]
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            self._buffers.append(buffer)
            made.buffer = len(self._buffers) - 1
        self._tensors.append(made)
        return len(self._tensors) - 1

    def fully_connected(self, source: int, weights: int, bias: int, target: int) -> None:
        options = (schema.BuiltinOptions.FullyConnectedOptions, schema.FullyConnectedOptionsT())
        self._add(schema.BuiltinOperator.FULLY_CONNECTED, [source, weights, bias], target, *options)

    def softmax(self, source: int, target: int) -> None:
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        self._add(schema.BuiltinOperator.SOFTMAX, [source], target, schema.BuiltinOptions.SoftmaxOptions, options)

    def logistic(self, source: int, target: int) -> None:
        self._add(schema.BuiltinOperator.LOGISTIC, [source], target, schema.BuiltinOptions.NONE, None)

    def quantize(self, source: int, target: int) -> None:
        options = (schema.BuiltinOptions.QuantizeOptions, schema.QuantizeOptionsT())
        self._add(schema.BuiltinOperator.QUANTIZE, [source], target, *options)

    def write(self, path: Path, source: int, target: int) -> Path:
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs, graph.outputs, graph.name = [source], [target], "main"
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers = 3, [graph], self._buffers
        model.operatorCodes, model.description = [], "linear"
        for code in self._codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode = entry.deprecatedBuiltinCode = code
            entry.version = {schema.BuiltinOperator.FULLY_CONNECTED: 4, schema.BuiltinOperator.SOFTMAX: 2}.get(code, 1)
            model.operatorCodes.append(entry)
        builder = flatbuffers.Builder(4096)
        builder.Finish(model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))
        return path

    def _add(self, code: int, sources: list[int], target: int, kind: int, options: object) -> None:
        if code not in self._codes:
            self._codes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = self._codes.index(code), sources, [target]
        operator.builtinOptionsType, operator.builtinOptions = kind, options
        self._operators.append(operator)
