"""One interface over the three TFLite runtimes. A file is checked before native code sees a byte of it."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.native_stderr import RUNTIME_CHATTER, without_chatter
from edgeclf.artifact.provenance import Integrity, check_integrity
from edgeclf.artifact.tflite import TensorInfo, TfliteModel, parse
from edgeclf.errors import InputError, MissingExtraError, ModelError, RunFailedError, UnknownNameError

RUNTIMES = ("litert", "tflite-runtime", "tensorflow")

_DISTRIBUTIONS = {"litert": "ai-edge-litert", "tflite-runtime": "tflite-runtime", "tensorflow": "tensorflow"}


@dataclass(frozen=True)
class TensorSpec:
    """What goes into a model or comes out. `scale` is 0 where the tensor is not quantized."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int


class Interpreter:
    """A model that is ready to run.

    Attributes:
        input: of the model's first input.
        output: of its first output.
        runtime: one of `RUNTIMES`.
        runtime_version: of the installed package.
        threads: number of threads.
        graph: the parsed file.
        integrity: `verified`, or `unverified` for files that edgeclf did not make.
        invoke: runs the graph on what `run` set last; for stopwatches.
    """

    def __init__(
        self, native: Any, graph: TfliteModel, *, runtime: str, runtime_version: str, threads: int, integrity: Integrity
    ) -> None:
        self.graph = graph
        self.input = _spec(graph.inputs[0])
        self.output = _spec(graph.outputs[0])
        self.runtime = runtime
        self.runtime_version = runtime_version
        self.threads = threads
        self.integrity = integrity
        self._native = native
        self._in = int(native.get_input_details()[0]["index"])
        self._out = int(native.get_output_details()[0]["index"])
        self.invoke: Callable[[], object] = native.invoke

    def run(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Run the graph on a tensor of the input's shape and type; returns a copy of the raw output.

        Raises:
            InputError: the tensor has another shape or type.
            RunFailedError: the runtime fails.
        """
        if tensor.shape != self.input.shape or tensor.dtype != self.input.dtype:
            wanted = f"{self.input.dtype}{list(self.input.shape)}"
            raise InputError(f"the input must be {wanted}, got {tensor.dtype}{list(tensor.shape)}")
        self._native.set_tensor(self._in, tensor)
        try:
            self.invoke()
        except (RuntimeError, ValueError) as error:
            raise RunFailedError(f"{self.runtime} failed while running the model: {_first_line(error)}") from error
        result: npt.NDArray[Any] = self._native.get_tensor(self._out)
        return result


def open_interpreter(
    model: Path | str | bytes, *, runtime: str = "litert", threads: int = 1, graph: TfliteModel | None = None
) -> Interpreter:
    """Check a model file, and make it ready to run.

    Args:
        model: the file or its content.
        runtime: one of `RUNTIMES`.
        threads: number of threads, at least 1.
        graph: the parsed content, where the caller has it already and has checked its integrity.

    Raises:
        DamagedModelError: the file is not what was written.
        ModelError: it is no TFLite file, or the runtime refuses it.
        MissingExtraError: the runtime is not installed.
    """
    if runtime not in RUNTIMES:
        raise UnknownNameError("runtime", runtime, RUNTIMES)
    if threads < 1:
        raise InputError(f"threads must be at least 1, got {threads}")
    name = "the model" if isinstance(model, bytes) else Path(model).name
    content = model if isinstance(model, bytes) else read_model(Path(model))
    state = check_integrity(content, name)
    graph = graph or parse(content)
    if not graph.inputs or not graph.outputs:
        raise ModelError(f"{name}: the graph has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs")
    factory = interpreter_factory(runtime)
    try:
        with without_chatter(*RUNTIME_CHATTER):
            native = factory(model_content=content, num_threads=threads)
            native.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"{name}: {runtime} refuses it: {_first_line(error)}") from error
    version = importlib.metadata.version(_DISTRIBUTIONS[runtime])
    return Interpreter(native, graph, runtime=runtime, runtime_version=version, threads=threads, integrity=state)


def read_model(path: Path) -> bytes:
    """The content of a model file.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from error


def interpreter_factory(runtime: str) -> Callable[..., Any]:
    """The interpreter class of `runtime`, one of `RUNTIMES`, imported.

    Raises:
        MissingExtraError: it is not installed.
        InputError: it does not work in this environment.
    """
    package, module = {
        "litert": ("ai_edge_litert", "ai_edge_litert.interpreter"),
        "tflite-runtime": ("tflite_runtime", "tflite_runtime.interpreter"),
        "tensorflow": ("tensorflow", "tensorflow"),
    }[runtime]
    if runtime == "tflite-runtime" and sys.version_info >= (3, 12):
        raise InputError("tflite-runtime ended with Python 3.11, and this is a later one; leave --runtime out (litert)")
    if importlib.util.find_spec(package) is None:
        extra = "train" if runtime == "tensorflow" else runtime
        raise MissingExtraError(f"--runtime {runtime}", extra, _DISTRIBUTIONS[runtime])
    if runtime == "tflite-runtime" and int(np.__version__.split(".")[0]) >= 2:
        raise InputError(
            f"tflite-runtime needs numpy < 2, got {np.__version__}; "
            'give it an environment of its own: pip install "edgeclf[tflite-runtime]"'
        )
    loaded = importlib.import_module(module)
    made: Callable[..., Any] = loaded.lite.Interpreter if runtime == "tensorflow" else loaded.Interpreter
    return made


def _spec(tensor: TensorInfo) -> TensorSpec:
    return TensorSpec(tensor.name, tensor.shape, tensor.dtype, tensor.scale, tensor.zero_point)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
