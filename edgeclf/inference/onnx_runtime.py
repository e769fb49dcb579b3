"""The engine `onnxruntime`, which runs `.onnx` files."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.onnx_file import OnnxFile
from edgeclf.errors import InputError, MissingExtraError, ModelError, RunFailedError
from edgeclf.extras import installed
from edgeclf.inference.engine import TensorSpec, check_threads
from edgeclf.inference.limits import ModelLimits
from edgeclf.inference.watched_call import WatchedCall


class OnnxSession:
    """A model in onnxruntime; see `Session`.

    Args:
        native: the session.
        file: the model.
        engine_version: of the package.
        threads: number of threads.
        limits: of one call: what the operators take is not known beforehand.
    """

    engine = "onnxruntime"

    def __init__(self, native: Any, file: OnnxFile, engine_version: str, threads: int, limits: ModelLimits) -> None:
        entry, result = file.graph.inputs[0], file.graph.outputs[0]
        self.input = TensorSpec(entry.name, entry.shape, entry.dtype, 0.0, 0)
        self.output = TensorSpec(result.name, result.shape, result.dtype, 0.0, 0)
        self.engine_version, self.threads = engine_version, threads
        self._native = native
        self._tensor: npt.NDArray[Any] = np.zeros(entry.shape, entry.dtype)
        self._found: npt.NDArray[Any] = np.empty(0)
        self.invoke: Callable[[], object] = WatchedCall(self._compute, native, file.name, limits)

    def _compute(self) -> None:
        (self._found,) = self._native.run([self.output.name], {self.input.name: self._tensor})

    def run(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Compute the graph on a tensor of the input's shape and type; returns the raw output.

        Raises:
            InputError: the tensor has another shape or type.
            RunFailedError: the runtime fails, or the model takes more time or memory than allowed.
        """
        if tensor.shape != self.input.shape or tensor.dtype != self._tensor.dtype:
            expected = f"{self.input.dtype}{list(self.input.shape)}"
            raise InputError(f"the input must be {expected}, got {tensor.dtype}{list(tensor.shape)}")
        self._tensor = np.ascontiguousarray(tensor)
        try:
            self.invoke()
        except RunFailedError:
            raise
        except Exception as error:  # the runtime's own exceptions have no common base
            raise RunFailedError(f"onnxruntime failed while running the model: {_first_line(error)}") from error
        if self._found.size != np.prod(self.output.shape):
            got = list(self._found.shape)
            raise RunFailedError(f"the model returned the shape {got}, expected {list(self.output.shape)}")
        return np.array(self._found, self.output.dtype)


class OnnxRuntime:
    """The package `onnxruntime`, on the processor."""

    name = "onnxruntime"

    def check_available(self) -> None:
        """Import the package; raise MissingExtraError where it is not installed."""
        self._load()

    def _load(self) -> Any:
        if not installed("onnxruntime"):
            raise MissingExtraError("--runtime onnxruntime", "onnx", "onnxruntime")
        return importlib.import_module("onnxruntime")

    def open(self, file: ModelFile, *, threads: int = 1) -> OnnxSession:
        """Make a file ready to run.

        Raises:
            DamagedModelError: it is cut, or no ONNX file.
            ModelError: the runtime refuses it, or it needs more memory than allowed.
            InputError: it is a TFLite file, `threads` is not from 1 to 256, or the package is not installed.
        """
        check_threads(threads)
        if not isinstance(file, OnnxFile):
            raise InputError(f"{file.name}: onnxruntime runs .onnx files; leave --runtime out")
        file.check()
        graph, limits = file.graph, ModelLimits.from_environment()
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            counts = f"{len(graph.inputs)} and {len(graph.outputs)}"
            raise ModelError(f"{file.name}: expected one input and one output, got {counts}")
        limits.check(file)
        runtime = self._load()
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 4
        try:
            native = runtime.InferenceSession(file.content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's own exceptions have no common base
            raise ModelError(f"{file.name}: onnxruntime refuses it: {_first_line(error)}") from error
        return OnnxSession(native, file, importlib.metadata.version("onnxruntime"), threads, limits)


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
