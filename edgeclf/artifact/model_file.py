"""A model file: its content, read and parsed once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from edgeclf.artifact.provenance import Integrity, Provenance, check_integrity, read_provenance
from edgeclf.artifact.tflite import TfliteModel, parse
from edgeclf.errors import ModelError


@dataclass(frozen=True)
class ModelFile:
    """The content of a `.tflite` file; what is derived from it is computed once, when first asked for.

    Args:
        content: the whole file.
        name: what messages call it.
        path: where it lies; None: it was not written yet.
    """

    content: bytes
    name: str
    path: Path | None = None

    @classmethod
    def read(cls, path: str | Path) -> ModelFile:
        """Read a file.

        Raises:
            ModelError: it cannot be read.
        """
        path = Path(path)
        try:
            return cls(path.read_bytes(), path.name, path)
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from error

    @cached_property
    def graph(self) -> TfliteModel:
        """The parsed FlatBuffer.

        Raises:
            ModelError: it is no TFLite file.
        """
        return parse(self.content)

    @cached_property
    def integrity(self) -> Integrity:
        """`verified` or `unverified`.

        Raises:
            DamagedModelError: the file is not what was written.
            ModelError: it is no TFLite file.
        """
        return check_integrity(self.content, self.name)

    @cached_property
    def provenance(self) -> Provenance | None:
        """How the file was made; None where edgeclf did not make it."""
        return read_provenance(self.content, self.graph)

    @cached_property
    def sha256(self) -> str:
        """Hexadecimal digest of the content."""
        return hashlib.sha256(self.content).hexdigest()
