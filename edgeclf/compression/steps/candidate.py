"""Exports a network that was not trained yet as the int8 model that it would become.

Other weights take the same time and as many bytes, so that sizes and times are known before any training.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edgeclf.compression.step import StepContext
from edgeclf.graph.float_network import FloatNetwork

IMAGES = 8
"""That set the ranges."""


def export_candidate(network: FloatNetwork, context: StepContext) -> bytes:
    """Return the int8 model of a network, without labels and provenance.

    Args:
        network: whose weights do not matter.
        context: for the export; without calibration images the ranges are those of noise.
    """
    from edgeclf.compression.export.tflite import TFLite

    height, width = network.input.height, network.input.width
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, height, width, 3), dtype=np.uint8)
    given = context.calibration_images
    images = images if given is None else given[:IMAGES]
    inside: Any = replace(context, calibration_images=images, observed=None)
    # weights of the nearest integers are made at once
    content: bytes = TFLite("int8", bias_correction=False, rounding="nearest").export(network, inside).content
    return content
