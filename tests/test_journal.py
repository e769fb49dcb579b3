"""A killed compression goes on where it was, and takes nothing for finished that another call made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import colored_squares
import pytest

from edgeclf.compression.compress_report import CompressedModel
from edgeclf.compression.pipeline.journal import Journal
from edgeclf.errors import OutputError, RunFailedError

REQUEST: dict[str, Any] = {"calibration": 30}


def journal(folder: Path, request: dict[str, Any] = REQUEST, *, overwrite: bool = False) -> Journal:
    return Journal(folder, "net", request, ["int8", "float16"], overwrite=overwrite)


def made(folder: Path, recipe: str = "int8") -> dict[str, Any]:
    return {"model": CompressedModel(str(folder / f"net-{recipe}.tflite"), recipe, 1, 1, None, None, 0.5, 3).to_dict()}


def test_a_killed_call_goes_on_with_what_is_whole(tmp_path: Path) -> None:
    journal(tmp_path).keep("int8", b"model", made(tmp_path), "data")
    again = journal(tmp_path)
    found = again.finished("int8", "data")
    assert found is not None
    assert found.sparsity == 0.5
    assert again.finished("float16", "data") is None
    again.close()
    assert not list(tmp_path.glob(".*"))


def test_models_of_an_earlier_call_are_not_taken_for_finished(tmp_path: Path) -> None:
    first = journal(tmp_path)
    first.keep("int8", b"model", made(tmp_path), "data")
    first.close()
    changed = {"calibration": 20}
    journal(tmp_path, changed, overwrite=True)  # and killed here
    again = journal(tmp_path, changed)
    assert again.interrupted
    assert again.finished("int8", "data") is None


def test_neither_other_bytes_nor_other_data_nor_a_foreign_record_are_finished(tmp_path: Path) -> None:
    journal(tmp_path).keep("int8", b"model", made(tmp_path), "data")
    again = journal(tmp_path)
    assert again.finished("int8", "the photos have changed") is None
    (tmp_path / "net-int8.tflite").write_bytes(b"Model")
    assert again.finished("int8", "data") is None
    (tmp_path / "net-int8.json").write_text(json.dumps(made(tmp_path)))
    assert again.finished("int8", "data") is None
    (tmp_path / "net-int8.json").write_text("[1")
    assert again.finished("int8", "data") is None


def test_an_error_before_the_first_model_leaves_nothing(tmp_path: Path) -> None:
    journal(tmp_path).give_up()
    assert not list(tmp_path.iterdir())


def test_after_a_full_disk_the_same_command_goes_on(tmp_path: Path) -> None:
    first = journal(tmp_path)
    first.keep("int8", b"model", made(tmp_path), "data")
    first.give_up()
    assert journal(tmp_path).finished("int8", "data") is not None
    with pytest.raises(OutputError, match="exists"):
        journal(tmp_path, {"calibration": 20})


@pytest.mark.slow
def test_overwriting_with_another_calibration_survives_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tf_keras")
    import edgeclf.compression.pipeline.compress as module
    from edgeclf.artifact.provenance import read_provenance

    data = colored_squares.dataset()
    colored_squares.network(data).save(tmp_path / "net.keras")
    out = tmp_path / "out"
    module.compress(tmp_path / "net.keras", "int8", data=data, calibration=30, out=out)

    def dies(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, "convert", dies)
        with pytest.raises(KeyboardInterrupt):
            module.compress(tmp_path / "net.keras", "int8", data=data, calibration=20, out=out, overwrite=True)
    (model,) = module.compress(tmp_path / "net.keras", "int8", data=data, calibration=20, out=out).models
    provenance = read_provenance(Path(model.path).read_bytes())
    assert provenance is not None
    assert len(provenance.data["calibration"]["gaps"].split()) == 20
    record = json.loads((out / "net-int8.json").read_text(encoding="utf-8"))
    assert len(record["calibration"]["indices"]) == 20
    assert not list(out.glob(".*"))


@pytest.mark.slow
def test_an_error_in_a_call_leaves_no_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tf_keras")
    import edgeclf.compression.pipeline.compress as module

    data = colored_squares.dataset()
    colored_squares.network(data).save(tmp_path / "net.keras")

    def fails(*_: Any) -> Any:
        raise RunFailedError("the loss is no number")

    monkeypatch.setattr(module, "convert", fails)
    with pytest.raises(RunFailedError):
        module.compress(tmp_path / "net.keras", "float32", data=data, out=tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
