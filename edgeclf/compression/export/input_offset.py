"""Lets the input's quantization carry a scaling with an offset, so that an int8 model computes no layer for it.

`Rescaling(1 / 127.5, -1)` changes what the integer of a pixel stands for, not the integer: it is a step and a zero
point. The float graph has it as a layer. Its offset is moved to a whole number of steps here, and the layers behind
take the difference into their biases; where a convolution pads with zeros, up to half a step of a pixel value stays. In
the int8 graph that layer returns the integers that it gets, and is left out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.entry_scaling import EntryScaling, find_entry_scaling
from edgeclf.artifact.tflite import OperatorInfo, TfliteModel
from edgeclf.artifact.tflite_editor import TfliteEditor

Range = tuple[float, float]
_PADDING = ("PAD", "MIRROR_PAD")
_WEIGHT_AXES = {"CONV_2D": (1, 2, 3), "DEPTHWISE_CONV_2D": (0, 1, 2)}
"""Axes of the weights that one output channel sums over."""
_WHOLE = 1e-3
"""Distance from a whole number of steps that counts as none."""
_SAME_INTEGER = 0.25
"""Distance from an integer at which every way of rounding returns that integer."""


def move_offset(content: bytes, input_max: float) -> bytes:
    """Move the offset of the scaling at the front of a float graph to a whole number of steps of a pixel value.

    Args:
        content: the graph.
        input_max: what pixel value 255 is when it enters.

    Returns:
        `content` itself where there is no such scaling, or something behind it has no bias to take the difference.
    """
    editor = TfliteEditor(content)
    found = _find_scaling(editor, editor.graph.input_indices[0])
    steps = None if found is None else found.whole_steps(input_max / 255)
    if found is None or steps is None:
        return content
    whole = -steps[0] * steps[1]
    biases = _shift_biases(editor.graph, found.result, float(found.offsets[0]) - whole)
    if biases is None:
        return content
    shape = editor.graph.tensors[found.constant].shape
    editor.set_constant(found.constant, np.full(shape, -whole if found.subtracts else whole, "<f4"))
    for index, values in biases.items():
        editor.set_constant(index, values)
    return editor.pack()


def scaled_range(editor: TfliteEditor, input_max: float) -> dict[int, Range]:
    """Return the range behind a scaling whose offset is a whole number of steps, by tensor number; else nothing.

    With it, the integers behind the scaling are those in front of it.

    Args:
        editor: of the float graph.
        input_max: what pixel value 255 is when it enters.
    """
    found = _find_scaling(editor, editor.graph.input_indices[0])
    steps = None if found is None else found.whole_steps(input_max / 255)
    if found is None or steps is None:
        return {}
    step, zero = steps
    if abs(float(found.offsets[0]) / step + zero) > _WHOLE:
        return {}
    return {found.result: (-zero * step, (255 - zero) * step)}


def fold_scaling(content: bytes) -> bytes:
    """Leave the scaling at the front of an int8 graph out where it returns the integers that it gets.

    Args:
        content: the graph, with float input, which is then what the scaling returned.
    """
    editor = TfliteEditor(content)
    graph = editor.graph
    readers = graph.consumers(graph.input_indices[0])
    if len(readers) != 1 or readers[0].name != "QUANTIZE":
        return content
    inner = graph.tensors[readers[0].outputs[0]]
    found = _find_scaling(editor, inner.index)
    result = None if found is None else graph.tensors[found.result]
    if found is None or result is None or {inner.dtype, result.dtype} != {"int8"} or not (inner.scale and result.scale):
        return content
    integers = np.arange(-128, 128)[:, None]
    real = (integers - inner.zero_point) * inner.scale * found.scales + found.offsets
    if np.abs(real / result.scale + result.zero_point - integers).max() >= _SAME_INTEGER:
        return content
    main = editor.unpacked.subgraphs[0]
    main.operators[graph.operators.index(readers[0])].outputs = np.asarray([found.result], np.int32)
    del main.operators[found.place]
    return editor.pack()


def _find_scaling(editor: TfliteEditor, entry: int) -> EntryScaling | None:
    found = find_entry_scaling(editor.graph, entry)
    return None if found is None or editor.fused_activation(found.place) != "NONE" else found


def _shift_biases(graph: TfliteModel, tensor: int, shift: float) -> dict[int, npt.NDArray[np.float32]] | None:
    """Add to the biases of the convolutions behind a tensor what they lose when `shift` is taken from its values.

    Returns:
        the biases by tensor number; None: something else reads the tensor, or a bias is missing or shared.
    """
    if tensor in graph.output_indices:
        return None
    changed: dict[int, npt.NDArray[np.float32]] = {}
    for op in graph.consumers(tensor):
        further = _shift_biases(graph, op.outputs[0], shift) if op.name in _PADDING else _shift_bias(graph, op, shift)
        if further is None:
            return None
        changed |= further
    return changed


def _shift_bias(graph: TfliteModel, op: OperatorInfo, shift: float) -> dict[int, npt.NDArray[np.float32]] | None:
    if op.name not in _WEIGHT_AXES or len(op.inputs) < 3 or op.inputs[2] < 0:
        return None
    weights, bias = (graph.tensors[index].values() for index in op.inputs[1:3])
    if weights is None or bias is None or len(graph.consumers(op.inputs[2])) > 1:
        return None
    sums = weights.sum(axis=_WEIGHT_AXES[op.name], dtype=np.float64)
    return {op.inputs[2]: (bias + shift * sums).astype("<f4")}
