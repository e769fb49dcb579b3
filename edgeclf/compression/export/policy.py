"""Chooses which layers of an int8 model compute in float."""

from __future__ import annotations

import difflib
import fnmatch
from dataclasses import dataclass

from edgeclf.artifact.tflite import TfliteModel
from edgeclf.errors import InputError
from edgeclf.printable import printable
from edgeclf.records import Record

INT8_BY_THEMSELVES = (
    "AVERAGE_POOL_2D",
    "MAX_POOL_2D",
    "REDUCE_MAX",
    "REDUCE_MIN",
    "RESIZE_NEAREST_NEIGHBOR",
    "SLICE",
    "SPLIT",
    "SPLIT_V",
    "STRIDED_SLICE",
    "TRANSPOSE_CONV",
    "UNPACK",
)
"""Operators that the quantizer makes int8 of where they alone are named (TensorFlow 2.21). Those with one
result, but for the transposed convolution, have the scale of what they read, and stay in float where that does."""


@dataclass(frozen=True)
class QuantizationPolicy(Record):
    """Which layers stay in float; all others compute in int8, with conversions where the two meet.

    Args:
        float_layers: patterns such as `network/conv2d_3*` (`*`, `?` and `[...]` as in a shell) of the names that
            `compress --sensitivity` lists. One that matches no layer is refused.
        float_operators: operators of the TFLite specification, such as `SOFTMAX`, likewise.
    """

    float_layers: tuple[str, ...] = ()
    float_operators: tuple[str, ...] = ()

    @property
    def selects(self) -> bool:
        """Whether some layer stays in float."""
        return bool(self.float_layers or self.float_operators)

    def float_nodes(self, graph: TfliteModel) -> frozenset[str]:
        """Return the names of the tensors in a float graph whose operators stay in float.

        Raises:
            InputError: a pattern or an operator matches nothing in the graph, or together they match all of it.
        """
        names, chosen = _output_names(graph), set[str]()
        chosen.update(*self._matches(graph).values())
        if chosen.issuperset(map(layer_name, names)):
            raise InputError("float_layers and float_operators name every layer; make a float32 model of it instead")
        return frozenset(name for name in names if layer_name(name) in chosen)

    def check_kept(self, graph: TfliteModel, quantized: TfliteModel) -> None:
        """Refuse a pattern or an operator of whose layers none stayed in float, as with `INT8_BY_THEMSELVES`.

        Args:
            graph: the float graph.
            quantized: what was made of it.

        Raises:
            InputError: there is one.
        """
        kept = {layer_name(tensor.name) for tensor in quantized.tensors if tensor.dtype == "float32"}
        made = dict(zip(map(layer_name, _output_names(graph)), (op.name for op in graph.operators), strict=True))
        for (setting, text), layers in self._matches(graph).items():
            if kept.isdisjoint(layers):
                operators = " and ".join(sorted({made[layer] for layer in layers}))
                raise InputError(
                    f"{setting}: {printable(text)} has no effect: TensorFlow's quantizer made int8 of {operators} all "
                    "the same; leave it out"
                )

    def _matches(self, graph: TfliteModel) -> dict[tuple[str, str], list[str]]:
        """Return the layers by the setting, and the pattern or operator, that names them."""
        names = _output_names(graph)
        layers = list(dict.fromkeys(map(layer_name, names)))
        matches: dict[tuple[str, str], list[str]] = {}
        for pattern in self.float_layers:
            found = fnmatch.filter(layers, pattern)
            if not found:
                nearest = difflib.get_close_matches(pattern, layers, 1, 0.0)
                raise InputError(
                    f"float_layers: {printable(pattern)} matches no layer; the nearest is {printable(nearest[0])}, and "
                    "--sensitivity lists all of them"
                )
            matches["float_layers", pattern] = found
        for operator in self.float_operators:
            pairs = zip(names, graph.operators, strict=True)
            found = [layer_name(name) for name, op in pairs if op.name == operator.upper()]
            if not found:
                known = ", ".join(sorted({op.name for op in graph.operators}))
                raise InputError(f"float_operators: the network has no {printable(operator)}; it has {known}")
            matches["float_operators", operator] = found
        return matches


EVERYTHING = QuantizationPolicy()
"""All layers compute in int8."""


def _output_names(graph: TfliteModel) -> list[str]:
    """Return the name of the first output of each operator."""
    return [graph.tensors[op.outputs[0]].name for op in graph.operators]


def layer_name(tensor: str) -> str:
    """Return the first of the names of all operators that were fused into one, which the exported file keeps."""
    return tensor.split(";")[0]
