"""Where figures and page of a bench go, and what is left where one of them fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgeclf.artifact.model_file import ModelFile
from edgeclf.errors import OutputError, RunFailedError
from edgeclf.measure.outputs import find_outputs
from edgeclf.measure.plan import BenchPlan
from edgeclf.measure.subjects import short_names


def test_figures_and_page_do_not_overwrite_one_another(tmp_path: Path) -> None:
    plan = BenchPlan(("a.tflite",), out=str(tmp_path / "r.json"), report=str(tmp_path / "." / "r.json"))
    with pytest.raises(OutputError, match=r"r\.json: --out and --report name the same file"):
        find_outputs(plan, [], page=True)


def test_figures_stay_where_the_page_fails(tmp_path: Path) -> None:
    plan = BenchPlan(("a.tflite",), out=str(tmp_path / "bench.json"), report=str(tmp_path / "report.html"))
    outputs = find_outputs(plan, [], page=True)

    def save(path: Path, written: tuple[str, ...]) -> None:
        path.write_text(" ".join(Path(one).name for one in written))

    def draw(path: Path) -> None:
        raise ValueError("a font\nis missing")

    with pytest.raises(
        RunFailedError, match=r"report\.html: the page could not be written \(a font is missing\); the fi"
    ):
        outputs.write(save, draw)
    assert (tmp_path / "bench.json").read_text() == "bench.json", "no page is claimed that is not there"
    with pytest.raises(OutputError, match=r"bench\.json exists; choose another --out, or replace it with --overwrite"):
        find_outputs(plan, [], page=True)
    with pytest.raises(ValueError, match="a font\nis missing"):
        replace(outputs, json=None).write(save, draw)
    assert outputs.write(save, None) == (str(tmp_path / "bench.json"),)
    assert not (tmp_path / "report.html").exists()
    both = outputs.write(save, lambda path: path.write_text("drawn"))
    assert both == (str(tmp_path / "bench.json"), str(tmp_path / "report.html"))
    assert (tmp_path / "bench.json").read_text() == "bench.json report.html"


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
