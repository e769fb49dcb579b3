"""Exports int8 TFLite files that Google's litert-quantizer makes of the float graph, for comparison with our own.

Source: the package litert-quantizer (0.11, alpha). It calibrates by moving averages of extremes, and gives
a graph with int8 input and output; conversions to other types are put around it here.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.tensor_names import shorten_names
from edgeclf.artifact.tflite_source_editor import SourceEditor
from edgeclf.compression.export.calibration import spanning_images
from edgeclf.compression.export.model_writer import SIGNATURE
from edgeclf.compression.export.observation import Feed, pixel_feeder
from edgeclf.compression.exporter import ExportedFile, Exporter, register_exporter
from edgeclf.errors import InputError, ModelError, one_line
from edgeclf.extras import require
from edgeclf.image.native_stderr import RUNTIME_CHATTER, without_chatter
from edgeclf.records import Record

if TYPE_CHECKING:
    from edgeclf.compression.step import StepContext
    from edgeclf.graph.float_network import FloatNetwork

KEY, ENTRY, RESULT = SIGNATURE


@register_exporter
@dataclass(frozen=True)
class LiteRTQuantizer(Exporter, Record):
    """A `.tflite` file in int8, quantized by litert-quantizer (its recipe `static_wi8_ai8`).

    Args:
        io: type of input and output, `uint8` or `int8`.

    Raises:
        InputError: the type is another.
    """

    kind: ClassVar[str] = "litert_quantizer"
    suffix: ClassVar[str] = ".tflite"

    io: str = "uint8"

    def __post_init__(self) -> None:
        if self.io not in ("uint8", "int8"):
            raise InputError(f"--io {self.io} goes with others than {self.label()}; use uint8 or int8")

    def label(self) -> str:
        """Return the last part of a recipe's name."""
        return "litertquantizer"

    @property
    def calibrates(self) -> bool:
        """Whether training images set quantization ranges."""
        return True

    @property
    def takes_graphs(self) -> bool:
        """Whether a network that came as a float TFLite graph can be exported."""
        return True

    @property
    def remark(self) -> str:
        """What users should know about the format."""
        return "int8, made by litert-quantizer instead of edgeclf's own exporter"

    def check_available(self) -> None:
        """Refuse where the package is missing.

        Raises:
            MissingExtraError: it is.
        """
        require(f"the format {self.label()}", "litert_quantizer")

    def export(self, network: FloatNetwork, context: StepContext) -> ExportedFile:
        """Quantize the float graph of a prepared network.

        Raises:
            InputError: calibration images are missing, or ranges were trained, which it cannot keep.
            MissingExtraError: litert-quantizer is not installed.
            ModelError: the converter or litert-quantizer refuses the network.
        """
        self.check_available()
        if network.invariants.trained_ranges:
            raise InputError(f"quantization-aware training makes int8 models, got {self.label()}; run it apart")
        from edgeclf.compression.export.converter import float_graph

        images = spanning_images(context.calibration_images)
        editor = SourceEditor(float_graph(network))
        highest = network.input_max * editor.remove_input_scaling()
        editor.sign(KEY, ENTRY, RESULT)
        content = quantize(editor.pack(), images, pixel_feeder(highest))
        editor = SourceEditor(content)
        (entry,) = editor.graph.inputs
        if (entry.dtype, entry.zero_point) != (self.io, -128) or not np.isclose(entry.scale, highest / 255, rtol=1e-6):
            editor.convert_entry(self.io, highest / 255)
        if self.io == "uint8" and editor.graph.outputs[0].dtype == "int8":
            editor.convert_int8_result()
        shorten_names(editor.unpacked)
        return ExportedFile(editor.pack(), self.label() + self.suffix)


def quantize(content: bytes, images: npt.NDArray[np.uint8], feed: Feed) -> bytes:
    """Quantize a float graph by litert-quantizer, weights and activations in int8.

    Args:
        content: the graph, whose signature `KEY` names its input `ENTRY`.
        images: uint8[n, H, W, 3], calibration images.
        feed: makes the graph's input tensor of one image.

    Raises:
        ModelError: litert-quantizer refuses the graph.
    """
    log = logging.getLogger("absl")
    with without_chatter(*RUNTIME_CHATTER, b"Running Calibration"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from litert_quantizer import Quantizer, recipe

        level = log.level
        log.setLevel(logging.ERROR)
        try:
            quantizer = Quantizer(content, recipe.static_wi8_ai8())
            found = quantizer.calibrate({KEY: [{ENTRY: feed(image)} for image in images]})
            made = quantizer.quantize(found, enable_progress_report=False).quantized_model
        except (ValueError, RuntimeError, KeyError) as error:
            raise ModelError(f"litert-quantizer refuses this network: {one_line(error)[:200]}") from error
        finally:
            log.setLevel(level)
    return bytes(made)
