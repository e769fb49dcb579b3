"""Converts to the TFLite format with int8 weights and activations; ranges come from images or from training."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeclf.artifact.macs import count_macs
from edgeclf.artifact.tflite import TfliteModel, parse
from edgeclf.artifact.tflite_editor import TfliteEditor
from edgeclf.artifact.tflite_source_editor import SourceEditor
from edgeclf.compression.export.adaptive_rounding import round_adaptively
from edgeclf.compression.export.bias_correction import correct_biases
from edgeclf.compression.export.calibration import spanning_images
from edgeclf.compression.export.equalization import equalize
from edgeclf.compression.export.graph_queries import activations, weighted_operators
from edgeclf.compression.export.input_offset import fold_scaling, move_offset, scaled_range
from edgeclf.compression.export.observation import FloatObservation, observe_ranges, pixel_feeder
from edgeclf.compression.export.policy import EVERYTHING, QuantizationPolicy
from edgeclf.compression.export.range_choice import choose_ranges, clip_weights
from edgeclf.compression.export.range_floor import raise_narrow_ranges
from edgeclf.compression.export.tflite_format import IO_TYPES, Converted, TFLiteFormat
from edgeclf.progress import SILENT, Progress

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgeclf.compression.export.tflite import TFLite
    from edgeclf.compression.step import StepContext
    from edgeclf.graph.float_network import FloatNetwork

CORRECTION_IMAGES = 256
"""Images that bias correction looks at in small networks."""
FEWEST_CORRECTION_IMAGES = 32
ROUNDING_IMAGES = 64
"""Images that adaptive rounding looks at: their patches are many."""
CORRECTION_MACS = 10**12
"""Multiply-accumulates that the correction of larger networks may take: a minute on one core."""
CORRECTION_BYTES = 10**9
"""Memory for the activations of all these images between two layers."""
_FLOAT_BYTES = 4


def observe(
    network: FloatNetwork,
    images: npt.NDArray[np.uint8] | None,
    progress: Progress = SILENT,
    *,
    equalized: bool = False,
) -> FloatObservation:
    """Run a network's float graph on the calibration images.

    Args:
        network: prepared.
        images: uint8[n, H, W, 3].
        progress: where the bar goes.
        equalized: level the ranges of channels first (see `equalize`).

    Raises:
        InputError: there are no images.
        ModelError: the converter refuses the network.
    """
    from edgeclf.compression.export.converter import float_graph

    images = spanning_images(images)
    editor = TfliteEditor(float_graph(network))
    highest = network.input_max * editor.remove_input_scaling()
    content, feed = move_offset(editor.pack(), highest), pixel_feeder(highest)
    if equalized:
        content = equalize(content, images, feed)
    graph = parse(content)
    rows = correction_rows(graph, len(images)).tolist()
    ranges, patches = observe_ranges(content, images, feed, rows, weighted_operators(graph), progress)
    return FloatObservation(content, highest, ranges, patches, equalized)


def find_observation(
    network: FloatNetwork, settings: TFLite, context: StepContext, images: npt.NDArray[np.uint8]
) -> FloatObservation:
    """Return what `observe` found of a network: what the recipes share where it is the original, else observed now."""
    observed = context.observed if network is context.original else None
    if observed is None or observed.equalized != settings.equalization:
        observed = observe(network, images, context.progress, equalized=settings.equalization)
    return observed


def correction_rows(
    graph: TfliteModel, images: int, most: int | None = None, quantized: TfliteModel | None = None
) -> npt.NDArray[np.int64]:
    """Choose which of the calibration images bias correction looks at, evenly spaced: int64[m].

    Args:
        graph: of the float network.
        images: number of calibration images.
        most: of them.
        quantized: the int8 graph made of it, some of whose layers may compute in float; None: none does.
    """
    largest = max((tensor.elements for tensor in activations(graph)), default=1)
    if quantized is not None:
        edges = {*quantized.input_indices, *quantized.output_indices}
        inner = (tensor for tensor in activations(quantized) if tensor.index not in edges)
        largest = max([largest, *(_FLOAT_BYTES * tensor.elements for tensor in inner)])
    count = min(images if most is None else min(images, most), correction_images(count_macs(graph), largest))
    return np.linspace(0, images - 1, count).astype(np.int64)


def correction_images(macs: int, largest: int) -> int:
    """Choose how many images bias correction looks at: fewer where the network is large.

    Args:
        macs: multiply-accumulates for one image.
        largest: bytes of the largest activation; a layer's input and output and a shortcut are held.
    """
    affordable = max(FEWEST_CORRECTION_IMAGES, min(CORRECTION_IMAGES, CORRECTION_MACS // max(1, macs)))
    return max(1, min(affordable, CORRECTION_BYTES // max(1, 3 * largest)))


def _int8(network: FloatNetwork, settings: TFLite, context: StepContext) -> Converted:
    from edgeclf.compression.export.converter import trained_graph

    if network.invariants.trained_ranges:
        made = with_io(trained_graph(network), settings.io, network.input_max)
        return made._replace(
            applied={"ranges": "trained", "rounding": "nearest", "bias_correction": False, "equalization": False}
        )
    images = spanning_images(context.calibration_images)
    observed = find_observation(network, settings, context, images)
    chosen = None
    if settings.ranges == "mse":
        chosen = choose_ranges(observed.content, images, pixel_feeder(observed.input_max), context.progress)
    quantized = quantize_observed(observed, settings.policy, chosen)
    nearest = settings.rounding == "nearest" or keeps_equal_weights(network)
    if not nearest:
        corrected = settings.bias_correction
        quantized = round_observed(quantized, observed, images, context.progress, corrected=corrected)
    if settings.bias_correction:
        quantized = correct_observed(quantized, observed, images, context.progress)
    return with_io(quantized, settings.io, observed.input_max)._replace(applied=describe_applied(settings, nearest))


def describe_applied(settings: TFLite, nearest: bool) -> dict[str, Any]:
    """Describe what was applied to a graph that was calibrated: of the settings, all but the rounding as they are."""
    return {
        "ranges": settings.ranges,
        "rounding": "nearest" if nearest else "adaptive",
        "bias_correction": settings.bias_correction,
        "equalization": settings.equalization,
    }


def keeps_equal_weights(network: FloatNetwork) -> bool:
    """Return whether each weight goes to the nearest integer.

    Rounded apart, the weights of one cluster would become two values, also where a channel has few of them.
    """
    return network.invariants.clusters is not None or network.invariants.nearest_rounding


def quantize_observed(
    observed: FloatObservation,
    policy: QuantizationPolicy = EVERYTHING,
    chosen: Mapping[int, tuple[float, float]] | None = None,
    levels: int = 127,
) -> bytes:
    """Quantize a float graph to int8 by the ranges of its activations, with float input and output.

    Args:
        observed: the graph and its ranges.
        policy: which layers stay in float.
        chosen: ranges by tensor number, of the least mean squared error, which weights are clipped for then as well;
            None: the extremes that were observed.
        levels: largest integer that weights will have (see `raise_narrow_ranges`).

    Raises:
        InputError: the policy names layers that the graph does not have, all that it has, or such that the quantizer
            makes int8 of.
        ModelError: the quantizer refuses the graph.
    """
    from edgeclf.compression.export.converter import quantize

    editor, ranges = TfliteEditor(observed.content), observed.ranges
    kept = policy.float_nodes(editor.graph)
    if chosen is None:
        ends = zip(ranges.indices, *ranges.without_extremes(), strict=True)
        chosen = {int(index): (float(low), float(high)) for index, low, high in ends}
    else:
        clip_weights(editor, kept)
    (entry,), highest = editor.graph.input_indices, observed.input_max
    chosen = {**chosen, entry: (0.0, highest), **scaled_range(editor, highest)}
    editor.set_ranges(raise_narrow_ranges(editor.graph, chosen, levels))
    quantized = quantize(editor.pack(), kept)
    policy.check_kept(editor.graph, parse(quantized))
    return quantized


def round_observed(
    quantized: bytes,
    observed: FloatObservation,
    images: npt.NDArray[np.uint8],
    progress: Progress = SILENT,
    *,
    four_bits: Collection[int] = (),
    nearest: bool = False,
    corrected: bool = True,
) -> bytes:
    """Round the weights of what `quantize_observed` returned by some of the calibration images (`round_adaptively`)."""
    part = images[correction_rows(parse(observed.content), len(images), ROUNDING_IMAGES, parse(quantized))]
    feed = pixel_feeder(observed.input_max)
    return round_adaptively(
        quantized,
        observed.content,
        part,
        feed,
        progress,
        four_bits=four_bits,
        nearest=nearest,
        corrected=corrected,
    )


def correct_observed(
    quantized: bytes, observed: FloatObservation, images: npt.NDArray[np.uint8], progress: Progress
) -> bytes:
    """Correct the biases of what `quantize_observed` returned by the calibration images (`correct_biases`)."""
    graph, feed, patches = parse(observed.content), pixel_feeder(observed.input_max), observed.patches
    rows = correction_rows(graph, len(images), quantized=parse(quantized))
    part = images[rows]
    if len(rows) < len(correction_rows(graph, len(images))):  # the patches are of more images
        _, patches = observe_ranges(observed.content, part, feed, range(len(rows)), weighted_operators(graph), progress)
    return correct_biases(quantized, observed.content, patches, part, feed, progress)


def with_io(quantized: bytes, io: str, input_max: float) -> Converted:
    """Give an integer graph with float input and output those of type `io`."""
    from edgeclf.compression.export.converter import change_io

    if io != "float32":
        editor = SourceEditor(fold_scaling(quantized))
        (entry,) = editor.graph.input_indices
        if all(op.name == "QUANTIZE" for op in editor.graph.consumers(entry)):
            return Converted(change_io(editor.content, io))
        # a layer in float reads the pixels: what the quantization of the input stands for is computed in front of it
        editor.convert_entry(io, input_max / 255)
        return Converted(change_io(editor.pack(), io, entry=False))
    editor = SourceEditor(quantized)
    if editor.scale_input(255 / input_max):
        return Converted(editor.pack())
    return Converted(quantized, (0.0, input_max))


INT8 = TFLiteFormat(
    "int8",
    _int8,
    io=IO_TYPES,
    calibrates=True,
    integer=True,
    carries_ranges=True,
    takes_graphs=True,
    tunable=True,
)
