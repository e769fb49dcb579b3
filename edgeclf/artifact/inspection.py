"""Describes a model file without running it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from edgeclf.artifact.class_names import UNNAMED, describe_single_output, name_classes, own_names
from edgeclf.artifact.compressed_size import gzip_size
from edgeclf.artifact.graph_bounds import peak_bytes
from edgeclf.artifact.input_fit import describe_way, own_fit
from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.macs import count_macs, count_parameters, operator_macs, parameter_tensors
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.none_class import describe_none_classes
from edgeclf.artifact.onnx_file import OnnxFile
from edgeclf.artifact.operators import TYPE_BITS
from edgeclf.artifact.tflite import TensorInfo, TfliteModel
from edgeclf.errors import ModelError
from edgeclf.image.shape import STRETCH, count_views
from edgeclf.records import Record

_NO_STATISTICS = MappingProxyType({"sparsity": None, "distinct_weights": None, "distinct_weights_per_channel": None})
_READ_AGAIN = 8  # elements that statistics are computed of, for each byte of constants
_LEAST_WEIGHTS = 2  # dimensions: a bias is not counted as weights


@dataclass(frozen=True)
class InspectReport(Record):
    """Description of a model file.

    Attributes:
        path: the file.
        size_bytes: of the file.
        gzip_bytes: of the file compressed.
        integrity: `verified`, `unverified` (not made by edgeclf) or `damaged`.
        description: as the file itself has it.
        inputs: name, shape, dtype, scale, zero_point of each.
        outputs: likewise.
        labels: class names in index order; None where the file has none.
        classes: that it distinguishes; None where it is no image classifier.
        fit: how pictures of another shape come to its input: `stretch`, `crop` or `pad`; None where the file states
            none that is known here.
        normalization: mean and std that the metadata asks for; None where it names none.
        parameters: elements of all weights and biases.
        macs: multiply-accumulates for one inference.
        operators: name, count and macs of each kind, in order of appearance.
        sparsity: fraction of zeros among all weights.
        distinct_weights_max: most distinct values in one weight tensor.
        tensors: the weights and biases: name, shape, dtype, scales, zero_points, axis, sparsity, distinct_weights,
            distinct_weights_per_channel (the most in one output channel).
        provenance: how it was made, without the samples; None where edgeclf did not make it.
        samples: number of embedded samples for `verify`.
        activations: name, shape, dtype, scale, zero_point of each quantized tensor that is computed or comes in.
        activation_bytes: of the tensors that are alive at the same time, at most: a lower bound of the RAM that an
            inference takes besides the weights, and of the arena on a microcontroller; None where sizes are left open.
        notes: what could not be read, and what is assumed of classes and labels, one line each.
    """

    path: str
    size_bytes: int
    gzip_bytes: int
    integrity: str
    description: str = ""
    inputs: tuple[dict[str, Any], ...] = ()
    outputs: tuple[dict[str, Any], ...] = ()
    labels: tuple[str, ...] | None = None
    normalization: dict[str, Any] | None = None
    parameters: int = 0
    macs: int = 0
    operators: tuple[dict[str, Any], ...] = ()
    sparsity: float | None = None
    distinct_weights_max: int | None = None
    tensors: tuple[dict[str, Any], ...] = ()
    provenance: dict[str, Any] | None = None
    samples: int = 0
    activations: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    classes: int | None = None
    activation_bytes: int | None = None
    fit: str | None = None


def inspect(model: str | Path) -> InspectReport:
    """Describe a model file; a damaged one as far as it can be read.

    Raises:
        ModelError: there is no such file, or it is no TFLite file.
    """
    return inspect_file(ModelFile.read(locate_model(model)))


def inspect_file(file: ModelFile) -> InspectReport:
    """Describe a model file that is read already.

    Raises:
        ModelError: it is no TFLite file.
    """
    if isinstance(file, OnnxFile):
        raise ModelError(f"{file.name}: inspect reads .tflite files, got an ONNX file")
    shown = (str(file.path or file.name), len(file.content), gzip_size(file.content))
    state = file.seal_state
    try:
        graph = file.graph
    except ModelError:
        return InspectReport(*shown, "damaged")
    try:
        made, standard, notes = file.provenance, file.metadata, file.metadata_notes
    except ModelError:
        return InspectReport(*shown, "damaged", **_graph_facts(graph))
    origin = None if made is None else made.to_dict()
    samples = origin.pop("samples") if origin else None
    classes, remarks = _class_facts(file)
    fit, remark = _describe_fit(file)
    return InspectReport(
        *shown,
        state,
        standard.description or graph.description,
        labels=own_names(file)[0],
        classes=classes,
        normalization=standard.normalization.to_dict() if standard.normalization else None,
        provenance=origin,
        samples=_count_samples(samples),
        notes=(*notes, *remarks, *([remark] if remark else [])),
        fit=fit,
        **_graph_facts(graph),
    )


def _count_samples(samples: object) -> int:
    expected = samples.get("expected") if isinstance(samples, dict) else None
    return len(expected) if isinstance(expected, list) else 0


def _describe_fit(file: ModelFile) -> tuple[str | None, str]:
    """Return how pictures are fitted to the input, and what other clients do instead; empty: the same."""
    try:
        fit = own_fit(file)
    except ModelError as error:
        return None, str(error)
    if fit in (None, STRETCH):
        return fit, ""
    if count_views(fit):
        return fit, f"takes {describe_way(fit)}; other clients have to draw them as edgeclf does"
    return fit, (
        f"pictures enter by the fit {fit} ({describe_way(fit)}), which TFLite metadata cannot say: other clients, such "
        "as MediaPipe, stretch them; give those clients pictures that are fitted already"
    )


def _class_facts(file: ModelFile) -> tuple[int | None, tuple[str, ...]]:
    """Return the number of classes, and what is assumed of them."""
    try:
        named = name_classes(file)
    except ModelError:
        return None, ()
    notes = [note for note in (*named.notes, *describe_single_output(file, named.names)) if note != UNNAMED]
    hidden = describe_none_classes(named.names)
    if hidden and not any(note.startswith(hidden) for note in notes):
        notes.append(hidden)  # the file itself records it
    return file.shape.classes, tuple(notes)


def weight_statistics(tensor: TensorInfo) -> dict[str, Any]:
    """Count the zeros and distinct values of a constant.

    A quantized zero is the zero point. Batch norm folds into the weights channel by channel, so clustered weights are
    counted for each output channel too.

    Returns:
        sparsity: fraction of zeros; distinct_weights: values in the tensor; distinct_weights_per_channel: the most in
        one output channel. None each where the constant cannot be read.
    """
    values = tensor.values()
    if values is None or values.size == 0:
        return dict(_NO_STATISTICS)
    axis = tensor.axis if len(tensor.scales) > 1 else _channel_axis(tensor)
    rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
    zeros = np.zeros(1, np.int64)
    if len(tensor.zero_points) == len(rows):
        zeros = tensor.zero_points[:, None]
    elif len(tensor.zero_points) == 1:
        zeros = tensor.zero_points
    return {
        "sparsity": float(np.mean(rows == zeros)),
        "distinct_weights": len(np.unique(values)),
        "distinct_weights_per_channel": 1 + int((np.diff(np.sort(rows, axis=1), axis=1) != 0).sum(axis=1).max()),
    }


def _channel_axis(tensor: TensorInfo) -> int:
    # a depthwise kernel is [1, h, w, channels], the others have their output channels in front
    return len(tensor.shape) - 1 if len(tensor.shape) == 4 and tensor.shape[0] == 1 else 0


def _graph_facts(graph: TfliteModel) -> dict[str, Any]:
    constants = parameter_tensors(graph)
    # Tensors may share their bytes, and in a hostile file thousands do; each byte is read a few times at most.
    arrays = [np.frombuffer(constant.data, np.uint8) for constant in constants if constant.data is not None]
    starts = [array.ctypes.data for array in arrays]
    ends = [start + array.size for start, array in zip(starts, arrays, strict=True)]
    budget = _READ_AGAIN * (max(ends, default=0) - min(starts, default=0))
    tensors = []
    for constant in constants:
        budget -= constant.elements
        tensors.append({**_described(constant), **(weight_statistics(constant) if budget >= 0 else _NO_STATISTICS)})
    weights = [
        (constant.elements, row["sparsity"], row["distinct_weights"])
        for constant, row in zip(constants, tensors, strict=True)
        if len(constant.shape) >= _LEAST_WEIGHTS and row["sparsity"] is not None
    ]
    total = sum(count for count, _, _ in weights)
    return {
        "inputs": tuple(_described(t) for t in graph.inputs),
        "outputs": tuple(_described(t) for t in graph.outputs),
        "parameters": count_parameters(graph),
        "macs": count_macs(graph),
        "operators": _operators(graph),
        "sparsity": sum(count * zeros for count, zeros, _ in weights) / total if total else None,
        "distinct_weights_max": max((distinct for _, _, distinct in weights), default=None),
        "tensors": tuple(tensors),
        "activation_bytes": peak_bytes(graph, {}) if _has_known_sizes(graph) else None,
        "activations": tuple(_described(t) for t in graph.tensors if t.data is None and t.scale),
    }


def _has_known_sizes(graph: TfliteModel) -> bool:
    living = (tensor for tensor in graph.tensors if tensor.data is None)
    return all(min(tensor.signature[1:], default=1) > 0 and tensor.dtype in TYPE_BITS for tensor in living)


def _described(tensor: TensorInfo) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "scale": tensor.scale or None,
        "zero_point": tensor.zero_point if tensor.scale else None,
        "scales": [float(scale) for scale in tensor.scales],
        "zero_points": [int(zero) for zero in tensor.zero_points],
        "axis": tensor.axis if len(tensor.scales) > 1 else None,
    }


def _operators(graph: TfliteModel) -> tuple[dict[str, Any], ...]:
    found: dict[str, dict[str, Any]] = {}
    for operator in graph.operators:
        row = found.setdefault(operator.name, {"name": operator.name, "count": 0, "macs": 0})
        row["count"] += 1
        row["macs"] += operator_macs(graph, operator)
    return tuple(found.values())
