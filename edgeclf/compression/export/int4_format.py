"""Converts to the TFLite format with int4 weights and int8 activations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeclf.artifact.tflite import parse
from edgeclf.artifact.tflite_editor import TfliteEditor
from edgeclf.compression.export.calibration import spanning_images
from edgeclf.compression.export.four_bit_weights import LARGEST, find_narrow
from edgeclf.compression.export.graph_queries import weighted_operators
from edgeclf.compression.export.int8_format import (
    correct_observed,
    describe_applied,
    find_observation,
    keeps_equal_weights,
    quantize_observed,
    round_observed,
    with_io,
)
from edgeclf.compression.export.tflite_format import IO_TYPES, Converted, TFLiteFormat
from edgeclf.errors import InputError

if TYPE_CHECKING:
    from edgeclf.compression.export.tflite import TFLite
    from edgeclf.compression.step import StepContext
    from edgeclf.graph.float_network import FloatNetwork


def _int4(network: FloatNetwork, settings: TFLite, context: StepContext) -> Converted:
    images = spanning_images(context.calibration_images)
    observed = find_observation(network, settings, context, images)
    quantized = quantize_observed(observed, levels=LARGEST)
    graph, exact = parse(quantized), parse(observed.content)
    known = {exact.tensors[op.inputs[1]].name for op in weighted_operators(exact)}
    narrow = frozenset(index for index in find_narrow(graph) if graph.tensors[index].name in known)
    if not narrow:
        raise InputError(
            "int4 stores the weights of convolutions and dense layers between the first and the last in four bits, and "
            "the network has none; make an int8 model of it"
        )
    nearest = keeps_equal_weights(network)
    quantized = round_observed(quantized, observed, images, context.progress, four_bits=narrow, nearest=nearest)
    quantized = correct_observed(quantized, observed, images, context.progress)
    converted = with_io(quantized, settings.io, observed.input_max)
    # Packed at the end: what is above computes, and changes, weights of 8 bits.
    editor, names = TfliteEditor(converted.content), {graph.tensors[index].name for index in narrow}
    editor.store_as_int4(tensor.index for tensor in editor.graph.tensors if tensor.name in names)
    return converted._replace(content=editor.pack(), applied=describe_applied(settings, nearest))


INT4 = TFLiteFormat(
    "int4",
    _int4,
    io=IO_TYPES,
    calibrates=True,
    integer=True,
    takes_graphs=True,
    remark="weights between the first and the last layer are stored in 4 bits, depthwise ones in 8; activations take "
    "8; edgeclf unpacks such weights when it opens a file, and inspect --doctor measures programs that do not",
)
