"""The small TFLite files of `tests/tflite` (made by `make_models.py` there), and the same packaged by edgeclf."""

from __future__ import annotations

import copy
import struct
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from edgeclf.artifact.provenance import Provenance
from edgeclf.artifact.tflite_editor import TfliteEditor, pack_model
from edgeclf.compression.export.bias_correction import real_weights
from edgeclf.compression.export.four_bit_weights import find_narrow, narrow_layer
from edgeclf.compression.export.model_writer import package_model

FOLDER = Path(__file__).parent / "tflite"
_OFFSET, _SIZE = 6, 8  # places in the vtable of the schema's Buffer
DIGIT_NAMES = tuple(f"digit {i}" for i in range(10))


def bare(name: str) -> bytes:
    """A file as the converter returned it; `int4` is `uint8` with weights of 4 bits.

    In `int4_shared` another tensor has the same bytes as each of these, so that they stay in 4 bits.
    """
    if name == "int4":
        return _narrow(bare("uint8"))
    if name == "int4_shared":
        return _share(bare("int4"))
    return (FOLDER / f"{name}.tflite").read_bytes()


def _narrow(content: bytes) -> bytes:
    editor = TfliteEditor(content)
    narrow = find_narrow(editor.graph)
    for op in editor.graph.operators:
        if len(op.inputs) > 1 and op.inputs[1] in narrow:
            narrow_layer(editor, op, real_weights(editor.graph.tensors[op.inputs[1]]), None)
    editor.store_as_int4(narrow)
    return editor.pack()


def _share(content: bytes) -> bytes:
    editor = TfliteEditor(content)
    (graph,) = editor.unpacked.subgraphs
    for tensor in [tensor for tensor in editor.graph.tensors if tensor.dtype == "int4"]:
        twin = copy.copy(graph.tensors[tensor.index])
        twin.name = f"twin of {tensor.name}"
        graph.tensors.append(twin)
    return editor.pack()


def distant(content: bytes) -> bytes:
    """The same model with the data of all buffers behind the FlatBuffer."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    data = {i: bytes(b.data) for i, b in enumerate(model.buffers) if b.data is not None and len(b.data)}
    for number in data:
        buffer = model.buffers[number]
        buffer.data, buffer.offset, buffer.size = None, 1, 1  # so that both fields are written
    made = bytearray(pack_model(model, len(content)))
    for number, values in data.items():
        made += bytes(-len(made) % 16)
        table: Any = schema.Model.GetRootAs(made, 0).Buffers(number)._tab
        for field, value in ((_OFFSET, len(made)), (_SIZE, len(values))):
            struct.pack_into("<Q", made, table.Pos + table.Offset(field), value)
        made += values
    return bytes(made)


def digits() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """uint8[200, 16, 16, 3] and int64[200]."""
    with np.load(FOLDER / "digits.npz") as stored:
        return np.repeat(stored["images"][..., None], 3, axis=3), stored["labels"]


def packaged(
    name: str,
    input_range: tuple[float, float] | None = None,
    labels: tuple[str, ...] = DIGIT_NAMES,
    metrics: Mapping[str, Any] = MappingProxyType({"test": {"top1": 0.89}}),
    recipe: Mapping[str, Any] = MappingProxyType({"name": "int8", "io": "uint8"}),
) -> bytes:
    """A file as `compress` writes it."""
    made = Provenance(
        recipe=dict(recipe),
        data={"source": "digits", "fingerprint": "abc", "split_seed": 7, "class_names": list(labels)},
        metrics=dict(metrics),
        versions={"edgeclf": "0.1.0"},
        preprocessing={"version": 1},
        input_range=input_range,
        created_by="edgeclf 0.1.0",
    )
    return package_model(bare(name), labels=labels, provenance=made, description="digits, small network")
