"""From a float network to TFLite: one function a format."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import tensorflow as tf

from edgeclf.artifact.macs import count_macs
from edgeclf.artifact.native_stderr import without_chatter
from edgeclf.artifact.tflite import parse
from edgeclf.compression.export.bias_correction import correct_biases
from edgeclf.compression.export.calibration import full_range
from edgeclf.compression.export.observation import Observer, Ranges, observe_ranges
from edgeclf.compression.export.tflite_editor import (
    rescaled_input,
    weighted_operators,
    with_ranges,
    with_short_names,
    without_scaling,
)
from edgeclf.errors import InputError, ModelError
from edgeclf.progress import SILENT, Progress

_CHATTER = (
    *(b"WARNING: All log messages", b"W0000", b"I0000", b"INFO:", b"fully_quantize:", b"Summary on the non-converted"),
    *(b" non-converted", b"-----", b"(f32:", b"(uq_8:", b"Accepted dialects", b"Non-Converted Ops", b"* "),
    # what a refusal says at length; the error that is raised carries the point
    *(b"loc(", b"error: ", b"implement custom ops", b"Custom ops: ", b"Flex ops: ", b"Details:", b"\ttf."),
)
CORRECTION_IMAGES = 256
"""Images that bias correction looks at in small networks; each is run once for each layer."""
FEWEST_CORRECTION_IMAGES = 32
SMALL_NETWORK = 30
"""Layers up to which all of them are looked at."""
CORRECTION_MACS = 10**12
"""Multiply-accumulates that the correction of larger networks may take: minutes on one core."""


@dataclass(frozen=True)
class Conversion:
    """What is to be converted.

    Attributes:
        function: from `float32[1, H, W, 3]`, 0..`high`, to `float32[1, C]`.
        holder: the object that owns its variables, where the converter shall keep them as such; None: as constants.
        height: pixels.
        width: pixels.
        high: what pixel value 255 becomes before it enters `function`; 0 stays 0.
        images: uint8[n, H, W, 3] for calibration; None where the format needs none.
        io: `uint8`, `int8` or `float32`.
        trained_ranges: the graph carries its ranges from quantization-aware training.
        bias_correction: correct biases after calibration.
        observed: what `observe` gave for the same function and images, where it is known already.
        progress: where bars go.
    """

    function: Callable[[Any], Any]
    holder: Any
    height: int
    width: int
    high: float
    images: np.ndarray | None = None
    io: str = "uint8"
    trained_ranges: bool = False
    bias_correction: bool = True
    observed: FloatObservation | None = None
    progress: Progress = SILENT


@dataclass(frozen=True)
class FloatObservation:
    """The float graph that ranges are noted in, and what flows through it on the calibration images.

    Attributes:
        flat: the graph, without a multiplication of its whole input.
        factor: of that multiplication.
        ranges: of its activations.
    """

    flat: bytes
    factor: float
    ranges: Ranges


@dataclass(frozen=True)
class Converted:
    """A bare TFLite file.

    Attributes:
        flat: its content.
        input_range: what pixel values 0 and 255 must become before they enter the graph; None: they enter raw.
    """

    flat: bytes
    input_range: tuple[float, float] | None = None


def convert(format: str, job: Conversion) -> Converted:
    """Convert to one of the formats.

    Raises:
        ModelError: the converter refuses the network.
    """
    converted = FORMAT_CONVERTERS[format](job)
    return dataclasses.replace(converted, flat=with_short_names(converted.flat))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the converter's chatter off stderr."""
    with without_chatter(*_CHATTER):
        yield


def _float32(job: Conversion) -> Converted:
    return Converted(_converted(_pixel_converter(job)))


def _float16(job: Conversion) -> Converted:
    converter = _pixel_converter(job)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return Converted(_converted(converter))


def _dynamic(job: Conversion) -> Converted:
    converter = _pixel_converter(job)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return Converted(_converted(converter))


def _int16x8(job: Conversion) -> Converted:
    images = _calibration_images(job)
    converter = _pixel_converter(job)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    dtype = np.float32 if job.io == "float32" else np.uint8

    def samples() -> Iterator[list[np.ndarray]]:
        with job.progress.task("calibrating int16x8", len(images)) as task:
            for image in images:
                yield [image[None].astype(dtype)]
                task.advance()

    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
        tf.lite.OpsSet.TFLITE_BUILTINS,
    ]
    return Converted(_converted(converter))


def observe(job: Conversion) -> FloatObservation:
    """Run the float graph on the calibration images.

    Raises:
        ModelError: the converter refuses the network.
    """
    flat, factor = without_scaling(float_graph(job))
    ranges, _ = observe_ranges(
        Observer(flat), _calibration_images(job), _feeder(job.high * factor), progress=job.progress
    )
    return FloatObservation(flat, factor, ranges)


def _int8(job: Conversion) -> Converted:
    if job.trained_ranges:
        return _from_trained_ranges(job)
    from tensorflow.lite.python.convert import mlir_quantize

    images = _calibration_images(job)
    observed = job.observed or observe(job)
    flat, high, ranges = observed.flat, job.high * observed.factor, observed.ranges
    model = parse(flat)
    noted = {
        int(index): (float(low), float(high))
        for index, low, high in zip(ranges.indices, *ranges.without_extremes(), strict=True)
    }
    noted[model.input_indices[0]] = (0.0, high)
    with _refusals():
        quantized = bytes(mlir_quantize(with_ranges(flat, noted), disable_per_channel_for_dense_layers=True))
    if job.bias_correction:
        weighted = weighted_operators(model)
        count = min(len(images), correction_images(len(weighted), count_macs(model)))
        part = images[np.linspace(0, len(images) - 1, count).astype(np.int64)]
        feed = _feeder(high)
        means = observe_ranges(Observer(flat), part, feed, weighted)[1]
        quantized = correct_biases(quantized, flat, means, part, feed, job.progress)
    return _with_io(quantized, dataclasses.replace(job, high=high))


def correction_images(weighted: int, macs: int) -> int:
    """How many images bias correction looks at: fewer where each is run once for each of many layers.

    Args:
        weighted: number of layers with weights.
        macs: multiply-accumulates for one image.
    """
    if weighted <= SMALL_NETWORK:
        return CORRECTION_IMAGES
    affordable = min(CORRECTION_IMAGES * SMALL_NETWORK // weighted, CORRECTION_MACS // max(1, weighted * macs))
    return max(FEWEST_CORRECTION_IMAGES, affordable)


def _feeder(high: float) -> Callable[[np.ndarray], np.ndarray]:
    scale = np.float32(high / 255)
    return lambda image: image[None].astype(np.float32) * scale


def _from_trained_ranges(job: Conversion) -> Converted:
    converter = _converter(job, job.function, tf.float32)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return _with_io(_converted(converter), job)


def _with_io(quantized: bytes, job: Conversion) -> Converted:
    """Give an integer graph with float ends the wanted ones."""
    from tensorflow.lite.python.util import modify_model_io_type

    if job.io != "float32":
        wanted = {"uint8": tf.uint8, "int8": tf.int8}[job.io]
        with _refusals():
            return Converted(bytes(modify_model_io_type(quantized, wanted, wanted)))
    raw = rescaled_input(quantized, 255 / job.high)
    return Converted(quantized, (0.0, job.high)) if raw is None else Converted(raw)


def float_graph(job: Conversion) -> bytes:
    """The float graph on scaled pixels, one image at a time."""
    return _converted(_converter(job, job.function, tf.float32))


def _pixel_converter(job: Conversion) -> Any:
    scale = np.float32(job.high / 255)
    dtype = tf.float32 if job.io == "float32" else tf.uint8
    return _converter(job, lambda pixels: job.function(tf.cast(pixels, tf.float32) * scale), dtype)


def _converter(job: Conversion, function: Callable[[Any], Any], dtype: Any) -> Any:
    signature = [tf.TensorSpec((1, job.height, job.width, 3), dtype, name="image")]
    concrete = tf.function(function, input_signature=signature).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], job.holder)
    # Runtimes of 2023 (tflite-runtime 2.14) know one scale a dense layer; more came later.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    return converter


def _converted(converter: Any) -> bytes:
    with _refusals():
        return bytes(converter.convert())


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Keep the converter quiet, and turn what it raises into one line."""
    from tensorflow.lite.python.convert_phase import ConverterError

    try:
        with quiet():
            yield
    except (ValueError, RuntimeError, ConverterError, tf.errors.OpError) as error:
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ModelError(f"the TFLite converter refuses this network: {first[:200]}") from error


def _calibration_images(job: Conversion) -> np.ndarray:
    if job.images is None or len(job.images) == 0:
        raise InputError("int8 and int16x8 need training images for calibration; name them with --data")
    return full_range(np.asarray(job.images))


FORMAT_CONVERTERS: Mapping[str, Callable[[Conversion], Converted]] = MappingProxyType(
    {"float32": _float32, "float16": _float16, "dynamic": _dynamic, "int8": _int8, "int16x8": _int16x8}
)
