"""A bench that failed leaves nothing that is in the way of the same command."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeclf.artifact.model_file import ModelFile
from edgeclf.errors import OutputError
from edgeclf.measure.outputs import find_outputs
from edgeclf.measure.plan import BenchPlan
from edgeclf.measure.subjects import short_names


def test_figures_and_page_do_not_overwrite_one_another(tmp_path: Path) -> None:
    plan = BenchPlan(("a.tflite",), out=str(tmp_path / "r.json"), report=str(tmp_path / "." / "r.json"))
    with pytest.raises(OutputError, match=r"r\.json: --out and --report name the same file"):
        find_outputs(plan, [], page=True)


def test_what_was_written_before_a_failure_is_removed(tmp_path: Path) -> None:
    plan = BenchPlan(("a.tflite",), out=str(tmp_path / "bench.json"), report=str(tmp_path / "report.html"))
    outputs = find_outputs(plan, [], page=True)
    assert outputs.json is not None
    assert outputs.html is not None

    def write(path: Path) -> None:
        path.write_text("{}")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"), outputs.whole(plan.overwrite):
        write(outputs.json)
    assert find_outputs(plan, [], page=True) == outputs
    with outputs.whole(plan.overwrite):
        outputs.json.write_text("{}")
    with pytest.raises(OutputError, match=r"bench\.json exists; choose another --out, or replace it with --overwrite"):
        find_outputs(plan, [], page=True)


def test_what_is_overwritten_is_not_removed(tmp_path: Path) -> None:
    plan = BenchPlan(("a.tflite",), out=str(tmp_path / "bench.json"), overwrite=True)
    outputs = find_outputs(plan, [], page=False)
    assert outputs.json is not None
    outputs.json.write_text("of an earlier bench")
    with pytest.raises(OSError, match="full"), outputs.whole(plan.overwrite):
        raise OSError("the disk is full")
    assert outputs.json.read_text() == "of an earlier bench"


def test_names_of_models_are_short_and_differ(tmp_path: Path) -> None:
    content = (Path(__file__).parent / "tflite" / "uint8.tflite").read_bytes()
    places = ["old/photos/compressed/photos-int8", "new/photos/compressed/photos-int8", "a/m", "b/m", "alone"]
    files = []
    for place in places:
        path = tmp_path / f"{place}.tflite"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        files.append(ModelFile.read(path))
    assert short_names(files) == ["old/photos/photos-int8", "new/photos/photos-int8", "a/m", "b/m", "alone"]
    assert short_names([ModelFile(content, "made"), ModelFile(content, "made")]) == ["made", "made (2)"]
