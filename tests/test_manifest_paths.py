"""Tables with backslashes and with names without a suffix, and what is said where no file is found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from photo_folders import make_folder

from edgeclf.dataset import audit, list_source, load_dataset, probe
from edgeclf.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`pets/cat/000.png` and so on, ten a class."""
    return make_folder(tmp_path / "pets", {"cat": 10, "dog": 10})


def table(folder: Path, form: str, header: str = "path,label") -> Path:
    """A table that names each photo as `form` says."""
    rows = [form.format(name=name, number=f"{number:03}") for name in ("cat", "dog") for number in range(10)]
    (folder / "all.csv").write_text("\n".join([header, *(f"{row},{row[:3]}" for row in rows)]))
    return folder / "all.csv"


def test_backslashes_separate_folders(folder: Path) -> None:
    data = load_dataset(table(folder, "{name}\\{number}.png"), image_size=8)
    assert data.fingerprint == load_dataset(folder, image_size=8).fingerprint
    assert data.notes == (f"{folder}/all.csv: 20 paths with \\ were read with /, e.g. cat\\000.png",)
    assert audit(folder / "all.csv").notes == data.notes


@pytest.mark.parametrize("form", ["{name}/{number}", "{name}\\{number}"])
def test_a_missing_suffix_is_completed(folder: Path, form: str) -> None:
    data = load_dataset(table(folder, form, "id,label"), image_size=8)
    assert data.fingerprint == load_dataset(folder, image_size=8).fingerprint
    assert data.notes[0].startswith(f"{folder}/all.csv: 20 names without a suffix were completed, e.g. cat")
    assert data.notes[0].endswith(": cat/000.png")


def test_a_name_of_two_files_is_none(folder: Path) -> None:
    (folder / "cat" / "000.jpg").touch()
    unreadable = load_dataset(table(folder, "{name}/{number}"), image_size=8).unreadable
    assert [os.path.relpath(entry.path, folder) for entry in unreadable] == ["cat/000"]


def test_a_backslash_that_is_part_of_a_name_stays(folder: Path) -> None:
    os.rename(folder / "cat" / "000.png", folder / "cat\\000.png")
    listing = list_source(table(folder, "{name}\\{number}.png"))
    assert listing.items[0].path == str(folder / "cat\\000.png")
    assert "19 paths" in listing.notes[0]


@pytest.mark.parametrize("work", [probe, audit, lambda source: load_dataset(source, image_size=8)])
def test_where_no_image_is_found_path_reason_and_remedy_are_said(folder: Path, work: object) -> None:
    with pytest.raises(DataError) as caught:
        work(table(folder, "{name}_photo{number}"))  # type: ignore[operator]
    assert str(caught.value).replace("the 20 sampled", "its 20") == (
        f"{folder}/all.csv: not one of its 20 images can be read, e.g. {folder}/cat_photo000: no such file or "
        f"directory; the paths in it start at {folder}, and must name the files with their suffixes"
    )


def test_a_table_of_sensible_size_is_expected(tmp_path: Path) -> None:
    with open(tmp_path / "all.csv", "wb") as stream:
        stream.truncate((1 << 28) + 1)
    with pytest.raises(DataError, match="has more than 256 MB, expected a table of paths"):
        list_source(tmp_path / "all.csv")


def test_no_file_is_looked_at_twice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    real = os.stat

    def spy(path: object, *given: object, **named: object) -> os.stat_result:
        looked.append(os.fspath(path) if isinstance(path, (str, os.PathLike)) else "")
        return real(path, *given, **named)  # type: ignore[arg-type]

    manifest = table(folder, "{name}/{number}.png")
    monkeypatch.setattr(os, "stat", spy)
    list_source(manifest)
    assert sum(path.endswith(".png") for path in looked) == 20
