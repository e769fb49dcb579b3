"""Labels images with any TFLite image classifier, made by edgeclf or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.pixels import Normalization, apply_table, pixel_table
from edgeclf.errors import ImageError, RunFailedError
from edgeclf.image.decoding import load_image, resize
from edgeclf.inference.engine import TensorSpec, find_engine
from edgeclf.inference.input_range import InputRange, measure_input_range, resolve_input_range
from edgeclf.inference.quantization import dequantize, to_probabilities
from edgeclf.records import Record

Images = npt.NDArray[np.uint8]

_NO_NUMBERS = "what the model computes for it is NaN or infinite; a wrong --input-range is a common reason"
RANGE_IMAGES = 64
"""Most images that an input range is measured on."""


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
    """A model file that labels images; a `Predictor`.

        Classifier("cifar10").predict("cat.jpg").labels[0].label

    Args:
        model: a file, a run folder, a name from the zoo, or a file that is read already.
        runtime: name of the engine: `litert` or another key of `edgeclf.inference.engine.ENGINES`.
        threads: number of threads of the interpreter.
        input_range: what the network expects pixel values 0 and 255 to become, such as (0, 1). Needed only for networks
            from elsewhere; without it the file's metadata decides, else a measurement on the first images. A model that
            knows its range (one of edgeclf's own, or one with an 8-bit input) refuses another.

    Attributes:
        path: the model file.
        labels: class names in index order.
        height: of the input, pixels.
        width: of the input, pixels.
        size: height and width.
        class_count: number of classes.
        runtime: name of the engine.
        runtime_version: of the engine's package.
        integrity: `verified` or `unverified`.
        input_range: what pixel values 0 and 255 become; None: not known yet, it will be measured.
        notes: warnings about how this file is read, a line each.

    Raises:
        ModelError: no such model, it is damaged, or it is no image classifier.
        InputError: the model knows another input range, or the engine cannot be used.
    """

    def __init__(
        self,
        model: str | Path | ModelFile,
        *,
        runtime: str = "litert",
        threads: int = 1,
        input_range: tuple[float, float] | None = None,
    ) -> None:
        file = model if isinstance(model, ModelFile) else ModelFile.read(locate_model(model))
        self.path = file.path or Path(file.name)
        self.integrity = file.integrity
        self._shape = file.shape
        self.height, self.width, self.class_count = file.shape.height, file.shape.width, file.shape.classes
        self.size = (self.height, self.width)
        self._session = find_engine(runtime).open(file, threads=threads)
        self.runtime, self.runtime_version = runtime, self._session.engine_version
        self.labels, notes = _labels(file)
        self.notes: tuple[str, ...] = (*file.metadata_notes, *notes)
        self._reals = _real_values(self._session.output)
        self.input_range: InputRange | None = None
        self._table: npt.NDArray[Any] | None = None
        resolved = resolve_input_range(file, input_range)
        if resolved is not None:
            self._set_input_range(*resolved)

    def predict(self, image: str | Path | Images, top: int = 5) -> Prediction:
        """Label one image.

        Args:
            image: a file, or uint8[H, W, 3] RGB pixels of any size.
            top: how many classes to return at most.

        Raises:
            ImageError: the image cannot be read, or what the model computes for it is NaN or infinite.
        """
        if isinstance(image, (str, Path)):
            pixels = load_image(image, self.height, self.width)
        else:
            pixels = resize(image, self.height, self.width)
        raw = self.raw(pixels)
        scores = self._to_probabilities(raw)
        if not np.isfinite(scores).all():
            raise ImageError(_NO_NUMBERS)
        # ordered by the raw numbers, and by index among equals, as MediaPipe does
        order = np.argsort(-raw.astype(np.float64), kind="stable")[:top]
        return Prediction(tuple(LabelScore(self.labels[i], int(i), float(scores[i])) for i in order))

    def raw(self, image: Images) -> npt.NDArray[Any]:
        """Compute the graph's raw output `[C]` for uint8[height, width, 3] pixels of the model's own size.

        Raises:
            ImageError: the image has another shape or type.
        """
        if image.shape != (self.height, self.width, 3) or image.dtype != np.uint8:
            expected = f"uint8[{self.height}, {self.width}, 3]"
            raise ImageError(f"expected {expected}, got {image.dtype}{list(image.shape)}")
        if self._table is None:
            self.choose_input_range(image[None])
        assert self._table is not None
        pixels = _gray(image) if self._shape.channels == 1 else image
        return self._session.run(apply_table(self._table, pixels)[None]).reshape(-1)

    def top1(self, images: Images) -> npt.NDArray[np.int64]:
        """Find the best class of each of uint8[N, height, width, 3]: int64[N]; ties go to the lowest index.

        Raises:
            RunFailedError: what the model computes for one of them is NaN or infinite.
        """
        self._ensure_input_range(images)
        found = np.empty(len(images), np.int64)
        for position, image in enumerate(images):
            raw = self.raw(image)
            if self._reals is None and not np.isfinite(raw).all():
                raise RunFailedError(f"{self.path.name}, image {position}: {_NO_NUMBERS}")
            found[position] = np.argmax(raw)
        return found

    def probabilities(self, images: Images) -> npt.NDArray[np.float32]:
        """Compute the probabilities float32[N, C] of uint8[N, height, width, 3]."""
        self._ensure_input_range(images)
        found = [self.scores(image) for image in images]
        return np.stack(found) if found else np.empty((0, self.class_count), np.float32)

    def scores(self, image: Images) -> npt.NDArray[np.float32]:
        """Compute the probabilities float32[C] of one uint8[height, width, 3]."""
        return self._to_probabilities(self.raw(image))

    def choose_input_range(
        self, images: Images | Sequence[Images], labels: npt.NDArray[np.int64] | None = None
    ) -> InputRange:
        """Measure which input values the network expects, unless they are known; the choice is kept.

        Args:
            images: uint8[N, height, width, 3]; a few dozen that differ decide better than one.
            labels: int64[N], where they are known.
        """
        if self.input_range is not None:
            return self.input_range
        stack = np.stack(list(images))
        if self._shape.channels == 1:
            stack = np.stack([_gray(image) for image in stack])
        chosen = measure_input_range(self._predict_tensors, stack, labels)
        self._set_input_range(chosen, Normalization.from_range(chosen.low, chosen.high))
        self.notes = (*self.notes, chosen.sentence, *([chosen.doubt] if chosen.doubt else []))
        return chosen

    def _set_input_range(self, chosen: InputRange, normalization: Normalization | None) -> None:
        self.input_range = chosen
        self._table = pixel_table(self._shape.dtype, self._shape.scale, self._shape.zero_point, normalization)

    def _ensure_input_range(self, images: Images) -> None:
        if self._table is None and len(images):
            spread = np.linspace(0, len(images) - 1, min(len(images), RANGE_IMAGES)).astype(np.int64)
            self.choose_input_range([images[i] for i in spread])

    def _predict_tensors(self, tensors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Compute the probabilities float32[N, C] of float32[N, H, W, channels], quantized as the input is."""
        shape = self._shape
        numbers: npt.NDArray[Any] = tensors
        if shape.dtype != "float32":
            limits = np.iinfo(np.dtype(shape.dtype))
            scaled = np.clip(np.rint(tensors / shape.scale) + shape.zero_point, limits.min, limits.max)
            numbers = scaled.astype(shape.dtype)
        raws = [self._session.run(np.ascontiguousarray(one[None])).reshape(-1) for one in numbers]
        return np.stack([self._to_probabilities(raw) for raw in raws])

    def _to_probabilities(self, raw: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        output = self._session.output
        if self._reals is not None:
            values = self._reals[raw.view(np.uint8)]
        else:
            values = dequantize(raw, output.scale, output.zero_point)
        return to_probabilities(values, self._shape.scores)


def _gray(image: Images) -> Images:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)[..., None], np.uint8)


def _real_values(output: TensorSpec) -> npt.NDArray[np.float32] | None:
    """Compute what each of the 256 numbers of an 8-bit output stands for, by its bits; None for other types."""
    if output.dtype not in ("uint8", "int8"):
        return None
    return dequantize(np.arange(256, dtype=np.uint8).view(output.dtype), output.scale, output.zero_point)


def _labels(file: ModelFile) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read the class names of a file, and a note where they do not fit."""
    names, classes = file.metadata.labels, file.shape.classes
    if names is None and file.provenance is not None and file.provenance.data.get("class_names"):
        names = tuple(file.provenance.data["class_names"])
    numbers = tuple(str(i) for i in range(classes))
    if names is None:
        return numbers, ()
    if len(names) != classes:
        line = f"the file names {len(names)} labels for {classes} classes; class numbers are given instead"
        return numbers, (line,)
    return names, ()
