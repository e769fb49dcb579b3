"""Other people's files whose metadata is incomplete or unusual: the network works, and what is missing is noted."""

from __future__ import annotations

from pathlib import Path

import pytest
import tflite_models

from edgeclf.artifact.class_names import UNNAMED
from edgeclf.artifact.inspection import inspect
from edgeclf.artifact.metadata import IDENTIFIER
from edgeclf.artifact.provenance import BUFFER_NAME, MARK
from edgeclf.errors import DamagedModelError
from edgeclf.inference.classifier import Classifier

ZIP = b"PK\x03\x04"


def foreign() -> bytes:
    """A float file with standard metadata and without a seal, as other tools write it."""
    content = tflite_models.packaged("float_-1_1", (-1.0, 1.0))
    return content.replace(BUFFER_NAME.encode(), b"X" * len(BUFFER_NAME)).replace(MARK, b"y" * len(MARK))


def written(content: bytes, folder: Path) -> Path:
    path = folder / "model.tflite"
    path.write_bytes(content)
    return path


def test_a_whole_one_has_nothing_to_say(tmp_path: Path) -> None:
    path = written(foreign(), tmp_path)
    assert inspect(path).integrity == "unverified"
    assert inspect(path).notes == ()
    assert inspect(path).labels == Classifier(path).labels == tflite_models.DIGIT_NAMES
    assert Classifier(path).notes == ()


@pytest.mark.parametrize(
    ("change", "words", "normalized"),
    [
        (lambda c: c[: c.index(ZIP)], "the list of labels of this file cannot be read", True),
        (lambda c: c.replace(b"labels.txt", b"LABELS.txt", 1), "the list of labels of this file cannot be read", True),
        (lambda c: c.replace(IDENTIFIER, b"M002"), "the metadata of this file cannot be read", False),
    ],
)
def test_what_cannot_be_read_is_left_out_and_noted(change, words: str, normalized: bool, tmp_path: Path) -> None:
    path = written(change(foreign()), tmp_path)
    report, classifier = inspect(path), Classifier(path)
    assert report.integrity == classifier.integrity == "unverified"
    assert report.labels is None
    assert classifier.labels == tuple(str(i) for i in range(10))
    assert len(report.notes) == 1
    assert words in report.notes[0]
    assert (*report.notes, UNNAMED) == classifier.notes
    assert (report.normalization is not None) == normalized
    assert (classifier.input_range is not None) == normalized
    images, _ = tflite_models.digits()
    assert classifier.predict(images[0]).labels


def test_a_sealed_file_stays_strict(tmp_path: Path) -> None:
    path = written(tflite_models.packaged("uint8").replace(IDENTIFIER, b"M002"), tmp_path)
    assert inspect(path).integrity == "damaged"
    with pytest.raises(DamagedModelError):
        Classifier(path)
