"""A float `.tflite` as what compressed models are compared to; it needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.input_fit import find_fit_refusal
from edgeclf.artifact.macs import count_parameters
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import RAW
from edgeclf.artifact.tflite_source_editor import list_quantized
from edgeclf.errors import InputError
from edgeclf.inference.classifier import Classifier
from edgeclf.inference.engine import find_engine
from edgeclf.inference.litert import LITERT
from edgeclf.inference.onnx_runtime import OnnxRuntime
from edgeclf.measure.accuracy import Images, predict_split
from edgeclf.measure.baseline import BaselineNetwork
from edgeclf.measure.latency import fill_input, timed_call
from edgeclf.measure.machine import describe_machine
from edgeclf.measure.plan import BenchPlan
from edgeclf.measure.subjects import DatasetLoader, Subject, open_subjects
from edgeclf.progress import SILENT, Progress


def open_tflite_baseline(path: Path, plan: BenchPlan, data: DatasetLoader | None = None) -> BaselineNetwork:
    """Open a float TFLite file with its input scaling.

    Args:
        path: of the file.
        plan: with the normalization, the fit and the labels given; a file that knows its own is not given others.
        data: loads the images for an input, on which an unknown input range is measured; None: there are none.

    Raises:
        ModelError: it cannot be opened.
        InputError: it is quantized.
    """
    file = ModelFile.read(path)
    if list_quantized(file.graph):
        raise InputError(f"--baseline {path}: is quantized; expected the float file that the models were made of")
    if find_fit_refusal(file, plan.fit):
        plan = replace(plan, fit=None)
    if plan.runtime == OnnxRuntime.name:  # it runs no TFLite files
        plan = replace(plan, runtime=LITERT.name)
    (subject,) = open_subjects([file], plan, data, used=True)
    entered = subject.input_range
    return BaselineNetwork(
        predictor=TFLitePredictor(subject),
        name=f"{path.parent.name}/{path.name}" if path.parent.name else path.name,
        size_bytes=len(file.content),
        normalization=None if entered is None or entered.normalization == RAW else entered.normalization,
        class_count=subject.class_count,
        notes=tuple(f"float baseline: {note}" for note in subject.notes),
        fit=subject.fit,
    )


class TFLitePredictor:
    """A model file as a baseline; a `TimedPredictor`.

    Args:
        subject: the opened file.

    Attributes:
        labels: class names in the order of the outputs; empty where nobody named them.
        size: height and width of the input, pixels.
        device: name of the processor.
        threads: that one image is classified with.
        parameters: numbers in the network.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self.labels = subject.labels
        self.size = (subject.height, subject.width)
        self.device = f"CPU ({describe_machine().processor})"
        self.threads: int | None = 1
        self.parameters: int | None = count_parameters(subject.file.graph)

    def probabilities(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Compute the probabilities float32[N, C] of uint8[N, H, W, 3]."""
        subject = self._subject
        return Classifier(subject.file, runtime=subject.runtime, normalize=subject.given).probabilities(images)

    def top1(self, images: Images, progress: Progress = SILENT) -> npt.NDArray[np.int64]:
        """Find the index of the best class of each of uint8[N, H, W, 3]: int64[N]; ties go to the lowest index."""
        subject = self._subject
        return predict_split(
            subject.file, images, runtime=subject.runtime, normalization=subject.given, progress=progress
        ).indices

    def single_call(self) -> Callable[[], object]:
        """Make a function that computes the graph of one image; for stopwatches."""
        session = find_engine(self._subject.runtime).open(self._subject.file)
        fill_input(session)
        return timed_call(session)
