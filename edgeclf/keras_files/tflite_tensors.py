"""Keeps the tensors of a TFLite file that were computed so far in a tf-keras graph, and dequantizes constants."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.tflite import OperatorInfo, TensorInfo
from edgeclf.errors import ModelError

Weights = npt.NDArray[np.float32]

_BEHIND_SCORES = frozenset(
    {"CAST", "DEQUANTIZE", "LOGISTIC", "MEAN", "QUANTIZE", "RESHAPE", "SOFTMAX", "SQUEEZE", "TANH"}
)
_VALUES, _FREE_VALUES = 4, 1_000_000
"""Values that all constants may have together: for each byte of the file (a byte holds two of 4 bits), and at least."""


class KerasGraph:
    """The tensors of a file that were computed so far, as Keras tensors.

    Attributes:
        computed: by the tensor's number.
        weights: of each new layer that has some, set once all layers are built.
        scores: number of the tensor that the classifier computes: nothing with weights comes behind it.
    """

    def __init__(self, file: ModelFile) -> None:
        self.file = file
        self.tensors = file.graph.tensors
        self.computed: dict[int, Any] = {}
        self.weights: list[tuple[Any, list[Weights]]] = []
        self._counts: dict[str, int] = {}
        self._producers = {made: operator for operator in reversed(file.graph.operators) for made in operator.outputs}
        self.scores = self._find_scores()
        self._budget = _VALUES * len(file.content) + _FREE_VALUES

    def _find_scores(self) -> int:
        """Walk from the output back over what neither has weights nor reads a second tensor."""
        found = self.file.graph.output_indices[0]
        for _ in self.file.graph.operators:  # a file may lead in a circle
            operator = self._producers.get(found)
            if operator is None or operator.name not in _BEHIND_SCORES or not operator.inputs:
                break
            found = operator.inputs[0]
        return found

    def refuse(self, name: str, reason: str) -> ModelError:
        """Make the error for an operator that cannot be read."""
        return ModelError(f"{self.file.name}: the operator {name} cannot be read into a network to train: {reason}")

    def tensor(self, operator: OperatorInfo, number: int = 0) -> Any:
        """Return the Keras tensor that is the operator's input `number`.

        Raises:
            ModelError: it is a constant.
        """
        found = self.computed.get(operator.inputs[number]) if number < len(operator.inputs) else None
        if found is None:
            raise self.refuse(operator.name, f"expected its input {number} to depend on the image")
        return found

    def constant(self, operator: OperatorInfo, number: int) -> npt.NDArray[Any]:
        """Return the operator's constant input `number`, dequantized where it is quantized.

        Raises:
            ModelError: it is none, of a type that is not known here, or not finite; or the constants together are more
                than the file can hold.
        """
        index = operator.inputs[number] if number < len(operator.inputs) else -1
        producer = self._producers.get(index)
        if producer is not None and producer.name == "DEQUANTIZE":
            index = producer.inputs[0] if producer.inputs else -1
        values = self.tensors[index].values() if index >= 0 else None
        if values is None or values.dtype.kind not in "fiu" or index in self._producers or index in self.computed:
            raise self.refuse(operator.name, f"expected its input {number} to be a constant of numbers")
        self._spend(operator, values.size)
        real = dequantize_constant(self.tensors[index], values)
        if not np.isfinite(real).all():
            raise self.refuse(operator.name, f"its input {number} holds values that are not finite")
        return real

    def _spend(self, operator: OperatorInfo, count: int) -> None:
        """Count values as taken: constants of the same bytes may be claimed many times, and take memory each time.

        Raises:
            ModelError: there are more than the file can hold, with room for what writers keep once.
        """
        self._budget -= count
        if self._budget < 0:
            raise self.refuse(operator.name, "the file claims more weights than it has bytes for")

    def set_computed(self, operator: OperatorInfo, made: Any) -> None:
        """Keep what an operator computes.

        Raises:
            ModelError: its sizes are not those that the file claims.
        """
        (index,) = operator.outputs
        expected, found = self.tensors[index].shape, tuple(made.shape)[1:]
        if [size for size in expected if size != 1] != [size for size in found if size != 1]:
            raise self.refuse(operator.name, f"expected an output of shape {list(expected)}, got {[1, *found]}")
        self.computed[index] = made

    def bias(self, operator: OperatorInfo, count: int) -> Weights:
        """Return the operator's bias, zeros where it has none.

        Raises:
            ModelError: it is no constant of `count` numbers.
        """
        if len(operator.inputs) < 3 or operator.inputs[2] < 0:
            return np.zeros(count, np.float32)
        bias: Weights = np.asarray(self.constant(operator, 2), np.float32)
        if bias.size != count:
            raise self.refuse(operator.name, f"expected a bias of {count} values, got {bias.size}")
        return bias.reshape(count)

    def add(self, layer: type, weights: list[Weights] | None = None, /, **settings: Any) -> Any:
        """Make a layer with a name of its own, and note its weights."""
        kind = layer.__name__.lower()
        self._counts[kind] = self._counts.get(kind, 0) + 1
        made = layer(name=f"{kind}_{self._counts[kind]}", **settings)
        if weights is not None:
            self.weights.append((made, weights))
        return made


def dequantize_constant(tensor: TensorInfo, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Compute the real values of a stored constant: float32 where it is quantized or float, else as it is."""
    if len(tensor.scales) == 0 or not (tensor.scales > 0).any():
        return values.astype(np.float32) if values.dtype.kind == "f" else values
    return np.asarray(tensor.real_values(), np.float32)
