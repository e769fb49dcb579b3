"""examples/notebooks: every cell runs, in one kernel, on small photos; they are committed without outputs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from guide_photos import draw_photos

nbformat = pytest.importorskip("nbformat")
FOLDER = Path(__file__).resolve().parents[1] / "examples" / "notebooks"
NAMES = ("tutorial", "own_photos", "compress_and_compare")
"""In the order in which they run: the last one takes the run of the first."""
SMALL = {"epochs": 1, "model": "cnn", "image_size": 32}
PARAMETERS: dict[str, dict[str, Any]] = {
    "tutorial": {"DATA": "photos", "TRAINING": SMALL},
    "own_photos": {"TRAINING": SMALL},
    "compress_and_compare": {"DATA": "photos", "TRAINING": SMALL, "RECIPES": ["float32", "int8"]},
}
PICTURES = {"tutorial": 4, "own_photos": 4, "compress_and_compare": 1}


def read(name: str) -> Any:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def tagged(book: Any, tag: str) -> list[Any]:
    return [cell for cell in book.cells if tag in cell.metadata.get("tags", [])]


def prepare(name: str) -> Any:
    """The notebook with small data: a cell behind its parameters replaces some, as papermill does."""
    book = read(name)
    (cell,) = tagged(book, "parameters")
    lines = [f"{key} = {value!r}" for key, value in PARAMETERS[name].items()]
    if name == "compress_and_compare":
        lines.append('RUN = Path("runs/tutorial")')
    for key in PARAMETERS[name]:
        assert f"{key} = " in cell.source, f"{name} has no parameter {key}"
    book.cells.insert(book.cells.index(cell) + 1, nbformat.v4.new_code_cell("\n".join(lines)))
    book.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))  # names of the notebook before
    return book


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One kernel for all of them, so that TensorFlow is imported once, in a folder with photos."""
    manager = pytest.importorskip("jupyter_client").KernelManager(kernel_name="python3")
    folder = tmp_path_factory.mktemp("notebooks")
    draw_photos(folder / "photos")
    photo = next((folder / "photos").glob("*/0.jpg"))
    photo.with_name("cut.jpg").write_bytes(photo.read_bytes()[:200])
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(FOLDER.parents[1])}
    manager.start_kernel(cwd=str(folder), env=environment)
    yield manager
    manager.shutdown_kernel(now=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs(name: str, kernel: Any) -> None:
    book = prepare(name)
    client = pytest.importorskip("nbclient").NotebookClient(book, km=kernel, timeout=600)
    client.execute()
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == PICTURES[name]
    written = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    figures = [line for line in written.splitlines() if "%" in line]
    assert figures
    assert not any("None" in line or "nan" in line for line in figures)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_committed_without_outputs_and_installs_first(name: str) -> None:
    book = read(name)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert tagged(book, "install") == [code[0]]
    assert "%pip install" in code[0].source
    assert "ProgressBar()" in "".join(cell.source for cell in code)


def test_all_notebooks_are_run() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == sorted(NAMES)
