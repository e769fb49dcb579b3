"""Files whose weights lie behind the FlatBuffer, as Google's quantizer writes them, are edited as others are."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import tflite_models
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from edgeclf.artifact.distant_buffers import gather_buffers
from edgeclf.artifact.graph_cuts import GraphCutter
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.tflite import parse
from edgeclf.artifact.tflite_editor import TfliteEditor
from edgeclf.doctor.findings.bloat import _bytes_beside
from edgeclf.errors import ModelError

IMAGES, _ = tflite_models.digits()


def outputs(content: bytes) -> list[np.ndarray]:
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (entry,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for image in IMAGES[:20]:
        interpreter.set_tensor(entry["index"], image[None].astype(entry["dtype"]))
        interpreter.invoke()
        found.append(interpreter.get_tensor(result["index"]).copy())
    return found


@pytest.mark.parametrize("name", ["int8", "float_0_255"])
def test_an_edited_file_is_in_one_piece_and_computes_the_same(name: str) -> None:
    plain = tflite_models.bare(name)
    content = tflite_models.distant(plain)
    assert [t.data is not None for t in parse(content).tensors] == [t.data is not None for t in parse(plain).tensors]
    edited = TfliteEditor(content).pack()
    assert all(buffer.offset == 0 for buffer in schema.ModelT.InitFromPackedBuf(edited, 0).buffers)
    for one, other, exact in zip(outputs(edited), outputs(content), outputs(plain), strict=True):
        np.testing.assert_array_equal(one, exact)
        np.testing.assert_array_equal(other, exact)


def test_its_operators_are_cut_out() -> None:
    plain = tflite_models.bare("int8")
    parts = [GraphCutter(content).cut([1]).content for content in (plain, tflite_models.distant(plain))]
    assert parts[0] == parts[1]
    assert parse(parts[0]).operators


def test_its_weights_are_not_taken_for_metadata() -> None:
    plain = tflite_models.bare("int8")
    beside = [_bytes_beside(ModelFile(content, "a")) for content in (plain, tflite_models.distant(plain))]
    assert beside[1] <= beside[0]


def test_tables_of_the_graph_are_not_taken_for_metadata() -> None:
    plain = tflite_models.bare("int8")
    # buffers that no tensor reads: how it was converted, 96 bytes, and the runtime's lowest version, 16
    assert _bytes_beside(ModelFile(plain, "a")) == 96 + 16
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("notes.txt", bytes(1000))
    packed = archive.getvalue()
    assert _bytes_beside(ModelFile(plain + packed, "a")) == _bytes_beside(ModelFile(plain, "a")) + len(packed)


def test_a_buffer_outside_of_the_file_is_damage() -> None:
    content = tflite_models.distant(tflite_models.bare("int8"))
    with pytest.raises(ModelError, match="damaged"):
        TfliteEditor(content[:-20])
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    with pytest.raises(ModelError, match="lie outside of it"):
        gather_buffers(content[:-20], model.buffers)
