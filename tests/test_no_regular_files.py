"""Pipes, devices, sockets and links that are called like images: never opened, each named with the reason."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from photo_folders import make_folder
from tflite_models import packaged

from edgeclf.dataset import audit, list_source, load_dataset, probe
from edgeclf.image import files
from edgeclf.inference.classifier import Classifier
from edgeclf.inference.photos import predict_photos
from edgeclf.streaming.camera.sources.registry import choose_source

REASONS = {
    "pipe.jpg": "not a regular file: a pipe",
    "socket.jpg": "not a regular file: a socket",
    "device.jpg": "not a regular file: a device",
    "itself.jpg": "too many levels of symbolic links",
    "nowhere.jpg": "no such file or directory",
    "huge.jpg": "the file has 1024 MB, more than any photo (1024 MB)",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve photos, and six entries that are none."""
    folder = make_folder(tmp_path / "pets", {"cat": 6, "dog": 6})
    cat = folder / "cat"
    os.mkfifo(cat / "pipe.jpg")
    monkeypatch.chdir(cat)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket.jpg")
    monkeypatch.chdir(tmp_path)
    (cat / "device.jpg").symlink_to("/dev/zero")
    (cat / "itself.jpg").symlink_to("itself.jpg")
    (cat / "nowhere.jpg").symlink_to("gone.jpg")
    with open(cat / "huge.jpg", "wb") as stream:
        stream.truncate(files.MAX_FILE_BYTES + 1)
    (folder / "itself").symlink_to("itself")
    return folder


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is opened as an image; nothing but regular files of sensible size may be."""
    paths: list[str] = []
    real = os.open

    def spy(path: object, *given: object, **named: object) -> int:
        if isinstance(path, (str, os.PathLike)) and os.path.basename(path) in REASONS:
            paths.append(str(path))
        return real(path, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", spy)
    return paths


def named(unreadable: object) -> dict[str, str]:
    return {os.path.basename(entry.path): entry.reason for entry in unreadable}  # type: ignore[attr-defined]


def test_a_data_set_names_them_and_opens_none(folder: Path, opened: list[str]) -> None:
    assert probe(folder).images == 18
    data = load_dataset(folder, image_size=8)
    assert named(data.unreadable) == REASONS
    assert sum(map(len, data.splits.values())) == 12
    report = audit(folder)
    assert named(report.unreadable) == REASONS
    assert "not an image by its name (no suffix)" in next(o.reason for o in report.odd if o.path.endswith("/itself"))
    assert [path for path in opened if "huge" not in path and "nowhere" not in path] == []


def test_a_manifest_that_names_them(folder: Path, opened: list[str]) -> None:
    lines = [f"{path.relative_to(folder)},{path.parent.name}" for path in sorted(folder.glob("*/*"))]
    (folder / "all.csv").write_text("\n".join(["path,label", *lines]))
    assert named(load_dataset(folder / "all.csv", image_size=8).unreadable) == REASONS
    assert [path for path in opened if "huge" not in path and "nowhere" not in path] == []


def test_predict_names_them(folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(packaged("int8"))
    report = predict_photos(Classifier(model), [folder / "cat"])
    assert named(report.unreadable) == REASONS
    assert len(report.predictions) == 6
    single = predict_photos(Classifier(model), [folder / "cat" / name for name in REASONS])
    assert named(single.unreadable) == REASONS


def test_a_folder_shown_as_a_camera_logs_them(folder: Path) -> None:
    lines: list[str] = []
    source = choose_source(str(folder / "cat"), every_frame=True, log=lines.append)
    source.open()
    for _ in range(6):
        source.read()
    with pytest.raises(Exception, match=r"^$"):
        source.read()
    assert {os.path.basename(line.partition(": ")[0]): line.partition(": ")[2] for line in lines} == REASONS


def test_the_command_ends_by_itself(folder: Path) -> None:
    command = [sys.executable, "-m", "edgeclf", "audit", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False, text=True)
    assert done.returncode == 0, done.stderr
    assert all(reason in done.stdout for reason in REASONS.values())


def test_a_pipe_that_claims_to_be_a_list_of_collected_images(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "pets", {"cat": 3, "dog": 3})
    (folder / "unsorted").mkdir()
    os.mkfifo(folder / "unsorted" / "collected.jsonl")
    assert list_source(folder).class_names == ("cat", "dog", "unsorted")
