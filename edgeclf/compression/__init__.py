"""Host side: from a float network to TFLite models, quantized, pruned, clustered."""

from __future__ import annotations

import os

# TFMOT and the converter look for Keras 2 under the name `tf.keras`. Both variables are read when TensorFlow is first
# imported, so they are set here, above every module that imports it.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from edgeclf.compression.compress_report import CompressedModel, CompressReport
from edgeclf.compression.recipe import Recipe, choose_recipes, parse_recipe

__all__ = ["CompressReport", "CompressedModel", "Recipe", "choose_recipes", "parse_recipe"]
