"""How a float network becomes a model file: the interface that each output format implements, and the registry."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from edgeclf.artifact.model_file import ModelFile
from edgeclf.compression.step import StepContext
from edgeclf.graph.float_network import FloatNetwork


class Exporter(Protocol):
    """One output format: a frozen `Record` whose fields are its settings.

    Attributes:
        kind: its key in `EXPORTERS`, and in the JSON of a recipe.
        suffix: of the file, such as `.tflite`.
    """

    kind: ClassVar[str]
    suffix: ClassVar[str]

    def label(self) -> str:
        """The part of a recipe's name that stands for it, such as `int8`."""
        ...

    def export(self, network: FloatNetwork, context: StepContext) -> ModelFile:
        """Convert `network`; the file's graph is complete, labels and provenance are added later.

        Raises:
            ModelError: the converter refuses the network.
        """
        ...


EXPORTERS: dict[str, type[Any]] = {}
"""By kind; classes that implement `Exporter`."""
