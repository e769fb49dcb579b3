"""How a float network becomes a model file: the interface that each output format implements, and the registry."""

from __future__ import annotations

from collections.abc import Mapping
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
        notes: what users should know about this file, a line each.
        applied: what became of settings that a format or a network may leave without effect, JSON's own types by name:
            the rounding of weights, say, which clustered ones take no part in; None: all that the exporter was set to.
    """

    input_range: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
    applied: Mapping[str, Any] | None = None


class Exporter(Protocol):
    """One output format: a frozen `Record` whose fields are its settings.

    Derive from it (`class OnnxFile(Exporter, Record)`) to inherit the defaults below. All fields need defaults.

    Attributes:
        kind: its key in `EXPORTERS`, and in the JSON of a recipe.
        suffix: of the file, such as `.tflite`.
    """

    kind: ClassVar[str]
    suffix: ClassVar[str]

    @property
    def calibrates(self) -> bool:
        """Whether `export` needs `calibration_images` in its context."""
        return False

    @property
    def carries_ranges(self) -> bool:
        """Whether the file can keep the ranges of quantization-aware training."""
        return False

    @property
    def integer(self) -> bool:
        """Whether everything inside the file is computed in 8-bit integers."""
        return False

    @property
    def takes_graphs(self) -> bool:
        """Whether `export` can take a network that came as a float TFLite graph (`FloatNetwork.graph`)."""
        return False

    @property
    def remark(self) -> str:
        """What users should know about the format, but nothing on speed, which is measured; may be empty."""
        return ""

    def check_trained_ranges(self) -> None:
        """Refuse settings that quantization-aware training decides.

        Raises:
            InputError: there are such.
        """
        return

    def label(self) -> str:
        """Return the last part of a recipe's name, such as `int8`; lower case, without hyphen."""
        ...

    @classmethod
    def variants(cls) -> Mapping[str, Exporter]:
        """Return by label what can stand at the end of a recipe's name, with default settings."""
        made = cls()
        return {made.label(): made}

    def check_available(self) -> None:
        """Refuse where packages that `export` needs are missing; called before any work.

        Raises:
            MissingExtraError: they are.
        """
        return

    def export(self, network: FloatNetwork, context: StepContext) -> ExportedFile:
        """Convert `network`; the file's graph is complete.

        TFLite files get labels and provenance afterwards, and are measured; others are written as they are.

        Raises:
            InputError: the network does not go with the format, or images are missing.
            ModelError: the converter refuses the network.
        """
        ...

    def encode(self, model: bytes) -> bytes:
        """Return the bytes of the file that is written, such as C source; by default `model` itself.

        Args:
            model: the exported file with labels, provenance and samples.
        """
        return model


EXPORTERS: dict[str, type[Any]] = {}
"""By kind; classes that implement `Exporter`."""


def known_exporters() -> dict[str, Exporter]:
    """Return all exporters by label, with default settings."""
    found: dict[str, Exporter] = {}
    for exporter in EXPORTERS.values():
        found |= exporter.variants()
    return found


def register_exporter(exporter: type[Any]) -> type[Any]:
    """Add an exporter to the registry; usable as a class decorator.

    Raises:
        ValueError: another exporter has the same kind or label, or a label cannot stand in a recipe's name.
        TypeError: it is no frozen `Record` whose fields all have defaults.
    """
    from edgeclf.compression.step import check_label, check_part

    if EXPORTERS.get(exporter.kind) is exporter:
        return exporter
    if exporter.kind in EXPORTERS:
        raise ValueError(f"an exporter of the kind {exporter.kind!r} is registered already")
    check_part(exporter)
    known = known_exporters()
    for label in exporter.variants():
        check_label(label)
        if label in known:
            raise ValueError(f"an exporter with the label {label!r} is registered already")
    EXPORTERS[exporter.kind] = exporter
    return exporter
