"""Reads the TFLite Metadata of a file: labels and normalization, with `struct` and `zipfile` alone.

Format: https://ai.google.dev/edge/litert/models/metadata; the schema's tables are named beside each slot.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass

from edgeclf.artifact.flatbuffer_reader import DAMAGED, Reader, Table, damage_error
from edgeclf.artifact.label_bounds import LARGEST_LIST, check_labels
from edgeclf.artifact.normalization import Normalization
from edgeclf.artifact.tflite import TfliteModel, parse
from edgeclf.errors import DamagedModelError, InputError

BUFFER_NAME = "TFLITE_METADATA"
IDENTIFIER = b"M001"
LABELS_ON_AXIS, LABELS_AS_VALUES = 2, 3
NORMALIZATION_OPTIONS = 1
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How labels may be packed: what `zipfile` unpacks a piece at a time."""
# What `zipfile` raises for archives that are not in order; it checks little of what it reads.
_BROKEN_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    LookupError,
    OverflowError,
)


@dataclass(frozen=True)
class Metadata:
    """What the standard metadata of a file names; None or empty where it does not."""

    name: str = ""
    description: str = ""
    labels: tuple[str, ...] | None = None
    normalization: Normalization | None = None


def read_metadata(content: bytes, model: TfliteModel | None = None) -> Metadata:
    """Read the standard metadata of a TFLite file.

    Args:
        content: the whole file.
        model: the same, parsed, where the caller has it already.

    Raises:
        ModelError: `content` is no TFLite file, or its metadata is damaged.
    """
    model = model or parse(content)
    tables = _tables(model)
    if tables is None:
        return Metadata(description=model.description)
    root, inputs, files = tables
    return Metadata(root.text(0), root.text(1), _labels(content, files), _normalization(inputs[0]) if inputs else None)


def read_foreign_metadata(content: bytes, model: TfliteModel) -> tuple[Metadata, tuple[str, ...]]:
    """Read the metadata of a file without a seal: what cannot be read is left out and noted, a line each.

    Other people's tools write metadata of other versions, and lists of labels get lost on the way; the network works
    without them.
    """
    try:
        tables = _tables(model)
        if tables is None:
            return Metadata(description=model.description), ()
        root, inputs, files = tables
        name, description = root.text(0), root.text(1)
    except DamagedModelError as error:
        return Metadata(description=model.description), (_left_out("the metadata", error),)
    labels, normalization, notes = None, None, []
    try:
        labels = _labels(content, files)
    except DamagedModelError as error:
        notes.append(_left_out("the list of labels", error))
    try:
        normalization = _normalization(inputs[0]) if inputs else None
    except DamagedModelError as error:
        notes.append(_left_out("the normalization", error))
    return Metadata(name, description, labels, normalization), tuple(notes)


def _left_out(what: str, error: DamagedModelError) -> str:
    reason = str(error).removeprefix(DAMAGED).partition(";")[0]
    return f"{what} of this file cannot be read and is left out: {reason}"


def _tables(model: TfliteModel) -> tuple[Table, list[Table], list[Table]] | None:
    """Find the root, the inputs' metadata, and the associated files, those of outputs first; None: no metadata."""
    buffer = model.metadata.get(BUFFER_NAME)
    if not buffer:
        return None
    if buffer[4:8] != IDENTIFIER:
        raise damage_error(f"its metadata should start with {IDENTIFIER!r}, got {buffer[4:8]!r}")
    root = Reader(buffer).root()
    graphs = root.tables(3)  # ModelMetadata.subgraph_metadata
    files = root.tables(6)  # ModelMetadata.associated_files
    if not graphs:
        return root, [], files
    outputs = graphs[0].tables(3)  # SubGraphMetadata.output_tensor_metadata
    files = [f for output in outputs for f in output.tables(6)] + graphs[0].tables(4) + files
    return root, graphs[0].tables(2), files


def archive_bytes(content: bytes) -> int:
    """Count the bytes of the archive of associated files that is appended to a file; 0: there is none to be read."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            start = min((member.header_offset for member in archive.infolist()), default=len(content))
    except _BROKEN_ZIP:
        return 0
    return max(0, len(content) - max(0, start))


def _labels(content: bytes, files: list[Table]) -> tuple[str, ...] | None:
    # AssociatedFile: name 0, type 2, locale 3; several locales may be listed, the first without one is the plain list
    listed = [f for f in files if f.integer(2, "b") in (LABELS_ON_AXIS, LABELS_AS_VALUES)]
    if not listed:
        return None
    name = min(listed, key=lambda f: bool(f.text(3))).text(0)
    text = _member(content, name)
    if text is None:
        return None
    try:
        return check_labels([line.rstrip("\r") for line in text.removesuffix("\n").split("\n")])
    except InputError as error:
        raise damage_error(f"its list of labels cannot be read ({error})") from error


def _member(content: bytes, name: str) -> str | None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            member = next((m for m in archive.infolist() if m.filename == name), None)
            if member is None:
                raise damage_error(f"its list of labels {name!r} is missing")
            if member.compress_type not in _PACKED:
                raise damage_error(f"its list of labels is packed by method {member.compress_type}")
            # Not `read()`, which unpacks all there is, whatever size the archive says.
            with archive.open(member) as stream:
                packed = stream.read(LARGEST_LIST + 1)
            if len(packed) > LARGEST_LIST:
                raise damage_error(f"its list of labels has more than {LARGEST_LIST:,} bytes")
            return packed.decode("utf-8-sig")
    except DamagedModelError:
        raise
    except _BROKEN_ZIP as error:
        raise damage_error(f"its list of labels cannot be read ({error})") from error


def _normalization(tensor: Table) -> Normalization | None:
    for unit in tensor.tables(4):  # TensorMetadata.process_units
        options = unit.table(1)  # ProcessUnit.options, a union whose type is in slot 0
        if unit.integer(0, "B") != NORMALIZATION_OPTIONS or options is None:
            continue
        mean, std = options.numbers(0, "f4"), options.numbers(1, "f4")
        try:
            return Normalization(tuple(map(float, mean)), tuple(map(float, std)))
        except InputError as error:
            raise damage_error("its normalization is not one pair of numbers, or three") from error
    return None
