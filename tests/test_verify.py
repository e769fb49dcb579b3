"""Embedded samples: the same file on the same kind of runtime computes the same; another network does not."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import tflite_models

from edgeclf.artifact.provenance import EMPTY_SEAL, MARK, seal
from edgeclf.artifact.samples import sample_image
from edgeclf.artifact.tflite import parse
from edgeclf.errors import DamagedModelError, ModelError
from edgeclf.inference.verification import VerifyReport, verify


@pytest.mark.parametrize(
    ("name", "input_range"),
    [("uint8", None), ("int8", None), ("uint8_to_float", None), ("int16x8", None), ("float_0_255", None),
     ("float_-1_1", (-1.0, 1.0)), ("gray_uint8", None), ("int4", None)],
)  # fmt: skip
def test_this_machine_computes_what_it_computed(
    name: str, input_range: tuple[float, float] | None, tmp_path: Path
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_models.packaged(name, input_range))
    report = verify(path)
    assert report.ok
    assert report.runtime == "litert"
    assert report.samples == report.labels_equal == 8
    assert report.values == 80
    assert report.values_different == 0
    assert VerifyReport.from_json(report.to_json()) == report


def _with_other_weights(content: bytes) -> bytes:
    """The same file with turned weights in its last layer, sealed anew."""
    dense = next(t for t in parse(content).tensors if t.shape == (10, 256))
    assert dense.data is not None
    weights = bytes(dense.data)
    changed = content.replace(weights, weights[::-1])
    parts = changed.split(MARK)
    return seal(EMPTY_SEAL.join([parts[0], parts[1][64:], parts[2][64:]]))


def test_another_computation_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(_with_other_weights(tflite_models.packaged("uint8")))
    report = verify(path)
    assert not report.ok
    assert report.labels_equal < report.samples
    assert report.largest_difference > 1


def test_a_value_two_steps_away_is_noticed(tmp_path: Path) -> None:
    content = tflite_models.packaged("uint8")
    made = json.loads(parse(content).metadata["EDGECLF_PROVENANCE"])
    row = made["samples"]["expected"][0]
    old = json.dumps(row, ensure_ascii=False).encode()
    for steps, ok in ((1, True), (2, False)):
        # the lowest kept value of one digit, so that the length stays
        values = list(row["values"])
        place = next(i for i, v in enumerate(values) if 1 <= v <= 7)
        values[place] += steps
        new = json.dumps({**row, "values": values}, ensure_ascii=False).encode()
        parts = content.replace(old, new).split(MARK)
        path = tmp_path / f"{steps}.tflite"
        path.write_bytes(seal(EMPTY_SEAL.join([parts[0], parts[1][64:], parts[2][64:]])))
        report = verify(path)
        assert (report.ok, report.largest_difference) == (ok, steps)


def test_files_without_samples_say_so() -> None:
    with pytest.raises(ModelError, match=r"uint8\.tflite: carries no samples to verify"):
        verify(tflite_models.FOLDER / "uint8.tflite")


def test_damage_goes_before_verification(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_models.packaged("uint8")[:-1])
    with pytest.raises(DamagedModelError):
        verify(path)


def test_the_formula_never_changes() -> None:
    """Models in the field carry the outputs of exactly these pixels."""
    pixels = b"".join(sample_image(i, 24, 32).tobytes() for i in range(48))
    assert hashlib.sha256(pixels).hexdigest() == "e034b38ac1f4e8c952044dc6bcf3751e0d94e627ef4a56604bed63a043392e6a"


def test_the_formula_is_the_one_that_is_documented() -> None:
    index, height, width = 7, 10, 13

    def h(a: int, b: int) -> int:
        mixed = (2654435761 * (index + 1) + 40503 * a + 65599 * b) % 2**32
        return (mixed * 2246822519 % 2**32) >> 16

    n = 1 + index % 5
    expected = np.empty((height, width, 3), np.uint8)
    for y, x, c in np.ndindex(height, width, 3):
        v, u = n * y // height, n * x // width
        ramp = (h(97, c) % 256 * y // height + h(98, c) % 256 * x // width) % 256
        expected[y, x, c] = (3 * (h(n * v + u, c) % 256) + ramp) // 4
    assert np.array_equal(sample_image(index, height, width), expected)
