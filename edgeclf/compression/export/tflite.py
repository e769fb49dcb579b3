"""Exports TFLite files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from edgeclf.artifact.tensor_names import shorten_names
from edgeclf.artifact.tflite_editor import TfliteEditor
from edgeclf.compression.export.formats import FORMATS
from edgeclf.compression.export.policy import EVERYTHING, QuantizationPolicy
from edgeclf.compression.export.tflite_format import IO_TYPES
from edgeclf.compression.exporter import ExportedFile, Exporter, register_exporter
from edgeclf.errors import InputError, UnknownNameError
from edgeclf.records import Record

if TYPE_CHECKING:
    from edgeclf.compression.step import StepContext
    from edgeclf.graph.float_network import FloatNetwork

RANGES = ("extremes", "mse")
ROUNDINGS = ("adaptive", "nearest")


@register_exporter
@dataclass(frozen=True)
class TFLite(Exporter, Record):
    """A `.tflite` file.

    Args:
        format: one of `FORMATS`.
        io: type of input and output: `uint8`, `int8` (int8 and int4 models only) or `float32`.
        bias_correction: after calibration of int8, take back the mean error that rounding left in each layer.

        equalization: before calibration of int8, give channels similar ranges (see `equalize`). Off, since it did not
            raise top-1 where it was measured: ResNet-8 on cifar10-jpeg, three draws, 2,080 validation images.
        ranges: of int8: `extremes` takes the smallest and largest values seen, without the most extreme 1 % of the
            images; `mse` those ends that leave the least mean squared error, of weights as well (see `range_choice`),
            which did not raise top-1 where it was measured.
        rounding: of int8 weights: `adaptive`, up or down as it serves the layer (see `adaptive_rounding`), or
            `nearest`, which clustered weights, and other equal ones of a channel, always get. Adaptive rounding brought
            top-1 on validation images from 0.12 points below that of the float network to 0.06 (ResNet-8 on
            cifar10-jpeg, six draws), and from 0.88 to 0.20 (MobileNetV2 at 160 pixels on clothing, three draws).
        policy: which layers of an int8 model compute in float.

    Raises:
        InputError: there is no such format or type, or they do not go together.
    """

    kind: ClassVar[str] = "tflite"
    suffix: ClassVar[str] = ".tflite"

    format: str = "int8"
    io: str = "uint8"
    bias_correction: bool = True
    equalization: bool = False
    ranges: str = "extremes"
    rounding: str = "adaptive"
    policy: QuantizationPolicy = EVERYTHING

    def __post_init__(self) -> None:
        self.check_types()
        if self.format not in FORMATS:
            raise UnknownNameError("format", self.format, FORMATS)
        if self.io not in IO_TYPES:
            raise UnknownNameError("io", self.io, IO_TYPES)
        if self.io not in FORMATS[self.format].io:
            able = " and ".join(name for name, format in FORMATS.items() if self.io in format.io)
            others = " or ".join(FORMATS[self.format].io)
            raise InputError(f"--io {self.io} goes with {able} models, got {self.format}; use {others}")
        for name, value, known in (("ranges", self.ranges, RANGES), ("rounding", self.rounding, ROUNDINGS)):
            if value not in known:
                raise UnknownNameError(name, value, known)
            if value != known[0] and not self.tunable:
                raise InputError(f"{name}={value} goes with int8 models, got {self.format}")
        for name, changed in (("bias_correction", not self.bias_correction), ("equalization", self.equalization)):
            if changed and not self.tunable:
                value = str(getattr(self, name)).lower()
                raise InputError(f"{name}={value} goes with int8 models, got {self.format}")
        if self.policy.selects and not self.tunable:
            raise InputError(f"float_layers and float_operators go with int8 models, got {self.format}")

    def label(self) -> str:
        """Return the format's name."""
        return self.format

    @classmethod
    def variants(cls) -> dict[str, TFLite]:
        """Return by label one exporter a format, with default settings."""
        return {name: cls(name) for name in FORMATS}

    @property
    def calibrates(self) -> bool:
        """Whether training images set quantization ranges."""
        return FORMATS[self.format].calibrates

    @property
    def carries_ranges(self) -> bool:
        """Whether the file can keep the ranges of quantization-aware training."""
        return FORMATS[self.format].carries_ranges

    @property
    def integer(self) -> bool:
        """Whether everything inside the file is computed in 8-bit integers."""
        return FORMATS[self.format].integer and not self.policy.selects

    @property
    def takes_graphs(self) -> bool:
        """Whether a network that came as a float TFLite graph can be exported."""
        return FORMATS[self.format].takes_graphs

    @property
    def tunable(self) -> bool:
        """Whether ranges, rounding, bias correction and equalization can be chosen, and layers kept in float."""
        return FORMATS[self.format].tunable

    @property
    def remark(self) -> str:
        """What users should know about the format, but nothing on speed, which is measured; may be empty."""
        return FORMATS[self.format].remark

    def check_trained_ranges(self) -> None:
        """Refuse what training decides: ranges, rounding, equal ranges of channels, and that all layers are int8."""
        if self.policy.selects:
            raise InputError("quantization-aware training makes int8 of all layers; leave float_layers out, or --qat")
        for name, value, default in (
            ("ranges", self.ranges, RANGES[0]),
            ("rounding", self.rounding, ROUNDINGS[0]),
            ("equalization", self.equalization, False),
        ):
            if value != default:
                raise InputError(f"quantization-aware training sets ranges and weights; leave {name} out, or --qat")

    def export(self, network: FloatNetwork, context: StepContext) -> ExportedFile:
        """Convert a prepared network; its tensors keep short names.

        Raises:
            InputError: calibration images are missing, or ranges were trained that the format cannot carry.
            ModelError: the converter refuses the network.
        """
        if network.invariants.trained_ranges:
            self.check_trained_ranges()
        if network.invariants.trained_ranges and not self.carries_ranges:
            able = ", ".join(name for name, format in FORMATS.items() if format.carries_ranges)
            raise InputError(f"quantization-aware training makes {able} models, got {self.format}; run it apart")
        converted = FORMATS[self.format].convert(network, self, context)
        editor = TfliteEditor(converted.content)
        shorten_names(editor.unpacked)
        applied = converted.applied or {}  # other formats have no such settings
        name = self.format + self.suffix
        made = ExportedFile(editor.pack(), name, input_range=converted.input_range, applied=applied)
        if network.invariants.trained_ranges and not self.bias_correction:
            made = replace(made, notes=("bias_correction=false has no effect: biases stay as training left them",))
        if self.policy.selects and self.io != "float32" and made.graph.outputs[0].dtype == "float32":
            made = replace(made, notes=(f"its output is float32, not {self.io}: the last layer computes in float",))
        return made
