"""Puts the weights of a TFLite file on 16-byte boundaries, which the schema asks for and one converter step forgets.

TensorFlow's step that changes the input and output types packs the file anew without the alignment. The runtimes on
large processors read it all the same; TensorFlow Lite Micro and vector units without unaligned loads need not.
Host side: needs `flatbuffers` and the schema that ships with the default runtime.
"""

from __future__ import annotations

from typing import Any

from edgeclf.artifact.flatbuffer_reader import Reader
from edgeclf.artifact.tflite import IDENTIFIER

ALIGNMENT = 16
_BUFFERS = 4  # slot of Model.buffers


def is_aligned(flat: bytes) -> bool:
    """Whether every buffer's data starts on a 16-byte boundary of the file."""
    for table in Reader(flat).root().tables(_BUFFERS):
        place = table.data_position(0)
        if place is not None and place % ALIGNMENT:
            return False
    return True


def realigned(flat: bytes) -> bytes:
    """The same model with its buffers aligned; `flat` itself where they are already."""
    if is_aligned(flat):
        return flat
    from ai_edge_litert import schema_py_generated as schema

    build = _aligning_builder(len(flat))
    build.Finish(schema.ModelT.InitFromPackedBuf(flat, 0).Pack(build), file_identifier=IDENTIFIER)
    return bytes(build.Output())


def _aligning_builder(size: int) -> Any:
    import flatbuffers

    class AligningBuilder(flatbuffers.Builder):  # type: ignore[misc]
        # the generated Python code knows nothing of the schema's `force_align`
        def StartVector(self, element_size: int, count: int, alignment: int) -> Any:
            wanted = ALIGNMENT if element_size == 1 and count else alignment
            return super().StartVector(element_size, count, wanted)

    return AligningBuilder(size)
