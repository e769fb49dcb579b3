"""Embedded samples: the same file on the same kind of runtime computes the same; another network does not."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite_models

from edgeclf.artifact.metadata_writer import append_labels
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.provenance import BUFFER_NAME, EMPTY_SEAL, MARK, provenance_buffer, seal
from edgeclf.artifact.samples import CANDIDATES, sample_image
from edgeclf.artifact.tflite import parse
from edgeclf.artifact.tflite_editor import TfliteEditor
from edgeclf.compression.export.kernel_differences import accepted_steps, has_plain_sums
from edgeclf.errors import DamagedModelError, ModelError
from edgeclf.inference.litert import LITERT
from edgeclf.inference.tflite_session import Kernels
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


def _with_samples(content: bytes, change: Callable[[dict[str, Any]], None]) -> ModelFile:
    """The same file with samples that `change` has changed, sealed anew."""
    made = ModelFile(content, "a").provenance
    assert made is not None
    samples = copy.deepcopy(made.samples)
    change(samples)
    editor = TfliteEditor(content[: content.rindex(b"PK\x03\x04")])
    editor.set_metadata({BUFFER_NAME: provenance_buffer(dataclasses.replace(made, samples=samples))}, "digits")
    return ModelFile(seal(append_labels(editor.pack(), tflite_models.DIGIT_NAMES, EMPTY_SEAL)), "changed.tflite")


@pytest.mark.parametrize(("steps", "accepted", "ok"), [(2, 1, False), (2, 2, True), (5, 4, False), (5, 5, True)])
def test_values_may_differ_by_the_steps_that_the_file_accepts(steps: int, accepted: float, ok: bool) -> None:
    def change(samples: dict[str, Any]) -> None:
        values = samples["expected"][0]["values"]
        values[-1] += steps
        samples["accepted_steps"] = accepted

    report = verify(_with_samples(tflite_models.packaged("uint8"), change))
    assert (report.ok, report.largest_difference, report.accepted_steps) == (ok, steps, accepted)
    assert report.labels_equal == 8


def test_a_label_may_be_another_where_two_classes_are_as_close_as_the_file_accepts() -> None:
    content = tflite_models.packaged("uint8")
    session = LITERT.open(ModelFile(content, "model"))
    outputs = np.stack([session.run(sample_image(i, 16, 16)[None])[0] for i in range(CANDIDATES)]).astype(int)
    ranked = np.sort(outputs, axis=1)
    leads = ranked[:, -1] - ranked[:, -2]
    index = int(np.where(leads >= 2, leads, 256).argmin())
    lead, (second, first) = int(leads[index]), np.argsort(outputs[index])[-2:].tolist()
    for accepted, equal in ((lead, 8), (lead - 1, 7)):

        def change(samples: dict[str, Any], accepted: int = accepted) -> None:
            swapped = {"index": index, "classes": [second, first], "values": outputs[index][[first, second]].tolist()}
            samples["expected"][0] = swapped
            samples["accepted_steps"] = accepted

        report = verify(_with_samples(content, change))
        assert (report.labels_equal, report.ok) == (equal, equal == 8)


@pytest.mark.parametrize(
    ("name", "plain"),
    [("uint8", False), ("int16x8", False), ("float_0_255", False), ("int4", False), ("int4_shared", True)],
)
def test_files_accept_more_where_plain_kernels_compute_sums(name: str, plain: bool) -> None:
    file = ModelFile(tflite_models.packaged(name), name)
    made = file.provenance
    assert made is not None
    assert has_plain_sums(file) is plain
    shape = file.shape
    images = np.stack([sample_image(i, shape.height, shape.width) for i in range(CANDIDATES)])
    if name == "uint8":  # its kernels differ as well; the fast ones round alike on all processors
        assert _largest_difference(file, images) > 1
    if plain:
        assert made.samples["accepted_steps"] == min(64, max(1, 2 * _largest_difference(file, images))) > 1
    else:
        assert "accepted_steps" not in made.samples


def _largest_difference(file: ModelFile, images: Any) -> float:
    kernels: tuple[Kernels, ...] = ("fast", "reference")
    fast, reference = (
        np.stack([session.run(image[None]) for image in images]).astype(int)
        for session in (LITERT.open(file, kernels=name) for name in kernels)
    )
    return float(np.abs(fast - reference).max())


@pytest.mark.parametrize(
    ("difference", "step", "expected"), [(0, 1, 1), (0.4, 1, 1), (1, 1, 2), (3, 1, 6), (0.01, 1 / 256, 6), (99, 1, 64)]
)
def test_accepted_steps_are_twice_the_difference_of_the_kernels(difference: float, step: float, expected: int) -> None:
    outputs = np.array([[9.0, 100.0], [50.0, 20.0]])
    references = outputs + np.array([[0, 0], [0, -difference]])
    assert accepted_steps(outputs, references, step) == expected


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
