"""The typed keywords of the public functions are the fields that they stand for."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from edgeclf.api.keywords import CompressKeywords, LiveKeywords, PretrainKeywords, TrainKeywords
from edgeclf.streaming.loop.settings import LiveSettings

USE = """
import edgeclf

edgeclf.train("photos", epochs=30, augment="light")
edgeclf.compress("runs/photos", qat=True, qat_epochs=3, labels=["cat", "dog"])
edgeclf.live("photos.tflite", camera="0", web="8765", progress=edgeclf.ProgressBar())
edgeclf.bench("photos.tflite", threads=2)
one = edgeclf.Classifier("cifar10").predict("cat.jpg")
several = edgeclf.Classifier("cifar10").predict([b"", "cat.jpg"])
reveal_type(one)
reveal_type(several)
edgeclf.train("photos", epoch=30)
edgeclf.train("photos", epochs="many")
edgeclf.compress("runs/photos", qat_epoch=3)
edgeclf.live("photos.tflite", camra="0")
"""


def fields(record: Any) -> dict[str, Any]:
    hints = get_type_hints(record)
    return {field.name: hints[field.name] for field in dataclasses.fields(record)}


def test_the_keywords_are_the_fields() -> None:
    assert get_type_hints(LiveKeywords) == fields(LiveSettings), "bring edgeclf/api/keywords.py up to date"
    pytest.importorskip("tensorflow_model_optimization")
    from edgeclf.compression.choice import settings_record
    from edgeclf.training.config import TrainConfig
    from edgeclf.training.pretraining.config import PretrainConfig

    assert get_type_hints(TrainKeywords) == fields(TrainConfig), "bring edgeclf/api/keywords.py up to date"
    assert get_type_hints(PretrainKeywords) == fields(PretrainConfig), "bring edgeclf/api/keywords.py up to date"
    assert get_type_hints(CompressKeywords) == fields(settings_record()), "bring edgeclf/api/keywords.py up to date"


@pytest.mark.slow
def test_a_type_checker_knows_them(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "use.py").write_text(USE, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", str(tmp_path / "use.py")]
    root = Path(__file__).resolve().parents[1]  # where the project's settings are, and what its own check kept
    done = subprocess.run(command, cwd=root, env={"PATH": ""}, capture_output=True, text=True, check=False)
    notes = [line.partition(": ")[2] for line in done.stdout.splitlines() if "use.py:" in line]
    assert [line for line in notes if "Revealed" in line] == [
        'note: Revealed type is "edgeclf.inference.prediction.Prediction"',
        'note: Revealed type is "tuple[edgeclf.inference.prediction.Prediction, ...]"',
    ]
    errors = [line for line in notes if line.startswith("error")]
    assert len(errors) == 4
    for word, line in zip(("epoch", "epochs", "qat_epoch", "camra"), errors, strict=True):
        assert f'"{word}"' in line
