"""The default engine: LiteRT, the present name of TensorFlow Lite."""

from __future__ import annotations

import importlib
from typing import Any

from edgeclf.errors import InputError
from edgeclf.extras import installed
from edgeclf.inference.tflite_session import TFLiteEngine


class LiteRT(TFLiteEngine):
    """The package `ai-edge-litert`."""

    name = "litert"
    distribution = "ai-edge-litert"

    def load(self) -> Any:
        """Import the package; return its module `interpreter`."""
        if not installed("ai_edge_litert"):
            raise InputError("--runtime litert needs ai-edge-litert, which is not installed; run: pip install edgeclf")
        return importlib.import_module("ai_edge_litert.interpreter")


LITERT = LiteRT()
"""The engine; it may be opened with `preserve_all_tensors` and other kernels, which others do not offer."""
