"""Converts to the TFLite format with int16 activations and int8 weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeclf.compression.export.calibration import spanning_images
from edgeclf.compression.export.tflite_format import Converted, TFLiteFormat

if TYPE_CHECKING:
    from edgeclf.compression.export.tflite import TFLite
    from edgeclf.compression.step import StepContext
    from edgeclf.graph.float_network import FloatNetwork


def _int16x8(network: FloatNetwork, settings: TFLite, context: StepContext) -> Converted:
    import tensorflow as tf

    from edgeclf.compression.export.converter import pixel_converter, run_converter

    images = spanning_images(context.calibration_images)
    converter = pixel_converter(network, settings.io)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    dtype = np.float32 if settings.io == "float32" else np.uint8

    def samples() -> Iterator[list[Any]]:
        with context.progress.task("calibrating int16x8", len(images)) as task:
            for image in images:
                yield [image[None].astype(dtype)]
                task.advance()

    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
        tf.lite.OpsSet.TFLITE_BUILTINS,
    ]
    return Converted(run_converter(converter))


INT16X8 = TFLiteFormat(
    "int16x8",
    _int16x8,
    calibrates=True,
    remark="weights are stored in int8, as in int8 models; activations take 16 bits",
)
