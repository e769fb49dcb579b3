"""Takes back the mean error that rounding left in each layer (Nagel et al., 2019, arXiv:1906.04721, section 4.2).

A layer's outputs are off by `E[W x] - E[Wq xq]` on average: rounded weights, and inputs that come out of rounded and
clipped layers. The mean is over the calibration images and is linear in the mean patch that the weights see. Layers
are corrected in the order of computation, each on inputs that the corrected layers before it produce.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.tflite import OperatorInfo, TensorInfo, parse
from edgeclf.artifact.tflite_editor import TfliteEditor
from edgeclf.compression.export.graph_parts import PartwiseRun
from edgeclf.compression.export.graph_queries import corrected_operators, weighted_operators
from edgeclf.compression.export.observation import Feed, mean_patch
from edgeclf.progress import SILENT, Progress


def correct_biases(
    quantized: bytes,
    float_graph: bytes,
    float_patches: Mapping[int, npt.NDArray[np.float64]],
    images: npt.NDArray[np.uint8],
    feed: Feed,
    progress: Progress = SILENT,
) -> bytes:
    """Correct the int32 biases of an int8 graph, in one pass over the network.

    Args:
        quantized: the int8 graph; its tensors carry the names of the float ones.
        float_graph: the float graph.
        float_patches: by the float graph's weight tensor number, what `mean_patch` gave on the same images.
        images: uint8[n, H, W, 3].
        feed: makes the int8 graph's input tensor of one image.
        progress: where the bar goes.
    """
    float_model = parse(float_graph)
    by_name = {float_model.tensors[op.inputs[1]].name: op for op in weighted_operators(float_model)}
    editor = TfliteEditor(quantized)
    model = editor.graph
    run = PartwiseRun(editor, np.stack([feed(image) for image in images]))
    # layers that a policy keeps in float have nothing to take back
    operators = [op for op in corrected_operators(model) if model.tensors[op.inputs[1]].dtype == "int8"]
    with progress.task("correcting biases", len(operators)) as task:
        for op in operators:
            task.advance()
            twin = by_name.get(model.tensors[op.inputs[1]].name)
            if twin is None or twin.inputs[1] not in float_patches:
                continue
            run.advance(model.operators.index(op))
            patch = mean_patch(model, op, run.mean(op.inputs[0]))
            weight, bias, entry = (model.tensors[op.inputs[i]] for i in (1, 2, 0))
            exact = response(op, real_weights(float_model.tensors[twin.inputs[1]]), float_patches[twin.inputs[1]])
            rounded = response(op, real_weights(weight), patch)
            step = np.float64(entry.scale) * weight.scales.astype(np.float64)
            values = np.asarray(bias.values(), np.int64) + np.rint((exact - rounded) / step).astype(np.int64)
            editor.set_constant(bias.index, np.clip(values, -(2**31), 2**31 - 1).astype("<i4"))
    return editor.pack()


def response(
    op: OperatorInfo, weights: npt.NDArray[np.float64], patch: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Compute the mean output of a layer, without bias, from the mean patch that its weights see: float64[O]."""
    if op.name == "FULLY_CONNECTED":
        return weights @ patch
    if op.name == "DEPTHWISE_CONV_2D":
        multiplier = weights.shape[-1] // patch.shape[-1]
        return np.asarray((weights[0] * np.repeat(patch, multiplier, axis=-1)).sum(axis=(0, 1)), np.float64)
    # of a grouped convolution each group of outputs sees input channels of its own
    groups = patch.shape[-1] // weights.shape[-1]
    parts, rows = patch.reshape(*patch.shape[:-1], groups, -1), weights.reshape(groups, -1, *weights.shape[1:])
    return np.asarray(np.einsum("goijc,ijgc->go", rows, parts), np.float64).ravel()


def real_weights(tensor: TensorInfo) -> npt.NDArray[np.float64]:
    """Return a constant that is there as the real numbers that it stands for: float64 of the tensor's shape."""
    return np.asarray(tensor.real_values(), np.float64)
