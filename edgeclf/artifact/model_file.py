"""A model file: its content, read, parsed and hashed once."""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from edgeclf.artifact import provenance as sealing
from edgeclf.artifact.classifier_shape import ClassifierShape, classifier_shape
from edgeclf.artifact.metadata import Metadata, read_foreign_metadata, read_metadata
from edgeclf.artifact.provenance import Integrity, Provenance
from edgeclf.artifact.tflite import IDENTIFIER, TfliteModel, parse
from edgeclf.errors import DamagedModelError, ModelError

LARGEST_FILE = 1 << 32
"""Bytes. A FlatBuffer ends at 2 GB; the weights of a few large models lie behind it."""


@dataclass(frozen=True)
class ModelFile:
    """The content of a `.tflite` file, or, as an `OnnxFile`, of an `.onnx` file.

    What is derived from it is computed once, when first asked for.

    Args:
        content: the whole file.
        name: what messages call it.
        path: where it lies; None: it was not written yet.
    """

    content: bytes = field(repr=False)
    name: str
    path: Path | None = None

    @classmethod
    def read(cls, path: str | Path) -> ModelFile:
        """Read a file.

        Raises:
            ModelError: it cannot be read, or is larger than `LARGEST_FILE`.
        """
        path = Path(path)
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for, and a device has no end
                kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"
                raise ModelError(f"{path}: expected a file, got {kind}")
            if status.st_size > LARGEST_FILE:
                raise ModelError(f"{path}: expected a model of at most {LARGEST_FILE:,} bytes, got {status.st_size:,}")
            content = path.read_bytes()
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from error
        if path.suffix.lower() == ".onnx" and content[4:8] != IDENTIFIER:
            from edgeclf.artifact.onnx_file import OnnxFile

            return OnnxFile(content, path.name, path)
        return cls(content, path.name, path)

    @property
    def is_tflite(self) -> bool:
        """Whether the file says that it is a TFLite file; exporters may make others."""
        return self.content[4:8] == IDENTIFIER

    @cached_property
    def graph(self) -> TfliteModel:
        """The parsed FlatBuffer.

        Raises:
            DamagedModelError: its structure does not hold together.
            ModelError: it is no TFLite file.
        """
        try:
            return parse(self.content)
        except DamagedModelError as error:
            raise DamagedModelError(f"{self.name}: {error}") from error
        except ModelError as error:
            raise ModelError(f"{self.name}: {error}") from error

    @cached_property
    def seal_state(self) -> Integrity:
        """`verified`, `unverified` or `damaged`.

        Raises:
            ModelError: it is no TFLite file, and never was one.
        """
        try:
            graph = self.graph
        except DamagedModelError:
            return "damaged"
        except ModelError:
            if sealing.MARK in self.content or not self.content:
                return "damaged"
            raise
        return sealing.integrity(self.content, graph)

    @property
    def integrity(self) -> Integrity:
        """`verified` or `unverified`.

        Raises:
            DamagedModelError: the file is not what was written.
            ModelError: it is no TFLite file.
        """
        self.check()
        return self.seal_state

    def check(self) -> None:
        """Refuse a damaged file, and what is no TFLite file.

        Raises:
            DamagedModelError: the file is not what was written.
            ModelError: it is no TFLite file.
        """
        if self.seal_state != "damaged":
            return
        if not self.content:
            raise DamagedModelError(f"{self.name}: the file is empty; copy it again from where it was made")
        try:
            self.graph  # noqa: B018 - its error names what is damaged
        except DamagedModelError:
            raise
        except ModelError as error:
            message = f"{self.name}: its first bytes are not as they were written; copy it again"
            raise DamagedModelError(message) from error
        raise DamagedModelError(f"{self.name}: the checksum inside does not fit (cut, or bits changed); copy it again")

    @cached_property
    def provenance(self) -> Provenance | None:
        """How the file was made; None where edgeclf did not make it.

        Raises:
            DamagedModelError: it cannot be read.
        """
        graph = self.graph
        try:
            return sealing.read_provenance(self.content, graph)
        except DamagedModelError as error:
            raise DamagedModelError(f"{self.name}: {error}") from error

    @property
    def metadata(self) -> Metadata:
        """Labels and normalization in the standard format; of a file without seal, as much as can be read.

        Raises:
            DamagedModelError: the file has a seal, and its metadata cannot be read.
        """
        return self._metadata[0]

    @property
    def metadata_notes(self) -> tuple[str, ...]:
        """What of the metadata cannot be read and is left out, a line each."""
        return self._metadata[1]

    @cached_property
    def _metadata(self) -> tuple[Metadata, tuple[str, ...]]:
        if self.seal_state == "unverified":
            return read_foreign_metadata(self.content, self.graph)
        graph = self.graph
        try:
            return read_metadata(self.content, graph), ()
        except DamagedModelError as error:
            raise DamagedModelError(f"{self.name}: {error}") from error

    @cached_property
    def shape(self) -> ClassifierShape:
        """What goes into the classifier and what comes out.

        Raises:
            ModelError: it is no image classifier.
        """
        graph = self.graph
        try:
            return classifier_shape(graph)
        except ModelError as error:
            raise ModelError(f"{self.name}: {error}") from error

    @cached_property
    def sha256(self) -> str:
        """Hexadecimal digest of the content."""
        return hashlib.sha256(self.content).hexdigest()


def is_tflite_file(path: Path) -> bool:
    """Return whether a source is meant as a TFLite file, by its name or its first bytes."""
    if path.suffix.lower() == ".tflite":
        return True
    try:
        if not path.is_file():  # a pipe would be waited for
            return False
        with path.open("rb") as stream:
            return stream.read(8)[4:] == IDENTIFIER
    except OSError:
        return False
