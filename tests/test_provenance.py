"""The seal: what is whole is verified, what is not is damaged, other people's files are unverified."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import tflite_models

from edgeclf.artifact.inspection import inspect
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.provenance import BUFFER_NAME, EMPTY_SEAL, MARK, integrity, read_provenance, seal
from edgeclf.artifact.tflite import parse
from edgeclf.errors import DamagedModelError, ModelError


@pytest.fixture(scope="module")
def content() -> bytes:
    return tflite_models.packaged("uint8")


def test_a_packaged_file_is_verified(content: bytes) -> None:
    assert integrity(content) == "verified"
    assert content.count(MARK) == 2
    assert content[-len(EMPTY_SEAL) :].startswith(MARK)


@pytest.mark.parametrize("name", ["uint8", "float_0_1", "two_inputs"])
def test_other_peoples_files_are_unverified(name: str) -> None:
    assert integrity(tflite_models.bare(name)) == "unverified"


def test_either_mark_without_the_other_is_damage(content: bytes) -> None:
    assert integrity(content[: -len(EMPTY_SEAL)]) == "damaged"
    assert integrity(content.replace(MARK, b"edgeclf-xxxxxx:", 1)) == "damaged"
    head, _, tail = content.rpartition(MARK)
    assert integrity(head + b"edgeclf-xxxxxx:" + tail) == "damaged"


def test_the_zip_cut_off_at_its_start_is_damage(content: bytes) -> None:
    assert integrity(content[: content.index(b"PK\x03\x04")]) == "damaged"


def test_something_behind_the_trailer_is_damage(content: bytes) -> None:
    assert integrity(content + b"\n") == "damaged"


def test_provenance_comes_back(content: bytes) -> None:
    made = read_provenance(content)
    assert made is not None
    assert made.recipe == {"name": "int8", "io": "uint8"}
    assert made.data["class_names"] == list(tflite_models.DIGIT_NAMES)
    assert made.metrics == {"test": {"top1": 0.89}}
    assert made.macs == 19_584
    assert made.parameters == 3_018
    assert made.created_by == "edgeclf 0.1.0"
    assert read_provenance(tflite_models.bare("uint8")) is None


def test_a_later_versions_extra_keys_do_not_hurt(content: bytes) -> None:
    older = content.replace(b'"created_by"', b'"invented__"', 1)
    made = read_provenance(older)
    assert made is not None
    assert made.created_by == "edgeclf"


@pytest.mark.parametrize("written", [b"[]", b"{", b'{"recipe": 3}', b'{"input_range": [1]}'])
def test_provenance_of_another_kind_is_damage(content: bytes, written: bytes) -> None:
    graph = parse(content)
    other = dataclasses.replace(graph, metadata={**graph.metadata, BUFFER_NAME: written})
    with pytest.raises(DamagedModelError, match="its provenance"):
        read_provenance(content, other)


def test_only_two_empty_seals_can_be_sealed(content: bytes) -> None:
    with pytest.raises(ModelError, match="must have two empty seals, got 0 among 2 marks"):
        seal(content)


def test_the_message_names_the_file(content: bytes) -> None:
    flipped = bytearray(content)
    flipped[5000] ^= 4
    with pytest.raises(DamagedModelError, match=r"^cats\.tflite: the checksum inside does not fit"):
        ModelFile(bytes(flipped), "cats.tflite").check()
    with pytest.raises(DamagedModelError, match=r"^cats\.tflite: the file is empty"):
        ModelFile(b"", "cats.tflite").check()
    with pytest.raises(DamagedModelError, match=r"^cats\.tflite: its first bytes are not as they were written"):
        ModelFile(bytes(8) + content[8:], "cats.tflite").check()
    with pytest.raises(ModelError, match=r"^cats\.tflite: not a TFLite model"):
        ModelFile(b"just some text, no model", "cats.tflite").check()


def test_inspect_reports_damage_instead_of_failing(content: bytes, tmp_path: Path) -> None:
    for name, damaged in {"cut": content[:3000], "empty": b"", "head": bytes(64) + content[64:]}.items():
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(damaged)
        assert inspect(path).integrity == "damaged"
    text = tmp_path / "text.tflite"
    text.write_bytes(b"just some text, no model")
    with pytest.raises(ModelError, match="not a TFLite model"):
        inspect(text)
