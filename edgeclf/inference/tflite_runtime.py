"""The engine of older boards: tflite-runtime, in an environment of its own with NumPy 1."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np

from edgeclf.errors import InputError, MissingExtraError
from edgeclf.extras import installed
from edgeclf.inference.tflite_session import TFLiteEngine


class TFLiteRuntime(TFLiteEngine):
    """The package `tflite-runtime`, whose last release is for Python 3.11."""

    name = "tflite-runtime"
    distribution = "tflite-runtime"

    def load(self) -> Any:
        """Import the package; return its module `interpreter`."""
        if sys.version_info >= (3, 12):
            raise InputError(
                "tflite-runtime ended with Python 3.11, and this is a later one; leave --runtime out (litert)"
            )
        if not installed("tflite_runtime"):
            raise MissingExtraError("--runtime tflite-runtime", "tflite-runtime", "tflite-runtime")
        if int(np.__version__.split(".")[0]) >= 2:
            raise InputError(
                f"tflite-runtime needs numpy < 2, got {np.__version__}; "
                'give it an environment of its own: pip install "edgeclf[tflite-runtime]"'
            )
        return importlib.import_module("tflite_runtime.interpreter")
