"""How a float network becomes a model file: the interface that each output format implements, and the registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from edgeclf.artifact.model_file import ModelFile

if TYPE_CHECKING:
    from edgeclf.compression.step import StepContext
    from edgeclf.graph.float_network import FloatNetwork


@dataclass(frozen=True)
class ExportedFile(ModelFile):
    """The bare file that an exporter made, and what packaging and measuring must know besides.

    Args:
        input_range: what pixel values 0 and 255 must become before they enter a float input; None: they enter raw.
    """

    input_range: tuple[float, float] | None = None


class Exporter(Protocol):
    """One output format: a frozen `Record` whose fields are its settings.

    Attributes:
        kind: its key in `EXPORTERS`, and in the JSON of a recipe.
        suffix: of the file, such as `.tflite`.
        calibrates: whether `export` needs `calibration_images` in its context.
        carries_ranges: whether the file can keep the ranges of quantization-aware training.
        remark: what users should know about the format's size and speed; may be empty.
    """

    kind: ClassVar[str]
    suffix: ClassVar[str]

    @property
    def calibrates(self) -> bool: ...  # noqa: D102

    @property
    def carries_ranges(self) -> bool: ...  # noqa: D102

    @property
    def remark(self) -> str: ...  # noqa: D102

    def label(self) -> str:
        """The part of a recipe's name that stands for it, such as `int8`."""
        ...

    def export(self, network: FloatNetwork, context: StepContext) -> ExportedFile:
        """Convert `network`; the file's graph is complete, labels and provenance are added later.

        Raises:
            InputError: the network does not go with the format, or images are missing.
            ModelError: the converter refuses the network.
        """
        ...


EXPORTERS: dict[str, type[Any]] = {}
"""By kind; classes that implement `Exporter`."""


def register_exporter(exporter: type[Any]) -> type[Any]:
    """Add an exporter to the registry; usable as a class decorator.

    Raises:
        ValueError: another exporter has the same kind.
    """
    if EXPORTERS.setdefault(exporter.kind, exporter) is not exporter:
        raise ValueError(f"an exporter of the kind {exporter.kind!r} is registered already")
    return exporter
