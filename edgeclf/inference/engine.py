"""What runs a model file: an engine opens it, a session computes it. One registry; an engine is one entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt

from edgeclf.artifact.model_file import ModelFile


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
        """Compute the graph on a tensor of the input's shape and type; returns a copy of the raw output."""
        ...


class Engine(Protocol):
    """A runtime that executes model files.

    Attributes:
        name: its key in `ENGINES`, and the value of `--runtime`.
    """

    name: str

    def check_available(self) -> None:
        """Raise InputError or MissingExtraError where it cannot be used in this environment."""
        ...

    def open(self, file: ModelFile, *, threads: int = 1) -> Session:
        """Make a model ready to run."""
        ...


ENGINES: dict[str, Engine] = {}
"""By name. The edge registers its own when `edgeclf.inference` is imported, host modules add theirs."""
