"""A model file is read, parsed and hashed once, whoever asks."""

from __future__ import annotations

import gzip
import hashlib
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tflite_models

import edgeclf.inference.verification  # noqa: F401 - loads all that parses
from edgeclf.artifact import tflite
from edgeclf.artifact.compressed_size import gzip_size
from edgeclf.artifact.inspection import inspect
from edgeclf.artifact.model_file import ModelFile
from edgeclf.errors import ModelError
from edgeclf.inference.classifier import Classifier
from edgeclf.inference.verification import verify


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "digits.tflite"
    path.write_bytes(tflite_models.packaged("uint8"))
    return path


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a file was read, parsed and hashed since."""
    counted: Counter[str] = Counter()

    def counting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **settings: Any) -> Any:
            counted[name] += 1
            return function(*arguments, **settings)

        return call

    original = tflite.parse
    for name, module in list(sys.modules.items()):
        if name.startswith("edgeclf.") and getattr(module, "parse", None) is original:
            monkeypatch.setattr(module, "parse", counting("parse", original))
    monkeypatch.setattr(hashlib, "sha256", counting("hash", hashlib.sha256))
    monkeypatch.setattr(Path, "read_bytes", counting("read", Path.read_bytes))
    return counted


@pytest.mark.parametrize("use", [Classifier, verify, inspect])
def test_each_use_reads_parses_and_hashes_once(use: Callable[[Path], object], model: Path, calls: Counter[str]) -> None:
    use(model)
    assert calls == {"read": 1, "parse": 1, "hash": 1}


def test_several_uses_of_one_file_share_it(model: Path, calls: Counter[str]) -> None:
    file = ModelFile.read(model)
    for _ in range(2):
        Classifier(file)
        verify(file)
    assert calls == {"read": 1, "parse": 1, "hash": 1}


def test_what_a_file_is_named_stands_in_its_messages(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.tflite: cannot be read \(no such file or directory\)"):
        ModelFile.read(tmp_path / "gone.tflite")
    with pytest.raises(ModelError, match=r"^notes\.tflite: not a TFLite model"):
        ModelFile(b"just some text", "notes.tflite").check()


def test_sizes_after_gzip_are_those_of_the_highest_level(model: Path) -> None:
    content = model.read_bytes()
    assert gzip_size(content) == len(gzip.compress(content, 9)) == inspect(model).gzip_bytes
