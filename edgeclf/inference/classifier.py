"""Labels for images from any TFLite image classifier, made by edgeclf or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgeclf.artifact.classifier_shape import classifier_shape
from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.metadata import Metadata, read_foreign_metadata, read_metadata
from edgeclf.artifact.pixels import RAW, Normalization, apply_table, pixel_table
from edgeclf.artifact.provenance import Provenance, check_integrity, read_provenance
from edgeclf.artifact.tflite import parse
from edgeclf.errors import ImageError, ModelError
from edgeclf.image.decoding import load_image, resize
from edgeclf.inference.input_range import InputRange, measure_input_range
from edgeclf.inference.interpreter import TensorSpec, open_interpreter, read_model
from edgeclf.inference.quantization import dequantize, probabilities
from edgeclf.records import Record

Images = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class LabelScore(Record):
    """One class and its probability; the label is the index where the model names no classes."""

    label: str
    index: int
    probability: float


@dataclass(frozen=True)
class Prediction(Record):
    """The best classes of one image, best first."""

    labels: tuple[LabelScore, ...]


class Classifier:
    """A model file that labels images.

        Classifier("cifar10").predict("cat.jpg").labels[0].label

    Args:
        model: a file, a run folder, or a name from the zoo.
        runtime: `litert`, `tflite-runtime` or `tensorflow`.
        threads: number of threads of the interpreter.
        input_range: what the network wants pixel values 0 and 255 to become, such as (0, 1). Needed only for networks
            from elsewhere; without it the file's own words decide, else a measurement on the first images seen.

    Attributes:
        path: the model file.
        labels: class names in index order.
        height: of the input, pixels.
        width: of the input, pixels.
        class_count: number of classes.
        runtime: name of the runtime.
        runtime_version: of the runtime's package.
        integrity: `verified` or `unverified`.
        notes: what the user should know about how this file is read, a line each.

    Raises:
        ModelError: no such model, it is damaged, or it is no image classifier.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        runtime: str = "litert",
        threads: int = 1,
        input_range: tuple[float, float] | None = None,
    ) -> None:
        self.path = locate_model(model)
        content = read_model(self.path)
        self.integrity = check_integrity(content, self.path.name)
        graph = parse(content)
        try:
            shape = classifier_shape(graph)
        except ModelError as error:
            raise ModelError(f"{self.path.name}: {error}") from error
        self._interpreter = open_interpreter(content, runtime=runtime, threads=threads, graph=graph)
        self._shape = shape
        self.height, self.width, self.class_count = shape.height, shape.width, shape.classes
        self.runtime, self.runtime_version = runtime, self._interpreter.runtime_version
        made = read_provenance(content, graph)
        unreadable: tuple[str, ...] = ()
        if self.integrity == "verified":
            standard = read_metadata(content, graph)
        else:
            standard, unreadable = read_foreign_metadata(content, graph)
        self.labels, notes = _labels(standard, made, shape.classes)
        self.notes: tuple[str, ...] = (*unreadable, *notes)
        self._reals = _real_values(self._interpreter.output)
        self.input_range: InputRange | None = None
        self._table: npt.NDArray[Any] | None = None
        self._decide(input_range, standard, made)

    def predict(self, image: str | Path | Images, top: int = 5) -> Prediction:
        """Label one image.

        Args:
            image: a file, or uint8[H, W, 3] RGB pixels of any size.
            top: how many classes to return at most.

        Raises:
            ImageError: the image cannot be read.
        """
        if isinstance(image, (str, Path)):
            pixels = load_image(image, self.height, self.width)
        else:
            pixels = resize(image, self.height, self.width)
        raw = self.raw(pixels)
        scores = self._to_probabilities(raw)
        # ordered by the raw numbers, and by index among equals, as MediaPipe does
        order = np.argsort(-raw.astype(np.float64), kind="stable")[:top]
        return Prediction(tuple(LabelScore(self.labels[i], int(i), float(scores[i])) for i in order))

    def raw(self, image: Images) -> npt.NDArray[Any]:
        """The graph's raw output `[C]` for uint8[height, width, 3] pixels of the model's own size.

        Raises:
            ImageError: the image has another shape or type.
        """
        if image.shape != (self.height, self.width, 3) or image.dtype != np.uint8:
            wanted = f"uint8[{self.height}, {self.width}, 3]"
            raise ImageError(f"expected {wanted}, got {image.dtype}{list(image.shape)}")
        if self._table is None:
            self.choose_input_range(image[None])
        assert self._table is not None
        return self._run(self._table, image)

    def top1(self, images: Images) -> npt.NDArray[np.int64]:
        """Index of the best class of each of uint8[N, height, width, 3]: int64[N]; ties go to the lowest index."""
        self._settle(images)
        return np.array([int(np.argmax(self.raw(image))) for image in images], np.int64)

    def probabilities(self, images: Images) -> npt.NDArray[np.float32]:
        """Probabilities float32[N, C] of uint8[N, height, width, 3]."""
        self._settle(images)
        found = [self.scores(image) for image in images]
        return np.stack(found) if found else np.empty((0, self.class_count), np.float32)

    def scores(self, image: Images) -> npt.NDArray[np.float32]:
        """Probabilities float32[C] of one uint8[height, width, 3]."""
        return self._to_probabilities(self.raw(image))

    def choose_input_range(
        self, images: Images | Sequence[Images], labels: npt.NDArray[np.int64] | None = None
    ) -> InputRange:
        """Measure which input values the network wants, where nothing else says so; the choice is kept.

        Args:
            images: uint8[N, height, width, 3]; a few dozen that differ decide better than one.
            labels: int64[N], where they are known.
        """
        if self.input_range is not None:
            return self.input_range
        stack = np.stack(list(images))
        chosen = measure_input_range(self._answers, self._gray(stack) if self._shape.channels == 1 else stack, labels)
        self._keep(chosen, Normalization.from_range(chosen.low, chosen.high))
        self.notes = (*self.notes, chosen.sentence, *([chosen.doubt] if chosen.doubt else []))
        return chosen

    def _decide(self, given: tuple[float, float] | None, standard: Metadata, made: Provenance | None) -> None:
        if given is not None:
            self._keep(InputRange(*given, "given"), Normalization.from_range(*given))
        elif self._shape.dtype in ("uint8", "int8"):
            self._keep(InputRange(0.0, 255.0, "8-bit input"), None)
        elif made is not None:
            norm = RAW if made.input_range is None else Normalization.from_range(*made.input_range)
            self._keep(InputRange(*norm.range, "provenance"), norm)
        elif standard.normalization is not None:
            self._keep(InputRange(*standard.normalization.range, "metadata"), standard.normalization)

    def _keep(self, chosen: InputRange, normalization: Normalization | None) -> None:
        self.input_range = chosen
        self._table = pixel_table(self._shape.dtype, self._shape.scale, self._shape.zero_point, normalization)

    def _settle(self, images: Images) -> None:
        if self._table is None and len(images):
            spread = np.linspace(0, len(images) - 1, min(len(images), 64)).astype(np.int64)
            self.choose_input_range([images[i] for i in spread])

    def _answers(self, tensors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        shape = self._shape
        if shape.dtype != "float32":
            limits = np.iinfo(np.dtype(shape.dtype))
            numbers = np.clip(np.rint(tensors / shape.scale) + shape.zero_point, limits.min, limits.max)
            tensors = numbers.astype(shape.dtype)
        raws = [self._interpreter.run(np.ascontiguousarray(t[None])).reshape(-1) for t in tensors]
        return np.stack([self._to_probabilities(raw) for raw in raws])

    def _run(self, table: npt.NDArray[Any], image: Images) -> npt.NDArray[Any]:
        pixels = self._gray(image) if self._shape.channels == 1 else image
        return self._interpreter.run(apply_table(table, pixels)[None]).reshape(-1)

    @staticmethod
    def _gray(image: Images) -> Images:
        if image.ndim == 4:
            return np.stack([Classifier._gray(one) for one in image])
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)[..., None], np.uint8)

    def _to_probabilities(self, raw: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        output = self._interpreter.output
        if self._reals is not None:
            values = self._reals[raw.view(np.uint8)]
        else:
            values = dequantize(raw, output.scale, output.zero_point)
        return probabilities(values, self._shape.scores)


def _real_values(output: TensorSpec) -> npt.NDArray[np.float32] | None:
    """What each of the 256 numbers of an 8-bit output stands for, by its bits; None for other types."""
    if output.dtype not in ("uint8", "int8"):
        return None
    return dequantize(np.arange(256, dtype=np.uint8).view(output.dtype), output.scale, output.zero_point)


def _labels(standard: Metadata, made: Provenance | None, classes: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names = standard.labels
    if names is None and made is not None and made.data.get("class_names"):
        names = tuple(made.data["class_names"])
    numbers = tuple(str(i) for i in range(classes))
    if names is None:
        return numbers, ()
    if len(names) != classes:
        line = f"the file names {len(names)} labels for {classes} classes; class numbers are given instead"
        return numbers, (line,)
    return names, ()
