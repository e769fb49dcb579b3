"""Models with operators that are no part of TFLite: named, with what to do, before a runtime refuses them."""

from __future__ import annotations

from pathlib import Path

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema
from tflite_models import bare

from edgeclf.artifact.inspection import inspect
from edgeclf.errors import ModelError
from edgeclf.inference.classifier import Classifier


def with_custom_operator(path: Path, name: str) -> Path:
    """A classifier of which one operator does all, as the compiler for Edge TPUs writes it."""
    model = schema.ModelT.InitFromPackedBuf(bare("uint8"), 0)
    graph = model.subgraphs[0]
    code = schema.OperatorCodeT()
    code.deprecatedBuiltinCode = code.builtinCode = schema.BuiltinOperator.CUSTOM
    code.customCode, code.version = name, 1
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, list(graph.inputs), list(graph.outputs)
    model.operatorCodes, graph.operators = [code], [operator]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def test_a_model_for_an_edge_tpu_names_file_operator_and_remedy(tmp_path: Path) -> None:
    path = with_custom_operator(tmp_path / "birds_edgetpu.tflite", "edgetpu-custom-op")
    expected = (
        f"{path.name}: was compiled for an Edge TPU (operator edgetpu-custom-op), which edgeclf does not run; take "
    )
    with pytest.raises(ModelError) as caught:
        Classifier(path)
    assert str(caught.value) == f"{expected}the .tflite file that it was compiled from, such as birds.tflite"
    (tmp_path / "birds.tflite").write_bytes(bare("uint8"))
    with pytest.raises(ModelError) as caught:
        Classifier(path)
    assert str(caught.value) == f"{expected}the .tflite file that it was compiled from: {tmp_path / 'birds.tflite'}"
    assert [operator["name"] for operator in inspect(path).operators] == ["edgetpu-custom-op"]


@pytest.mark.parametrize(
    ("name", "remedy"), [("FlexErf", "export it without SELECT_TF_OPS"), ("MyOwn", "export it without it")]
)
def test_other_operators_are_named_where_the_runtime_refuses(tmp_path: Path, name: str, remedy: str) -> None:
    path = with_custom_operator(tmp_path / "model.tflite", name)
    with pytest.raises(ModelError) as caught:
        Classifier(path)
    message = str(caught.value)
    assert message.startswith(f"{path.name}: litert refuses it: ")
    assert message.endswith(f" (its operator {name} is no part of TFLite; {remedy})")
    assert "\n" not in message
