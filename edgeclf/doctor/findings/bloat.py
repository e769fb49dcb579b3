"""Metadata, labels and whatever else lies in the file beside the graph."""

from __future__ import annotations

from edgeclf.artifact.distant_buffers import find_distant
from edgeclf.artifact.flatbuffer_reader import Reader, Table
from edgeclf.artifact.metadata import archive_bytes
from edgeclf.artifact.model_file import ModelFile
from edgeclf.doctor.examination import Examination
from edgeclf.doctor.report import Finding
from edgeclf.measure.formatting import percent, size

CAUSE = "metadata-bloat"
LEAST_BYTES, LEAST_FRACTION = 20_000, 0.2
"""Labels of 1,000 classes, provenance and samples take some 15 kB; a file of which a fifth is more than that is fat."""
_GRAPHS, _BUFFERS = 2, 4  # fields of the schema's Model table
_TENSORS = 0  # of its SubGraph
_BUFFER = 2  # of its Tensor


def find_bloat(examination: Examination) -> list[Finding]:
    """Count what is not the graph's: metadata, constants that no tensor uses, an archive behind the FlatBuffer."""
    file = examination.file
    beside = _bytes_beside(file)
    named = {name: len(content) for name, content in examination.graph.metadata.items()}
    return decide(beside, len(file.content), named, examination.source)


def decide(beside: int, file_bytes: int, named: dict[str, int], source: str) -> list[Finding]:
    """Decide by the bytes beside the graph; `named`: bytes of the metadata buffers by name."""
    fraction = beside / file_bytes
    if beside < LEAST_BYTES or fraction < LEAST_FRACTION:
        return []
    largest = max(named, key=lambda name: named[name], default="")
    detail = f", {size(named[largest])} of them metadata named {largest[:40]!r}" if largest else ""
    sentence = (
        f"{size(beside)} of the file's {size(file_bytes)} ({percent(fraction, 0)}) are not the graph and its "
        f"weights{detail}."
    )
    return [Finding.rated(CAUSE, "bytes", fraction, sentence, f"edgeclf compress {source} --int8")]


def _bytes_beside(file: ModelFile) -> int:
    """Count the bytes of buffers that no tensor uses, which metadata are among, and of an archive behind the graph.

    What else lies behind the last buffer may be tables of the graph, and is not counted.
    """
    root = Reader(file.content).root()
    buffers = root.tables(_BUFFERS)
    used = {tensor.integer(_BUFFER, "I") for graph in root.tables(_GRAPHS) for tensor in graph.tables(_TENSORS)}
    spans = [_locate(table) for table in buffers]
    end = max((place + held for place, held in spans), default=len(file.content))
    unused = sum(held for number, (_, held) in enumerate(spans) if number not in used)
    return min(len(file.content) - end, archive_bytes(file.content)) + unused


def _locate(buffer: Table) -> tuple[int, int]:
    """Return where the data of a buffer lies, in the FlatBuffer or behind it, and its bytes."""
    return find_distant(buffer) or (buffer.data_position(0) or 0, len(buffer.data(0) or b""))
