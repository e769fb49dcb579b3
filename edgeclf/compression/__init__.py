"""Host side: turns a float network into model files: steps change the network, an exporter writes the file."""

from __future__ import annotations

import edgeclf.graph  # noqa: F401  # sets the variables that TensorFlow reads when it is first imported
from edgeclf.compression.choice import choose_recipes
from edgeclf.compression.compress_report import CompressedModel, CompressReport
from edgeclf.compression.export.onnx_format import Onnx
from edgeclf.compression.export.tflite import TFLite
from edgeclf.compression.exporter import Exporter, register_exporter
from edgeclf.compression.recipe import Recipe, parse_recipe
from edgeclf.compression.step import Step, StepContext, register_step
from edgeclf.compression.steps import Cluster, Prune, QuantizeAware, Shrink
from edgeclf.compression.steps.fine_tuning import FineTuning

__all__ = [
    "Cluster",
    "CompressReport",
    "CompressedModel",
    "Exporter",
    "FineTuning",
    "Onnx",
    "Prune",
    "QuantizeAware",
    "Recipe",
    "Shrink",
    "Step",
    "StepContext",
    "TFLite",
    "choose_recipes",
    "parse_recipe",
    "register_exporter",
    "register_step",
]
