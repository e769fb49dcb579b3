"""Host side: turns a float network into model files: steps change the network, an exporter writes the file."""

from __future__ import annotations

import os

# TFMOT and the converter look for Keras 2 under the name `tf.keras`. Both variables are read when TensorFlow is first
# imported, so they are set here, above every module that imports it.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from edgeclf.compression.choice import choose_recipes
from edgeclf.compression.compress_report import CompressedModel, CompressReport
from edgeclf.compression.export.tflite import TFLite
from edgeclf.compression.exporter import Exporter, register_exporter
from edgeclf.compression.recipe import Recipe, parse_recipe
from edgeclf.compression.step import Step, StepContext, register_step
from edgeclf.compression.steps import Cluster, Prune, QuantizeAware
from edgeclf.compression.steps.fine_tuning import FineTuning

__all__ = [
    "Cluster",
    "CompressReport",
    "CompressedModel",
    "Exporter",
    "FineTuning",
    "Prune",
    "QuantizeAware",
    "Recipe",
    "Step",
    "StepContext",
    "TFLite",
    "choose_recipes",
    "parse_recipe",
    "register_exporter",
    "register_step",
]
