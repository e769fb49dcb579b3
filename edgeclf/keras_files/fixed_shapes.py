"""Fixes the shapes of a float TFLite graph with an open batch to those that it has for one picture.

Converters leave the batch open unless they are asked not to. Where a layer works on maps or rows, such a graph computes
shapes when it runs, and the file states shapes that no picture has. Exporters take shapes as they stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.samples import sample_image
from edgeclf.artifact.tflite import TfliteModel
from edgeclf.artifact.tflite_source_editor import SourceEditor
from edgeclf.errors import ModelError
from edgeclf.inference.litert import LITERT

_DRAWN = (1, 2)
"""Numbers of the drawn pictures that a graph runs on."""


def fix_shapes(file: ModelFile) -> bytes:
    """Return the graph with the shapes that it has for one picture; what it computes from shapes becomes constant.

    A graph without open sizes is returned as it is, and not run.

    Args:
        file: a graph from float32[1, H, W, 3].

    Raises:
        ModelError: shapes depend on what the picture shows.
        RunFailedError: the runtime fails.
    """
    graph = file.graph
    if not any(-1 in tensor.signature for tensor in graph.tensors):
        return file.content
    shaping = _find_shaping(graph)
    computed = [index for op in graph.operators for index in op.outputs]
    known = {index for place in shaping for index in graph.operators[place].outputs}
    first, second = (_run(file, number, computed, known) for number in _DRAWN)
    shapes, values = first
    if shapes != second[0] or any(not np.array_equal(values[index], second[1][index]) for index in known):
        raise ModelError(f"{file.name}: shapes inside its graph depend on the picture, expected fixed ones")
    editor = SourceEditor(file.content)
    editor.fix_shapes(shapes, values, shaping)
    return editor.pack()


def _find_shaping(graph: TfliteModel) -> Sequence[int]:
    """Return the operators that compute from shapes and constants alone, by their places in the graph."""
    found, fixed = [], set[int]()
    for place, op in enumerate(graph.operators):
        read = [index for index in op.inputs if index >= 0 and graph.tensors[index].data is None]
        if op.name == "SHAPE" or (read and fixed.issuperset(read)):
            found.append(place)
            fixed.update(op.outputs)
    return found


def _run(
    file: ModelFile, number: int, computed: Sequence[int], known: set[int]
) -> tuple[dict[int, tuple[int, ...]], dict[int, npt.NDArray[Any]]]:
    """Run a graph on a drawn picture; returns the shapes of what it computes, and some of the values."""
    session, shape = LITERT.open(file, preserve_all_tensors=True, kernels="plain"), file.shape
    session.run(sample_image(number, shape.height, shape.width)[None].astype(np.float32) / 255)
    return {index: session.read(index).shape for index in computed}, {index: session.read(index) for index in known}
