"""`inspect` tells the quantization of every tensor, also of those that are computed; `verify` passes no non-numbers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite_models

from edgeclf.artifact.inspection import InspectReport, inspect_file
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.tflite import parse
from edgeclf.inference import verification
from edgeclf.inference.tflite_session import TFLiteSession


def test_each_activation_of_an_integer_graph_has_its_scale_and_zero_point() -> None:
    content = tflite_models.packaged("uint8")
    report = inspect_file(ModelFile(content, "model.tflite"))
    graph = parse(content)
    computed = [t for t in graph.tensors if t.data is None and t.scale]
    assert len(report.activations) == len(computed) >= len(graph.operators)
    for shown, tensor in zip(report.activations, computed, strict=True):
        assert (shown["name"], shown["scale"], shown["zero_point"]) == (tensor.name, tensor.scale, tensor.zero_point)
    assert InspectReport.from_json(report.to_json()) == report


def test_a_float_graph_has_none() -> None:
    assert inspect_file(ModelFile(tflite_models.bare("float_0_255"), "model.tflite")).activations == ()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("everywhere", [True, False])
def test_what_is_no_number_never_passes(
    bad: float, everywhere: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_models.packaged("float_0_255"))
    assert verification.verify(path).ok
    real = TFLiteSession.run

    def spoiled(session: TFLiteSession, tensor: Any) -> Any:
        result = np.array(real(session, tensor))
        flat = result.reshape(-1)
        flat[slice(None) if everywhere else int(flat.argmin())] = bad
        return result

    monkeypatch.setattr(TFLiteSession, "run", spoiled)
    report = verification.verify(path)
    assert not report.ok
    assert verification.VerifyReport.from_json(report.to_json()) == report


def test_the_command_shows_them_with_verbose_alone(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from edgeclf.cli.main import app

    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_models.packaged("uint8"))
    for arguments, wanted in {("--verbose",): True, (): False}.items():
        result = CliRunner().invoke(app, ["inspect", str(path), *arguments], prog_name="edgeclf")
        assert result.exit_code == 0
        assert ("Computed tensors" in result.stdout) == wanted


def test_the_command_names_the_file_and_what_was_measured(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from edgeclf.cli.main import app

    metrics = {"validation": {"top1": 0.95, "float_top1": 0.96, "selected_on": True}, "test": {"top1": 0.5}}
    for content, wanted in {
        tflite_models.packaged("uint8"): "top-1 89.00 % on test",
        tflite_models.packaged("uint8", metrics=metrics): (
            "top-1 95.00 % on validation, float 96.00 %; these images also chose the epoch; top-1 50.00 % on test"
        ),
        tflite_models.packaged("uint8", metrics={}): "not measured",
    }.items():
        path = tmp_path / "model.tflite"
        path.write_bytes(content)
        shown = CliRunner().invoke(app, ["inspect", str(path)], prog_name="edgeclf", env={"COLUMNS": "300"}).stdout
        facts = dict(re.findall(r"^(model|when exported|made by) +(.*?) *$", shown, re.MULTILINE))
        assert facts == {"model": str(path), "when exported": wanted, "made by": "edgeclf 0.1.0"}
