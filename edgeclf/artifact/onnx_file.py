"""An ONNX file as a model file: the same facts, as far as ONNX states them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgeclf.artifact.label_bounds import check_labels
from edgeclf.artifact.metadata import Metadata
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.onnx_reader import OnnxFacts, OnnxNode, OnnxValue, read_onnx
from edgeclf.artifact.provenance import Integrity, Provenance
from edgeclf.artifact.tflite import OperatorInfo, TensorInfo, TfliteModel
from edgeclf.errors import DamagedModelError, InputError, ModelError

SUFFIX = ".onnx"
LABELS, FIT = "labels", "fit"
"""Properties that edgeclf writes: class names, one a line in output order; how pictures come to the input."""
_HEADS = {"Softmax": "SOFTMAX", "Sigmoid": "LOGISTIC", "LogSoftmax": "LOG_SOFTMAX"}
_PASSING = (
    "Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "QuantizeLinear", "DequantizeLinear", "Clip",
)  # fmt: skip
"""Nodes that leave what scores mean as it is; see `classifier_shape.PASSING`."""


@dataclass(frozen=True)
class OnnxFile(ModelFile):
    """The content of an `.onnx` file.

    Its `graph` has the input and the output, and the operator that the scores come from, if that is one of those that
    make probabilities: as much as `classifier_shape` asks for. It carries no checksum: its integrity is `unverified`.
    """

    @cached_property
    def facts(self) -> OnnxFacts:
        """What the file states.

        Raises:
            DamagedModelError: it is cut, or no ONNX file.
            ModelError: it keeps constants in other files, or is larger than allowed.
        """
        try:
            return read_onnx(self.content)
        except DamagedModelError as error:
            raise DamagedModelError(f"{self.name}: {error}") from error
        except ModelError as error:
            raise ModelError(f"{self.name}: {error}") from error

    @cached_property
    def graph(self) -> TfliteModel:
        """Input, output, and what makes scores of the one before it.

        Raises:
            DamagedModelError: it is cut, or no ONNX file.
        """
        facts = self.facts
        values = (*facts.inputs, *facts.outputs)
        entries = tuple(range(len(facts.inputs)))
        results = tuple(range(len(facts.inputs), len(values)))
        makers = {name: node for node in facts.nodes for name in node.outputs}
        found = [(index, _find_head(makers, values[index].name)) for index in results]
        heads = [OperatorInfo(_HEADS[kind], entries[:1], (index,), {}) for index, kind in found if kind in _HEADS]
        tensors = tuple(_tensor(index, value) for index, value in enumerate(values))
        return TfliteModel("", tensors, tuple(heads), entries, results, {})

    @cached_property
    def seal_state(self) -> Integrity:
        """Always `unverified`."""
        self.facts  # noqa: B018 - its error names what is damaged
        return "unverified"

    @cached_property
    def provenance(self) -> Provenance | None:
        """As much as edgeclf writes into an ONNX file; None where it did not make it.

        Raises:
            DamagedModelError: its class names are none.
        """
        known = self.facts.properties
        if FIT not in known or LABELS not in known:
            return None
        names = known[LABELS].split("\n")
        try:
            check_labels(names)
        except InputError as error:
            raise DamagedModelError(f"{self.name}: {error}") from error
        return Provenance(
            recipe={"name": "onnx"},
            data={"class_names": names},
            metrics={},
            versions={},
            preprocessing={FIT: known[FIT]},
            created_by="edgeclf",
        )

    @cached_property
    def _metadata(self) -> tuple[Metadata, tuple[str, ...]]:
        return Metadata(), ()


def _find_head(makers: Mapping[str, OnnxNode], value: str) -> str:
    """Return the kind of node that makes a value, behind those that pass values on; empty: none does.

    The mean of networks that all end in the same kind ends in it.
    """
    node = _find_maker(makers, value)
    if node is not None and node.kind == "Mean":
        averaged = {"" if one is None else one.kind for one in (_find_maker(makers, name) for name in node.inputs)}
        return averaged.pop() if len(averaged) == 1 and averaged <= {"Softmax", "Sigmoid"} else node.kind
    return "" if node is None else node.kind


def _find_maker(makers: Mapping[str, OnnxNode], value: str) -> OnnxNode | None:
    """Return the node that makes a value, behind those that pass values on; None: none does."""
    for _ in range(len(makers)):  # a damaged file may go round in a circle
        node = makers.get(value)
        if node is None or node.kind not in _PASSING or not node.inputs:
            return node
        value = node.inputs[0]
    return None


def _tensor(index: int, value: OnnxValue) -> TensorInfo:
    # an open batch is one image
    shape = tuple(1 if size == -1 and place == 0 else abs(size) for place, size in enumerate(value.shape))
    nothing = (np.empty(0, np.float32), np.empty(0, np.int64))
    return TensorInfo(index, value.name, shape, value.dtype or "another type", *nothing, 0, value.shape, False)
