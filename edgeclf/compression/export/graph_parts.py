"""Computes a graph part by part: a part computes all images before the next one begins.

Whoever changes a layer by what the layers before it produce then runs each operator once an image, where a run of the
whole graph for each layer costs their number squared.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.graph_cuts import Cut, GraphCutter
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.tflite import TfliteModel
from edgeclf.artifact.tflite_editor import TfliteEditor
from edgeclf.compression.export.parallel import count_workers, spread
from edgeclf.inference.litert import LITERT
from edgeclf.inference.tflite_session import TFLiteSession


class PartwiseRun:
    """A graph on some images, computed up to a place that moves forward.

    Args:
        editor: of the graph. Constants of operators that were not computed yet may be changed.
        entry: input tensors of all images, `[n, 1, ...]` of the input's type.
    """

    def __init__(self, editor: TfliteEditor, entry: npt.NDArray[Any]) -> None:
        self._cutter, self._graph = GraphCutter(editor), editor.graph
        self._place = 0
        self._images = len(entry)
        self._stored: dict[int, npt.NDArray[Any]] = {self._graph.input_indices[0]: entry}

    def advance(self, place: int) -> None:
        """Compute the operators before number `place`, on all images; what no later one reads is forgotten.

        Raises:
            ModelError: the runtime refuses a part of the graph.
            RunFailedError: the runtime fails.
        """
        if place > self._place:
            # what computes from constants alone is computed with what reads it
            part = [number for number in range(self._place, place) if not self._cutter.is_constant(number)]
            if part:
                self._stored |= self._compute(self._cutter.cut(part), self._describe(part))
            self._place = place
        needed = read_later(self._graph, place)
        self._stored = {index: values for index, values in self._stored.items() if index in needed}

    def branch(self) -> PartwiseRun:
        """Return a run that stands at the same place and goes on by itself."""
        other = copy.copy(self)
        other._stored = dict(self._stored)
        return other

    def replace(self, index: int, values: npt.NDArray[Any]) -> None:
        """Let later operators read other values of tensor `index`, `[n, 1, ...]` of its type."""
        self._stored[index] = values

    def values(self, index: int) -> npt.NDArray[Any]:
        """Return what was computed for tensor `index`, as it is stored in the graph: `[n, 1, ...]`.

        Raises:
            KeyError: it was not computed, or no operator that is left reads it.
        """
        return self._stored[index]

    def mean(self, index: int) -> npt.NDArray[np.float64]:
        """Average the real values of tensor `index` over the images: float64[1, ...]."""
        values, info = self._stored[index], self._graph.tensors[index]
        integers = values.dtype.kind in "iu"
        mean = np.add.reduce(values, axis=0, dtype=np.int64 if integers else np.float64) / len(values)
        return np.asarray((mean - info.zero_point) * np.float64(info.scale) if info.scale else mean, np.float64)

    def _describe(self, part: list[int]) -> str:
        """Name what a part of the graph computes, for the refusal of a runtime."""
        first, last = (self._graph.operators[number] for number in (part[0], part[-1]))
        result = self._graph.tensors[last.outputs[0]].name
        name = last.name if len(part) == 1 else f"{first.name} to {last.name}"
        return f"the part of the graph that computes {result!r:.100} ({name})"

    def _compute(self, cut: Cut, described: str) -> dict[int, npt.NDArray[Any]]:
        file = ModelFile(cut.content, described)
        given = [self._stored[index] for index in cut.inputs]
        tensors = [file.graph.tensors[place] for place in cut.result_places]
        made = [np.empty((self._images, *tensor.shape), tensor.dtype) for tensor in tensors]

        def run(session: TFLiteSession, image: int) -> None:
            session.run_tensors({place: values[image] for place, values in zip(cut.places, given, strict=True)})
            for place, values in zip(cut.result_places, made, strict=True):
                values[image] = session.view(place)

        spread(run, [LITERT.open(file) for _ in range(count_workers(self._images))], self._images)
        return dict(zip(cut.outputs, made, strict=True))


def read_later(graph: TfliteModel, place: int) -> frozenset[int]:
    """Return the tensors that operator number `place` and those behind it read, and the graph's outputs."""
    return frozenset(index for op in graph.operators[place:] for index in op.inputs) | set(graph.output_indices)
