"""Describes a TFLite format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from edgeclf.compression.export.tflite import TFLite
    from edgeclf.compression.step import StepContext
    from edgeclf.graph.float_network import FloatNetwork

IO_TYPES = ("uint8", "int8", "float32")
"""Types of input and output that some format can have."""


class Converted(NamedTuple):
    """A bare graph.

    `input_range` is what pixel values 0 and 255 must become before they enter a float input; None: they enter raw.
    `applied` is what became of the settings that a network may leave without effect (see `ExportedFile`).
    """

    content: bytes
    input_range: tuple[float, float] | None = None
    applied: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class TFLiteFormat:
    """One format. Modules that hold formats import TensorFlow inside their functions, so that names can be looked up.

    Attributes:
        name: its key in `FORMATS`, the last part of a recipe's name, and the flag of the command line.
        convert: from a prepared network to the graph.
        io: types that input and output can have.
        calibrates: whether training images set quantization ranges.
        integer: whether everything inside the graph is computed in 8-bit integers.
        carries_ranges: whether the file can keep the ranges of quantization-aware training.
        remark: what users should know of it, but nothing on speed, which is measured; may be empty.
        takes_graphs: whether a network that came as a TFLite graph can be exported.
        tunable: whether ranges, rounding, bias correction and equalization can be chosen, and layers kept in float.
    """

    name: str
    convert: Callable[[FloatNetwork, TFLite, StepContext], Converted]
    io: tuple[str, ...] = ("uint8", "float32")
    calibrates: bool = False
    integer: bool = False
    carries_ranges: bool = False
    remark: str = ""
    takes_graphs: bool = False
    tunable: bool = False
