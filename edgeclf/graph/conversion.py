"""Starts TensorFlow's TFLite converter on a function of one image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from edgeclf.graph.private_apis import disable_per_channel_dense


def make_converter(function: Callable[[Any], Any], height: int, width: int, dtype: Any = tf.float32) -> Any:
    """Return a converter for `function`, with quantization of dense layers per tensor where it quantizes.

    Args:
        function: maps a tensor of `dtype`[1, height, width, 3] to the scores of one image.
        height: of the image, pixels.
        width: of the image, pixels.
        dtype: of the image's values.
    """
    signature = [tf.TensorSpec((1, height, width, 3), dtype, name="image")]
    concrete = tf.function(function, input_signature=signature).get_concrete_function()
    owner = tf.Module()
    owner.held = list(concrete.graph.variables)  # which the function holds weakly
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], owner)
    # The way over a SavedModel takes three times as long, and brings the same scores.
    converter.experimental_lower_to_saved_model = False
    disable_per_channel_dense(converter)
    return converter
