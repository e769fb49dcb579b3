"""Checks that this device computes what the host computed where the model was made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import Normalization, resolve_normalization
from edgeclf.artifact.pixels import apply_table, pixel_table
from edgeclf.artifact.samples import FORMULA, Samples, read_samples, sample_image
from edgeclf.errors import DamagedModelError, ModelError
from edgeclf.inference.engine import TensorSpec, find_engine
from edgeclf.inference.input_range import resolve_input_range
from edgeclf.records import Record

LARGEST_SHOWN = 1e9


@dataclass(frozen=True)
class VerifyReport(Record):
    """Outcome of running the embedded samples.

    Attributes:
        ok: all labels are equal and all values within the accepted steps.
        model: the file.
        runtime: what ran it; runtimes differ from each other, so a difference may be theirs and not the device's.
        runtime_version: of its package.
        samples: how many were run.
        labels_equal: of how many the best class is the expected one.
        values: how many output values were compared.
        values_different: how many of them are not exactly equal.
        largest_difference: in quantization steps of the output (1/256 for float outputs), at most `LARGEST_SHOWN`,
            which also stands for outputs that are no numbers.
        accepted_steps: by how many steps a value may differ. 1, where the host found all sums computed by the runtime's
            fast kernels; more, where the plain ones compute some, which round otherwise on other processors.
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
    accepted_steps: float = 1.0


def verify(
    model: str | Path | ModelFile,
    runtime: str = "litert",
    threads: int = 1,
    *,
    normalize: str | Normalization | None = None,
    input_range: tuple[float, float] | None = None,
) -> VerifyReport:
    """Run a model's embedded samples and compare their outputs with those of the host that made the model.

    Values must be within the steps that the file accepts, which is one for most; labels must be equal, except where the
    two best classes were within as many steps of each other.

    Raises:
        DamagedModelError: the file is not what was written.
        ModelError: it carries no samples, or samples of a formula that this version does not know.
        InputError: `normalize` or `input_range` is not what the model's samples were computed with.
    """
    given = resolve_normalization(normalize, input_range)
    file = model if isinstance(model, ModelFile) else ModelFile.read(locate_model(model))
    samples = _read_samples(file)
    resolve_input_range(file, given)  # refuses another normalization than that of the samples
    shape, table = file.shape, _pixel_table(file)
    session = find_engine(runtime).open(file, threads=threads)
    step, even = samples.step, _find_even(shape.scores, session.output)
    close = samples.accepted_steps * step
    labels_equal = values = different = 0
    largest = 0.0
    for expected in samples.expected:
        image = sample_image(expected.index, shape.height, shape.width)[..., : shape.channels]
        raw = session.run(apply_table(table, image)[None]).reshape(-1)
        reference = np.array(expected.values, np.float64)
        steps = np.abs(raw[list(expected.classes)].astype(np.float64) - reference) / step
        # what is no number is infinitely far from any
        steps = np.where(np.isfinite(steps), steps, np.inf)
        if shape.outputs == 1:
            labels_equal += _side_equal(float(raw[0]), float(reference[0]), even, close)
        else:
            labels_equal += _label_equal(raw, expected.classes[0], reference, close)
        values += len(steps)
        different += int((steps > 1e-3).sum())
        largest = max(largest, float(steps.max()))
    total = len(samples.expected)
    return VerifyReport(
        ok=labels_equal == total and largest <= samples.accepted_steps + 1e-3,
        model=str(file.path or file.name),
        runtime=runtime,
        runtime_version=session.engine_version,
        samples=total,
        labels_equal=labels_equal,
        values=values,
        values_different=different,
        largest_difference=round(min(largest, LARGEST_SHOWN), 4),
        accepted_steps=samples.accepted_steps,
    )


def _read_samples(file: ModelFile) -> Samples:
    file.check()
    made = file.provenance
    if made is None or not made.samples:
        raise ModelError(f"{file.name}: carries no samples to verify; .tflite files of edgeclf compress do")
    samples = read_samples(made.samples)
    if samples is None:
        formula = made.samples["formula"]
        raise ModelError(f"{file.name}: expected samples of the formula {FORMULA!r}, got {formula!r}; update edgeclf")
    if not samples.expected:
        raise ModelError(f"{file.name}: carries no samples to verify, its list of them is empty; make the model again")
    if any(number >= file.shape.outputs for one in samples.expected for number in one.classes):
        raise DamagedModelError(f"{file.name}: its samples name classes that it does not have; make it again")
    return samples


def _pixel_table(file: ModelFile) -> npt.NDArray[Any]:
    """Make the table with which the outputs of the samples were computed when exported."""
    shape, made = file.shape, file.provenance
    given = None
    if shape.dtype == "float32" and made is not None and made.input_range is not None:
        given = Normalization.from_range(*made.input_range)
    return pixel_table(shape.dtype, shape.scale, shape.zero_point, given)


def even_score(scores: str) -> float:
    """Return the single score at which both classes are as likely.

    Args:
        scores: what the network ends in, as in `ClassifierShape`.
    """
    return {"probabilities": 0.5, "log probabilities": math.log(0.5)}.get(scores, 0.0)


def _find_even(scores: str, output: TensorSpec) -> float:
    """Return the raw output of a single score at which both classes are as likely."""
    real = even_score(scores)
    return real / output.scale + output.zero_point if output.scale else real


def _side_equal(raw: float, reference: float, even: float, close: float) -> bool:
    """Return whether a single score means the same of two classes; as close to the middle it may mean either."""
    return (raw > even) == (reference > even) or abs(raw - even) <= close


def _label_equal(raw: npt.NDArray[Any], label: int, reference: npt.NDArray[np.float64], close: float) -> bool:
    if not np.isfinite(raw.astype(np.float64)).all():
        return False
    if int(np.argmax(raw)) == label:
        return True
    either = len(reference) > 1 and reference[0] - reference[1] <= close
    return bool(either and raw.max() - raw.astype(np.float64)[label] <= close)
