"""Hand-made slow, fat and inaccurate models: sound ones with one fault planted, without TensorFlow."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgeclf.artifact.float_twin import make_float
from edgeclf.artifact.graph_cuts import GraphCutter
from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.tflite_editor import TfliteEditor, pack_model

SMALL = Path(__file__).parent / "tflite"


def sound_int8() -> bytes:
    """The graph of the zoo's `cifar10`, a ResNet-8 at 32 pixels, alone."""
    return whole(locate_model("cifar10").read_bytes())


def whole(content: bytes, change: Any = None) -> bytes:
    cutter = GraphCutter(content)
    return cutter.cut(range(len(cutter.graph.operators)), change).content


class Plant:
    """An unpacked model that faults are planted into; operators and tensors keep their numbers until one is added."""

    def __init__(self, content: bytes) -> None:
        self.model = schema.ModelT.InitFromPackedBuf(content, 0)
        self.graph = self.model.subgraphs[0]
        self.size = len(content)

    def pack(self) -> bytes:
        return pack_model(self.model, 2 * self.size)

    def weights(self, operator: int) -> np.ndarray:
        """int8 weights of an operator, which `set_weights` writes back."""
        tensor = self.graph.tensors[self.graph.operators[operator].inputs[1]]
        return np.frombuffer(self.model.buffers[tensor.buffer].data.tobytes(), np.int8).reshape(tensor.shape)

    def set_weights(self, operator: int, values: np.ndarray) -> None:
        tensor = self.graph.tensors[self.graph.operators[operator].inputs[1]]
        self.model.buffers[tensor.buffer].data = np.frombuffer(values.astype(np.int8).tobytes(), np.uint8)

    def add_tensor(self, like: int, **changes: Any) -> int:
        made = copy.copy(self.graph.tensors[like])
        made.name = f"planted {len(self.graph.tensors)}"
        for key, value in changes.items():
            setattr(made, key, value)
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def add_operator(self, place: int, name: str, inputs: Sequence[int], output: int, options: Any = None) -> None:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
        self.model.operatorCodes = [*self.model.operatorCodes, code]
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = len(self.model.operatorCodes) - 1, list(inputs), [output]
        if options is not None:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
            made.builtinOptions = options
        self.graph.operators.insert(place, made)

    def redirect(self, place: int, before: int, after: int) -> None:
        """Let the operators from `place` on read tensor `after` where they read `before`."""
        for operator in self.graph.operators[place:]:
            operator.inputs = [after if int(t) == before else int(t) for t in operator.inputs]

    def add_buffer(self, values: np.ndarray) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        return len(self.model.buffers) - 1


def float_islands() -> bytes:
    """Behind six operators: DEQUANTIZE, functions that take their time in float, QUANTIZE.

    So many of them that they are noticed on processors whose int8 convolutions take longest, too.
    """
    plant = Plant(sound_int8())
    functions = ("ELU", "TANH", "ELU", "TANH")
    for place in (10, 9, 6, 5, 3, 2):
        made = int(plant.graph.operators[place - 1].outputs[0])
        real = [plant.add_tensor(made, type=schema.TensorType.FLOAT32, quantization=None) for _ in range(5)]
        again = plant.add_tensor(made)
        plant.redirect(place, made, again)
        plant.add_operator(place, "DEQUANTIZE", [made], real[0])
        for number, name in enumerate(functions):
            plant.add_operator(place + 1 + number, name, [real[number]], real[number + 1])
        plant.add_operator(place + 1 + len(functions), "QUANTIZE", [real[-1]], again)
    return plant.pack()


def outside_delegate() -> bytes:
    """A float model with AlexNet's local response normalization behind each convolution of the first stage."""
    plant = Plant(whole(sound_int8(), make_float))
    for place in (3, 2, 1):
        made = int(plant.graph.operators[place - 1].outputs[0])
        after = plant.add_tensor(made)
        plant.redirect(place, made, after)
        options = schema.LocalResponseNormalizationOptionsT()
        options.radius, options.bias, options.alpha, options.beta = 2, 1.0, 1e-4, 0.75
        plant.add_operator(place, "LOCAL_RESPONSE_NORMALIZATION", [made], after, options)
    return plant.pack()


def unused_zeros() -> bytes:
    """Four of five weights are zero, the smallest ones of each convolution: what pruning leaves."""
    plant = Plant(sound_int8())
    for number, operator in enumerate(GraphCutter(sound_int8()).graph.operators):
        if operator.name in ("CONV_2D", "FULLY_CONNECTED"):
            values = plant.weights(number).copy()
            values[np.abs(values) <= np.quantile(np.abs(values), 0.8)] = 0
            plant.set_weights(number, values)
    return plant.pack()


def int4_weights() -> bytes:
    """The weights of every convolution in four bits."""
    plant = Plant(sound_int8())
    for number, operator in enumerate(GraphCutter(sound_int8()).graph.operators):
        if operator.name != "CONV_2D":
            continue
        tensor = plant.graph.tensors[plant.graph.operators[number].inputs[1]]
        coarse = np.clip(np.rint(plant.weights(number) / 16.0), -7, 7).astype(np.int8).reshape(-1)
        pairs = coarse.view(np.uint8) & 0x0F
        plant.model.buffers[tensor.buffer].data = (pairs[0::2] | (pairs[1::2] << 4)).astype(np.uint8)
        tensor.type = schema.TensorType.INT4
        tensor.quantization.scale = np.asarray(tensor.quantization.scale) * np.float32(16)
        bias = plant.model.buffers[plant.graph.tensors[plant.graph.operators[number].inputs[2]].buffer]
        scaled = np.rint(np.frombuffer(bias.data.tobytes(), np.int32) / 16).astype(np.int32)
        bias.data = np.frombuffer(scaled.tobytes(), np.uint8)
    return plant.pack()


def int16_activations() -> bytes:
    return (SMALL / "int16x8.tflite").read_bytes()


def float_weights() -> bytes:
    """310 kB of float32 where int8 takes a quarter."""
    return whole(sound_int8(), make_float)


def bloat() -> bytes:
    """A training log in the metadata, twice as long as the graph."""
    editor = TfliteEditor(sound_int8())
    log = np.random.default_rng(0).integers(32, 127, 200_000).astype(np.uint8).tobytes()
    editor.set_metadata({"TRAINING_LOG": log}, "with its history")
    return editor.pack()


def duplicate_constants() -> bytes:
    """The largest convolution computed a second time with a copy of its weights, and both results added."""
    plant, place = Plant(sound_int8()), 10
    first = plant.graph.operators[place]
    result = int(first.outputs[0])
    kernel = plant.graph.tensors[first.inputs[1]]
    copied = plant.add_tensor(first.inputs[1], buffer=plant.add_buffer(plant.model.buffers[kernel.buffer].data))
    second = copy.copy(first)
    second.inputs = [first.inputs[0], copied, first.inputs[2]]
    second.outputs = [plant.add_tensor(result)]
    both = plant.add_tensor(result)
    plant.redirect(place + 1, result, both)
    plant.graph.operators.insert(place + 1, second)
    plant.add_operator(place + 2, "ADD", [result, second.outputs[0]], both, schema.AddOptionsT())
    return plant.pack()


def unread_outputs() -> bytes:
    """The costliest convolution computed three times more for outputs of their own."""
    plant = Plant(sound_int8())
    first = plant.graph.operators[2]
    outputs = [int(t) for t in plant.graph.outputs]
    for _ in range(3):
        further = copy.copy(first)
        further.outputs = [plant.add_tensor(int(first.outputs[0]))]
        plant.graph.operators.insert(3, further)
        outputs.append(further.outputs[0])
    plant.graph.outputs = outputs
    return plant.pack()


def clipped_ranges() -> bytes:
    """Three activations whose range is a tenth of what it was."""
    plant = Plant(sound_int8())
    for operator in (6, 10, 14):
        tensor = plant.graph.tensors[plant.graph.operators[operator].outputs[0]]
        tensor.quantization = copy.copy(tensor.quantization)
        tensor.quantization.scale = np.asarray(tensor.quantization.scale, np.float32) / np.float32(10)
    return plant.pack()


def enlarged_input() -> bytes:
    """Float, 32 pixels, enlarged to 64 before the first convolution."""
    plant = Plant(whole((SMALL / "float_0_255.tflite").read_bytes()))
    entry = int(plant.graph.inputs[0])
    small = plant.add_tensor(entry, shape=[1, 8, 8, 3], shapeSignature=None)
    size = plant.add_tensor(entry, type=schema.TensorType.INT32, shape=[2], shapeSignature=None)
    plant.graph.tensors[size].buffer = plant.add_buffer(np.array([16, 16], np.int32))
    plant.add_operator(0, "RESIZE_BILINEAR", [small, size], entry, schema.ResizeBilinearOptionsT())
    plant.graph.inputs = [small]
    return plant.pack()


def scaled_input() -> bytes:
    """Behind the conversion of the pixels of the zoo's `clothing`: a depthwise convolution that changes none."""
    plant = Plant(whole(locate_model("clothing").read_bytes()))
    made = int(plant.graph.operators[0].outputs[0])
    (scale,), channels = plant.graph.tensors[made].quantization.scale, 3

    def constant(values: np.ndarray, kind: int, scales: Sequence[float]) -> int:
        steps = schema.QuantizationParametersT()
        steps.scale, steps.quantizedDimension = np.asarray(scales, np.float32), values.ndim - 1
        steps.zeroPoint = np.zeros(channels, np.int64)
        kept = {"shape": list(values.shape), "shapeSignature": None, "type": kind, "quantization": steps}
        return plant.add_tensor(made, buffer=plant.add_buffer(values), **kept)

    weights = np.full((1, 1, 1, channels), 127, np.int8)
    kernel = constant(weights, schema.TensorType.INT8, [1 / 127] * channels)
    bias = constant(np.zeros(channels, np.int32), schema.TensorType.INT32, [float(scale) / 127] * channels)
    options = schema.DepthwiseConv2DOptionsT()
    options.padding, options.depthMultiplier = schema.Padding.VALID, 1
    options.strideH = options.strideW = options.dilationHFactor = options.dilationWFactor = 1
    again = plant.add_tensor(made)
    plant.redirect(1, made, again)
    plant.add_operator(1, "DEPTHWISE_CONV_2D", [made, kernel, bias], again, options)
    plant.model.operatorCodes[-1].version = 3  # int8
    return plant.pack()


def lossy_layer() -> bytes:
    """One layer's weights rounded to three steps; the others stay as they are."""
    plant = Plant(sound_int8())
    values = plant.weights(9).astype(np.int64)
    plant.set_weights(9, np.clip(np.rint(values / 60.0), -2, 2) * 60)
    return plant.pack()


PLANTED = {
    "float-islands": float_islands,
    "operators-outside-the-delegate": outside_delegate,
    "zeros-that-no-kernel-uses": unused_zeros,
    "int4-kernels": int4_weights,
    "int16-kernels": int16_activations,
    "float-weights": float_weights,
    "metadata-bloat": bloat,
    "duplicate-constants": duplicate_constants,
    "outputs-that-nobody-reads": unread_outputs,
    "clipped-ranges": clipped_ranges,
    "input-larger-than-needed": enlarged_input,
    "input-scaling-as-a-layer": scaled_input,
}
"""By the cause that must be named; each needs the file alone. `lossy_layer`, small photos and threads need more."""
SOUND = {
    "cifar10": lambda: locate_model("cifar10").read_bytes(),
    "digits": lambda: locate_model("digits").read_bytes(),
    "small float32": lambda: (SMALL / "float_0_255.tflite").read_bytes(),
    "small uint8": lambda: (SMALL / "uint8.tflite").read_bytes(),
    "small int8": lambda: (SMALL / "int8_-1_1.tflite").read_bytes(),
}
