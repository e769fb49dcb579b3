"""Chooses which layers of an int8 model compute in float."""

from __future__ import annotations

import difflib
import fnmatch
from dataclasses import dataclass

from edgeclf.artifact.tflite import TfliteModel
from edgeclf.errors import InputError
from edgeclf.printable import printable
from edgeclf.records import Record


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
        names = [graph.tensors[op.outputs[0]].name for op in graph.operators]
        layers = list(dict.fromkeys(map(layer_name, names)))
        chosen: set[str] = set()
        for pattern in self.float_layers:
            found = fnmatch.filter(layers, pattern)
            if not found:
                nearest = difflib.get_close_matches(pattern, layers, 1, 0.0)
                raise InputError(
                    f"float_layers: {printable(pattern)} matches no layer; the nearest is {printable(nearest[0])}, and "
                    "--sensitivity lists all of them"
                )
            chosen.update(found)
        for operator in self.float_operators:
            pairs = zip(names, graph.operators, strict=True)
            found = [layer_name(name) for name, op in pairs if op.name == operator.upper()]
            if not found:
                known = ", ".join(sorted({op.name for op in graph.operators}))
                raise InputError(f"float_operators: the network has no {printable(operator)}; it has {known}")
            chosen.update(found)
        if chosen.issuperset(layers):
            raise InputError("float_layers and float_operators name every layer; make a float32 model of it instead")
        return frozenset(name for name in names if layer_name(name) in chosen)


EVERYTHING = QuantizationPolicy()
"""All layers compute in int8."""


def layer_name(tensor: str) -> str:
    """Return the first of the names of all operators that were fused into one, which the exported file keeps."""
    return tensor.split(";")[0]
