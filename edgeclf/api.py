"""The public functions: one a command, each returning a frozen report with a JSON round trip.

Host modules (TensorFlow, scikit-learn, matplotlib, ...) are imported inside the functions that need them.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgeclf.errors import MissingExtraError
from edgeclf.progress import SILENT, Progress

if TYPE_CHECKING:
    from edgeclf.artifact.inspection import InspectReport
    from edgeclf.dataset.auditing import AuditReport
    from edgeclf.runtime.photos import PredictReport
    from edgeclf.runtime.verification import VerifyReport

_EXTRA_OF = {
    "flatbuffers": "train",
    "jinja2": "train",
    "matplotlib": "train",
    "sklearn": "train",
    "tensorflow": "train",
    "tensorflow_model_optimization": "train",
    "tf_keras": "train",
    "tflite_runtime": "tflite-runtime",
}


def audit(data: str | Path, *, progress: Progress = SILENT) -> AuditReport:
    """Look a data set over before training: counts, unreadable and odd files, duplicates, leaks between splits.

    Args:
        data: a folder, a manifest or a name.
        progress: where bars are shown.

    Raises:
        DataError: `data` is not there, or nothing in it is usable.
    """
    from edgeclf.dataset import audit as audit_data

    with _extras("audit"):
        return audit_data(data, progress=progress)


def predict(
    model: str | Path,
    images: Sequence[str | Path],
    *,
    top: int = 5,
    runtime: str = "litert",
    threads: int = 1,
    input_range: tuple[float, float] | None = None,
    progress: Progress = SILENT,
) -> PredictReport:
    """Label image files and the image files of folders.

    Args:
        model: a `.tflite` file, a run folder, or the name of a zoo model.
        images: files and folders; their order is kept.
        top: number of labels a file.
        runtime: `litert`, `tflite-runtime` or `tensorflow`.
        threads: number of threads of the interpreter.
        input_range: input values that a network made elsewhere expects, such as (-1, 1).
        progress: where a bar is shown.

    Raises:
        ModelError: the model cannot be used.
    """
    from edgeclf.runtime.classifier import Classifier
    from edgeclf.runtime.photos import predict_photos

    with _extras(f"--runtime {runtime}"):
        classifier = Classifier(model, runtime=runtime, threads=threads, input_range=input_range)
    return predict_photos(classifier, images, top=top, progress=progress)


def inspect(model: str | Path) -> InspectReport:
    """Tell what a model file is: inputs, outputs, operators, labels, provenance, integrity.

    Raises:
        ModelError: `model` is not a TFLite file.
    """
    from edgeclf.artifact.inspection import inspect as inspect_model

    return inspect_model(model)


def verify(model: str | Path, *, runtime: str = "litert") -> VerifyReport:
    """Run a model's embedded samples: does this device compute what the desk computed?

    Raises:
        ModelError: the model cannot be used, or carries no samples.
    """
    from edgeclf.runtime.verification import verify as verify_model

    with _extras(f"--runtime {runtime}"):
        return verify_model(model, runtime=runtime)


def _require(what: str, *modules: str) -> None:
    """Raise MissingExtraError at once, without the seconds that an import of TensorFlow takes."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(what, _EXTRA_OF[module], module)


@contextlib.contextmanager
def _extras(what: str) -> Iterator[None]:
    """Turn a failed import of an optional package into the install command."""
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in _EXTRA_OF:
            raise
        raise MissingExtraError(what, _EXTRA_OF[module], module) from error
