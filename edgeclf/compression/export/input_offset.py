"""Lets the input's quantization carry a scaling with an offset, so that an int8 model computes no layer for it.

`Rescaling(1 / 127.5, -1)` changes what the integer of a pixel stands for, not the integer: it is a step and a zero
point. The float graph has it as a layer. Its offset is moved to a whole number of steps here, and the layers behind
take the difference into their biases; where a convolution pads with zeros, up to half a step of a pixel value stays
(also where the layer is kept in the end, as for float input). In the int8 graph that layer returns the integers that it
gets, and is left out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.entry_scaling import EntryScaling, find_entry_scaling, find_shiftable
from edgeclf.artifact.tflite import OperatorInfo, TfliteModel
from edgeclf.artifact.tflite_editor import TfliteEditor
from edgeclf.artifact.unused_tensors import remove_unused_tensors

Range = tuple[float, float]
_WEIGHT_AXES = {"CONV_2D": (1, 2, 3), "DEPTHWISE_CONV_2D": (0, 1, 2)}
"""Axes of the weights that one output channel sums over."""
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
    steps = None if found is None else _steps_of_pixels(found, input_max)
    if found is None or steps is None or len(editor.graph.consumers(found.constant)) > 1:
        return content
    shiftable = find_shiftable(editor.graph, found.result)
    if shiftable is None:
        return content
    whole = -steps[0] * steps[1]
    shape = editor.graph.tensors[found.constant].shape
    editor.set_constant(found.constant, np.full(shape, -whole if found.subtracts else whole, "<f4"))
    for op in shiftable:
        editor.set_constant(op.inputs[2], _shift_bias(editor.graph, op, float(found.offsets[0]) - whole))
    return editor.pack()


def scaled_range(editor: TfliteEditor, input_max: float) -> dict[int, Range]:
    """Return the range behind a scaling whose offset is a whole number of steps, by tensor number; else nothing.

    With it, the integers behind the scaling are those in front of it.

    Args:
        editor: of the float graph.
        input_max: what pixel value 255 is when it enters.
    """
    found = _find_scaling(editor, editor.graph.input_indices[0])
    steps = None if found is None else _steps_of_pixels(found, input_max)
    if found is None or steps is None or not found.is_whole(input_max / 255):
        return {}
    step, zero = steps
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
    main.tensors[found.result].name = main.tensors[inner.index].name
    del main.operators[found.place]
    remove_unused_tensors(editor.unpacked)
    return editor.pack()


def _steps_of_pixels(found: EntryScaling, input_max: float) -> tuple[float, int] | None:
    """Return the step behind a scaling, and the pixel value that stands nearest to 0 there; None: there is none."""
    steps = found.whole_steps(input_max / 255)
    return steps if steps is not None and 0 <= steps[1] <= 255 else None


def _find_scaling(editor: TfliteEditor, entry: int) -> EntryScaling | None:
    found = find_entry_scaling(editor.graph, entry)
    return None if found is None or editor.fused_activation(found.place) != "NONE" else found


def _shift_bias(graph: TfliteModel, op: OperatorInfo, shift: float) -> npt.NDArray[np.float32]:
    """Compute a bias with what the weights lose where `shift` is taken from all that they see."""
    weights, bias = (np.asarray(graph.tensors[index].values(), np.float64) for index in op.inputs[1:3])
    return np.asarray(bias + shift * weights.sum(axis=_WEIGHT_AXES[op.name]), "<f4")
