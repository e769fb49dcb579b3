"""Converts to the TFLite formats that compute in float: float32, float16 weights, int8 weights (`dynamic`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeclf.artifact.tflite_source_editor import SourceEditor
from edgeclf.compression.export.tflite_format import Converted, TFLiteFormat

if TYPE_CHECKING:
    from edgeclf.compression.export.tflite import TFLite
    from edgeclf.compression.step import StepContext
    from edgeclf.graph.float_network import FloatNetwork


def pixel_graph(network: FloatNetwork, io: str, *, halve: bool = False) -> bytes:
    """Return the graph of a prepared network that came as one, on raw pixels.

    Args:
        network: prepared; with a graph.
        io: type of the input, `uint8` or `float32`.
        halve: store the weights in 16 bits.
    """
    assert network.graph is not None
    editor = SourceEditor(network.graph)
    if halve:
        editor.halve_constants()
    if network.input_max != 255:
        editor.scale_entry(network.input_max / 255)
    if io == "uint8":
        editor.take_bytes()
    return editor.pack()


def _float32(network: FloatNetwork, settings: TFLite, context: StepContext) -> Converted:
    if network.graph is not None:
        return Converted(pixel_graph(network, settings.io))
    from edgeclf.compression.export.converter import pixel_converter, run_converter

    return Converted(run_converter(pixel_converter(network, settings.io)))


def _float16(network: FloatNetwork, settings: TFLite, context: StepContext) -> Converted:
    if network.graph is not None:
        return Converted(pixel_graph(network, settings.io, halve=True))
    import tensorflow as tf

    from edgeclf.compression.export.converter import pixel_converter, run_converter

    converter = pixel_converter(network, settings.io)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return Converted(run_converter(converter))


def _dynamic(network: FloatNetwork, settings: TFLite, context: StepContext) -> Converted:
    import tensorflow as tf

    from edgeclf.compression.export.converter import pixel_converter, run_converter

    converter = pixel_converter(network, settings.io)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return Converted(run_converter(converter))


FLOAT32 = TFLiteFormat(
    "float32", _float32, remark="the numbers of the float network, for comparison", takes_graphs=True
)
FLOAT16 = TFLiteFormat(
    "float16",
    _float16,
    remark="weights are stored in 16 bits; the graph widens them to float32",
    takes_graphs=True,
)
DYNAMIC = TFLiteFormat(
    "dynamic",
    _dynamic,
    remark="weights of 1,024 values or more are stored in int8; activations stay float, and are rounded in each run",
)
