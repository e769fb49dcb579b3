"""Reads the options of the operators of a TFLite file, every access checked, as far as a network to train needs them.

The schema's own object API follows positions unchecked, and unpacks again and again what many tables share.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from edgeclf.artifact.flatbuffer_reader import Reader, Table, damage_error

Options = Mapping[str, float]

_TYPE, _TABLE = 3, 4  # fields of the schema's Operator table
_PADDING = {"padding": (0, "b", 0)}
_WINDOW = {**_PADDING, "stride_w": (1, "i", 0), "stride_h": (2, "i", 0)}
_POOL = {**_WINDOW, "filter_w": (3, "i", 0), "filter_h": (4, "i", 0), "activation": (5, "b", 0)}
_FIRST = {"activation": (0, "b", 0)}

# operator -> (which kind of options it has in the schema's union, name -> (slot, struct code, default))
_KNOWN: dict[str, tuple[int, dict[str, tuple[int, str, float]]]] = {
    "ADD": (11, {**_FIRST}),
    "AVERAGE_POOL_2D": (5, {**_POOL}),
    "CONCATENATION": (10, {"axis": (0, "i", 0), "activation": (1, "b", 0)}),
    "CONV_2D": (
        1,
        {**_WINDOW, "activation": (3, "b", 0), "dilation_w": (4, "i", 1), "dilation_h": (5, "i", 1)},
    ),
    "DEPTHWISE_CONV_2D": (
        2,
        {**_WINDOW, "activation": (4, "b", 0), "dilation_w": (5, "i", 1), "dilation_h": (6, "i", 1)},
    ),
    "DIV": (29, {**_FIRST}),
    "FULLY_CONNECTED": (8, {**_FIRST, "weights_format": (1, "b", 0), "keep_num_dims": (2, "b", 0)}),
    "MAX_POOL_2D": (5, {**_POOL}),
    "MEAN": (27, {"keep_dims": (0, "b", 0)}),
    "MUL": (21, {**_FIRST}),
    "SOFTMAX": (9, {"beta": (0, "f", 0.0)}),
    "SUB": (28, {**_FIRST}),
}
_NONE: Options = MappingProxyType({})


def read_options(content: bytes, names: tuple[str, ...]) -> list[Options]:
    """Read the options of each operator of the main graph; nothing of operators that are not in the list here.

    Args:
        content: of a TFLite file that `edgeclf.artifact.tflite.parse` has read.
        names: of its operators.

    Raises:
        DamagedModelError: options are missing, of another kind than the operator's, or lie outside of the file.
    """
    tables = Reader(content).root().tables(2)[0].tables(3)
    return [_options(name, table) for name, table in zip(names, tables, strict=True)]


def _options(name: str, operator: Table) -> Options:
    if name not in _KNOWN:
        return _NONE
    kind, fields = _KNOWN[name]
    found = operator.integer(_TYPE, "B")
    stored = operator.table(_TABLE)
    if stored is None or found != kind:
        raise damage_error(f"{name} should have options of the kind {kind}, got {found if stored else 'none'}")
    return {key: _number(stored, *place) for key, place in fields.items()}


def _number(table: Table, slot: int, code: str, default: float) -> float:
    position = table.field(slot, 4 if code in "if" else 1)
    return default if position is None else table.reader.number(position, code)
