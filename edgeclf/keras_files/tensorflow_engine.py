"""The engine `tensorflow`: the TFLite interpreter inside of TensorFlow. Registers itself when imported."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from edgeclf.errors import MissingExtraError
from edgeclf.extras import installed
from edgeclf.inference.engine import ENGINES
from edgeclf.inference.tflite_session import TFLiteEngine


class TensorFlowEngine(TFLiteEngine):
    """The package `tensorflow`."""

    name = "tensorflow"
    distribution = "tensorflow"

    def load(self) -> Any:
        """Import TensorFlow; return its interpreter class and resolver types."""
        if not installed("tensorflow"):
            raise MissingExtraError("--runtime tensorflow", "train", "tensorflow")
        import tensorflow as tf

        return SimpleNamespace(Interpreter=tf.lite.Interpreter, OpResolverType=tf.lite.experimental.OpResolverType)


ENGINES[TensorFlowEngine.name] = TensorFlowEngine()
