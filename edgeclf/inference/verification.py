"""Does this device compute what was computed where the model was made?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.classifier_shape import classifier_shape
from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.pixels import Normalization, apply_table, pixel_table
from edgeclf.artifact.provenance import check_integrity, read_provenance
from edgeclf.artifact.samples import FORMULA, sample_image
from edgeclf.artifact.tflite import parse
from edgeclf.errors import ModelError
from edgeclf.inference.interpreter import open_interpreter, read_model
from edgeclf.records import Record

LARGEST_SHOWN = 1e9


@dataclass(frozen=True)
class VerifyReport(Record):
    """What came of running the embedded samples.

    Attributes:
        ok: all labels are equal and all values within one step.
        model: the file.
        runtime: what ran it; runtimes differ from each other, so a difference may be theirs and not the device's.
        runtime_version: of its package.
        samples: how many were run.
        labels_equal: of how many the best class is the expected one.
        values: how many output values were compared.
        values_different: how many of them are not exactly equal.
        largest_difference: in quantization steps of the output (1/256 for float outputs), at most `LARGEST_SHOWN`,
            which also stands for outputs that are no numbers.
    """

    ok: bool
    model: str
    runtime: str
    runtime_version: str
    samples: int
    labels_equal: int
    values: int
    values_different: int
    largest_difference: float


def verify(model: str | Path, runtime: str = "litert", threads: int = 1) -> VerifyReport:
    """Run a model's embedded samples and compare with what they gave where the model was made.

    Labels must be equal, except where the two best classes were within one step of each other; values must be within
    one step.

    Raises:
        DamagedModelError: the file is not what was written.
        ModelError: it carries no samples, or samples of a formula that this version does not know.
    """
    path = locate_model(model)
    content = read_model(path)
    check_integrity(content, path.name)
    graph = parse(content)
    made = read_provenance(content, graph)
    if made is None or not made.samples:
        raise ModelError(f"{path.name}: carries no samples to verify (it was not made by edgeclf compress)")
    if made.samples.get("formula") != FORMULA:
        came = made.samples.get("formula")
        raise ModelError(f"{path.name}: its samples come from the formula {came!r}, this version knows {FORMULA!r}")
    shape = classifier_shape(graph)
    given = (
        None if made.input_range is None or shape.dtype != "float32" else Normalization.from_range(*made.input_range)
    )
    table = pixel_table(shape.dtype, shape.scale, shape.zero_point, given)
    interpreter = open_interpreter(content, runtime=runtime, threads=threads, graph=graph)
    step = float(made.samples["step"])
    labels = values = different = 0
    largest = 0.0
    for expected in made.samples["expected"]:
        image = sample_image(int(expected["index"]), shape.height, shape.width)[..., : shape.channels]
        raw = interpreter.run(apply_table(table, image)[None]).reshape(-1)
        wanted = np.array(expected["values"], np.float64)
        steps = np.abs(raw[expected["classes"]].astype(np.float64) - wanted) / step
        # what is no number is infinitely far from any
        steps = np.where(np.isfinite(steps), steps, np.inf)
        labels += _label_equal(raw, expected["classes"][0], wanted, step)
        values += len(steps)
        different += int((steps > 1e-3).sum())
        largest = max(largest, float(steps.max()))
    total = len(made.samples["expected"])
    ok = labels == total and largest <= 1.0 + 1e-3
    return VerifyReport(
        ok=ok,
        model=str(path),
        runtime=runtime,
        runtime_version=interpreter.runtime_version,
        samples=total,
        labels_equal=labels,
        values=values,
        values_different=different,
        largest_difference=round(min(largest, LARGEST_SHOWN), 4),
    )


def _label_equal(raw: npt.NDArray[Any], label: int, wanted: npt.NDArray[np.float64], step: float) -> bool:
    if not np.isfinite(raw.astype(np.float64)).all():
        return False
    if int(np.argmax(raw)) == label:
        return True
    close = wanted[0] - wanted[1] <= step
    return bool(close and raw.max() - raw.astype(np.float64)[label] <= step)
