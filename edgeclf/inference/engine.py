"""What runs a model file: an engine opens it, a session computes it. One registry; an engine is one entry."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt

from edgeclf.artifact.model_file import ModelFile
from edgeclf.errors import InputError, UnknownNameError
from edgeclf.extras import ENGINE_MODULES, extras
from edgeclf.plugins import load_plugins

MOST_THREADS = 256
"""Of an interpreter; far more than a board has cores. What no 32-bit number holds ends in a dump of the runtime's."""


@dataclass(frozen=True)
class TensorSpec:
    """An input or output tensor of a model. `scale` is 0 where the tensor is not quantized."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int


class Session(Protocol):
    """A model that is ready to run.

    Attributes:
        input: of the model's first input.
        output: of its first output.
        engine: name of the engine.
        engine_version: of its package.
        threads: number of threads.
        invoke: computes the graph on what `run` set last; for stopwatches.
    """

    input: TensorSpec
    output: TensorSpec
    engine: str
    engine_version: str
    threads: int
    invoke: Callable[[], object]

    def run(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Compute the graph on a tensor of the input's shape and type; returns a copy of the raw output.

        Raises:
            InputError: the tensor has another shape or type.
            RunFailedError: the engine fails.
        """
        ...


class Engine(Protocol):
    """A runtime that executes model files.

    Attributes:
        name: its key in `ENGINES`, and the value of `--runtime`.
    """

    name: str

    def check_available(self) -> None:
        """Import the runtime's packages; raise InputError or MissingExtraError where it cannot be used here."""
        ...

    def open(self, file: ModelFile, *, threads: int = 1) -> Session:
        """Check the file's integrity, and make it ready to run.

        Raises:
            DamagedModelError: the file is not what was written.
            ModelError: it is no TFLite file, or the runtime refuses it.
            InputError: `threads` is not from 1 to 256, or the runtime cannot be used here.
        """
        ...


class DeferredEngine:
    """Stands in `ENGINES` for an engine whose module is imported at its first use.

    Args:
        name: key in `ENGINES`.
        module: puts the engine itself under this name when it is imported.
    """

    def __init__(self, name: str, module: str) -> None:
        self.name = name
        self._module = module

    def check_available(self) -> None:
        """Import the module and check the engine that it registered."""
        self._load().check_available()

    def open(self, file: ModelFile, *, threads: int = 1) -> Session:
        """Open the file with the engine that the module registered."""
        return self._load().open(file, threads=threads)

    def _load(self) -> Engine:
        with extras(f"--runtime {self.name}"):
            importlib.import_module(self._module)
        loaded = ENGINES[self.name]
        if isinstance(loaded, DeferredEngine):
            raise RuntimeError(f"{self._module} did not register the engine {self.name!r}")
        return loaded


ENGINES: dict[str, Engine] = {name: DeferredEngine(name, module) for name, module in ENGINE_MODULES.items()}
"""By name. The edge side adds its own when `edgeclf.inference` is imported; plugins may add more."""


def check_threads(threads: int) -> None:
    """Refuse a number of threads that no interpreter is given.

    Raises:
        InputError: it is not from 1 to 256.
    """
    if not 1 <= threads <= MOST_THREADS:
        raise InputError(f"threads must be from 1 to {MOST_THREADS}, got {threads}")


def find_engine(name: str) -> Engine:
    """Return the engine of this name, with its packages imported.

    Raises:
        UnknownNameError: there is none.
        MissingExtraError: it is not installed.
        InputError: it does not work in this environment.
    """
    if name not in ENGINES:
        load_plugins()
    if name not in ENGINES:
        raise UnknownNameError("runtime", name, ENGINES)
    ENGINES[name].check_available()
    return ENGINES[name]
