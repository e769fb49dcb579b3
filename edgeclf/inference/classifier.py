"""Labels images with any TFLite image classifier, made by edgeclf or not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.class_names import GivenLabels, describe_single_output, name_classes
from edgeclf.artifact.input_fit import resolve_fit
from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.none_class import UNKNOWN, hide_none_classes
from edgeclf.artifact.normalization import Normalization, resolve_normalization
from edgeclf.artifact.pixels import apply_table, pixel_table
from edgeclf.errors import ImageError, RunFailedError
from edgeclf.image.shape import InputShape
from edgeclf.image.views import average_views, cut_views
from edgeclf.inference.frame_choice import FrameChoice
from edgeclf.inference.images import ImageLike, is_several, load_pixels, to_gray
from edgeclf.inference.input_range import InputRange, resolve_input_range
from edgeclf.inference.prediction import LabelScore, Prediction, check_top, choose_rule
from edgeclf.inference.range_measurement import assume_input_range, measure_input_range
from edgeclf.inference.score_reader import ScoreReader, Scores

Images = npt.NDArray[np.uint8]
_NO_NUMBERS = "what the model computes for it is NaN or infinite; a wrong --normalize is a common reason"
__all__ = ["RANGE_IMAGES", "Classifier", "LabelScore", "Prediction"]

RANGE_IMAGES = 64
"""Most images that an input range is measured on."""


class Classifier:
    """A model file that labels images; a `Predictor`.

        Classifier("cifar10").predict("cat.jpg").label

    Args:
        model: a file, a run folder, a name from the zoo, or a file that is read already.
        runtime: name of the engine: `litert` or another key of `edgeclf.inference.engine.ENGINES`.
        threads: number of threads of the interpreter.
        normalize: how pixels enter the network: a name (`caffe`, `torch`, `tf`, `0..1`, `raw`), `LO..HI`, mean and std
            such as "123.7,116.3,103.5/58.4,57.1,57.4", or a `Normalization`. Needed only for models from elsewhere;
            without it the file's metadata decides, else a measurement on the images. One of edgeclf's own refuses
            another than its own.
        input_range: the same as a pair, what pixel values 0 and 255 become, such as (0, 1).
        labels: class names in the order of the outputs, or a file with one a line; None: those that the file carries,
            else those of `labels.txt` beside it, else numbers.
        fit: how pictures of another shape come to the input of a model from elsewhere: `stretch` (as other clients do),
            `crop` or `pad` (see `edgeclf.image.shape`). One of edgeclf's own knows it, and refuses another.
        threshold: probability below which an image is `unknown`; None: that of the file, if it has one; 0: a class is
            always named, whatever the features are like.

    Attributes:
        path: the model file.
        labels: class names in index order, `none` included (see `artifact.none_class`).
        label_source: where they are from: `given`, `metadata`, `provenance`, `beside` or `numbers`.
        height: of the input, pixels.
        width: likewise; `size` is both.
        input_shape: the same, with the fit.
        class_count: number of classes.
        runtime: name of the engine.
        runtime_version: of the engine's package.
        integrity: `verified` or `unverified`.
        input_range: how pixels enter the network; None: not known yet, it will be measured.
        rule: when an image is unknown.
        notes: warnings about how this file is read, a line each; more of them where the input range is chosen.

    Raises:
        ModelError: no such model, it is damaged, or it is no image classifier.
        InputError: the model knows another input range or fit, both keywords for a range are given, the labels do not
            fit, or the engine cannot be used.
    """

    def __init__(
        self,
        model: str | Path | ModelFile,
        *,
        runtime: str = "litert",
        threads: int = 1,
        normalize: str | Normalization | None = None,
        input_range: tuple[float, float] | None = None,
        labels: GivenLabels | None = None,
        fit: str | None = None,
        threshold: float | None = None,
    ) -> None:
        given = resolve_normalization(normalize, input_range)
        file = model if isinstance(model, ModelFile) else ModelFile.read(locate_model(model))
        self.path = file.path or Path(file.name)
        self.integrity = file.integrity
        self._shape = file.shape
        self.height, self.width, self.class_count = file.shape.height, file.shape.width, file.shape.classes
        self.size = (self.height, self.width)
        self.input_shape = InputShape(self.height, self.width, resolve_fit(file, fit))
        named = name_classes(file, labels)
        self.labels, self.label_source = named.names, named.source
        self._shown = hide_none_classes(named.names)
        self._reader = self._open(file, runtime, threads)
        self.rule = choose_rule(threshold, self._reader.fitted)
        self.runtime, self.runtime_version = runtime, self._reader.session.engine_version
        described = (*named.notes, *describe_single_output(file, self.labels), *self._reader.notes)
        self._file_notes = (*file.metadata_notes, *described)
        self.input_range: InputRange | None = None
        self._table: npt.NDArray[Any] | None = None
        self._channel_order = "RGB"
        self._frame_choice: FrameChoice | None = None
        known = resolve_input_range(file, given)
        self._knows = known is not None
        self._range_notes: tuple[str, ...] = () if known is None else known.notes
        if known is not None:
            self._set_input_range(known.range, known.applied)

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings about how this file is read, a line each; they change when the input range is chosen."""
        return (*self._file_notes, *self._range_notes)

    @overload
    def predict(  # type: ignore[overload-overlap]  # a text is a sequence of texts too, and one path
        self, image: ImageLike, top: int = 5
    ) -> Prediction: ...
    @overload
    def predict(self, image: Iterable[ImageLike], top: int = 5) -> tuple[Prediction, ...]: ...
    def predict(self, image: ImageLike | Iterable[ImageLike], top: int = 5) -> Prediction | tuple[Prediction, ...]:
        """Label one image, or several.

        Args:
            image: a file or an http address, the bytes of an image file, uint8[H, W, 3] RGB pixels of any size, or a
                PIL image; of a model of objects see `load_views`. A list, a tuple or an iterator gives a tuple of
                predictions. Files and PIL images are turned by their EXIF orientation; pixels are taken as they are.
            top: how many classes to return at most, 1 or more.

        Raises:
            ImageError: an image cannot be read, or what the model computes for it is NaN or infinite.
        """
        if is_several(image):
            pixels = [load_pixels(one, self.input_shape) for one in image]
            self._ensure_input_range(pixels)
            return tuple(self._predict(one, top) for one in pixels)
        return self._predict(load_pixels(image, self.input_shape), top)

    def _predict(self, pixels: Images, top: int) -> Prediction:
        ranking, scores, _ = self._compute(pixels)
        novelty = self._reader.novelty()
        if not np.isfinite(scores).all():
            raise ImageError(_NO_NUMBERS)
        # by index among equals, as MediaPipe does
        order = np.argsort(-ranking, kind="stable")
        best = int(order[0])
        label = UNKNOWN if self.rule.refuses(float(scores[best]), novelty) else self._shown[best]
        shown = tuple(LabelScore(self._shown[i], int(i), float(scores[i])) for i in order[: check_top(top)])
        return Prediction(shown, label, novelty)

    def _compute(self, pixels: Images) -> Scores:
        """Compute the scores of one image; of several views the means over them."""
        if not self.input_shape.views or len(pixels) == self.height:
            return self._reader.score(self.raw(pixels))
        views = cut_views(pixels[None], self.height)
        mean = average_views(np.stack([self._reader.probabilities(self.raw(view)) for view in views]), 1)[0]
        return Scores(mean, mean, None)

    def raw(self, image: Images) -> npt.NDArray[Any]:
        """Compute the graph's raw output for uint8[height, width, 3] pixels of the model's own size.

        Returns:
            the output's own type: `[C]`, or `[1]` where one value stands for two classes.

        Raises:
            ImageError: the image has another shape or type.
        """
        if image.shape != (self.height, self.width, 3) or image.dtype != np.uint8:
            expected = f"uint8[{self.height}, {self.width}, 3]"
            raise ImageError(f"expected {expected}, got {image.dtype}{list(image.shape)}")
        if self._table is None:
            self._take(assume_input_range())
        elif self._frame_choice is not None:
            self._decide_by(image)
        assert self._table is not None
        pixels = to_gray(image) if self._shape.channels == 1 else image
        tensor = apply_table(self._table, pixels, self._channel_order)[None]
        return self._reader.session.run(self._shape.arrange(tensor)).reshape(-1)

    def top1(self, images: Images) -> npt.NDArray[np.int64]:
        """Find the best class of each image, int64[N], as `top1_with_confidence` does."""
        return self.top1_with_confidence(images)[0]

    def top1_with_confidence(
        self, images: Images, first: int = 0
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Find the best class of uint8[N, height, width, 3], counted from `first` in messages; ties go to the lowest.

        Returns:
            int64[N]; float32[N], as `predict` shows it; float32[N], of the output itself, before what was fitted.

        Raises:
            RunFailedError: what the model computes for one of them is NaN or infinite.
        """
        self._ensure_input_range(images)
        found, shown = np.empty(len(images), np.int64), np.empty(len(images), np.float32)
        plain = np.empty_like(shown)
        for position, image in enumerate(images):
            scores = self._compute(image)
            if not self._reader.is_8_bit and not np.isfinite(scores.shown).all():
                raise RunFailedError(f"{self.path.name}, image {first + position}: {_NO_NUMBERS}")
            found[position] = best = np.argmax(scores.ranking)
            shown[position], plain[position] = scores.shown[best], self._reader.unfitted(scores)[best]
        return found, shown, plain

    def probabilities(self, images: Images, *, tempered: bool = True) -> npt.NDArray[np.float32]:
        """Compute the probabilities float32[N, C] of uint8[N, height, width, 3]; not `tempered`: at temperature 1."""
        self._ensure_input_range(images)
        found = [self.scores(image, tempered=tempered) for image in images]
        return np.stack(found) if found else np.empty((0, self.class_count), np.float32)

    def scores(self, image: Images, *, tempered: bool = True) -> npt.NDArray[np.float32]:
        """Compute the probabilities float32[C] of one uint8[height, width, 3], or their mean over several views."""
        found = self._compute(image)
        return found.shown if tempered else self._reader.untempered(found)

    def novelty(self) -> float | None:
        """Return how far the features of the image that was classified last lie from known ones, 1 at the limit.

        None: the file has no such check.
        """
        return self._reader.novelty()

    def choose_input_range(
        self, images: Images | Sequence[Images], labels: npt.NDArray[np.int64] | None = None
    ) -> InputRange:
        """Measure which input values the network expects, unless they are known; the choice is kept.

        Where the images do not decide it, the most common normalization is taken, and `notes` say so.

        Args:
            images: uint8[N, height, width, 3]; a few dozen that differ decide better than one.
            labels: int64[N], where they are known: the index of the right output, -1 where there is none.
        """
        if self.input_range is not None and not self._is_open:
            return self.input_range
        views = [cut_views(image[None], self.height) for image in images]  # of each as many as it has
        labels = labels if labels is None else np.repeat(labels, [len(found) for found in views])
        stack = np.stack([to_gray(one) if self._shape.channels == 1 else one for found in views for one in found])
        return self._take(measure_input_range(self._predict_tensors, stack, labels))

    def choose_over_frames(self) -> None:
        """Classify with the most common normalization where none is known, and choose one over the frames to come.

        `notes` say that it is not decided, and what was chosen after that.
        """
        if self.input_range is None:
            self._take(assume_input_range())
            self._frame_choice = FrameChoice()

    def _decide_by(self, frame: Images) -> None:
        """Look at a frame for the choice over frames, and make it once there are enough."""
        assert self._frame_choice is not None
        pixels = to_gray(frame) if self._shape.channels == 1 else frame
        chosen = self._frame_choice.add(pixels, self._predict_tensors)
        if chosen is not None:
            self._frame_choice = None
            self._take(chosen)

    @property
    def _is_open(self) -> bool:
        """Whether there is something to measure: neither the file nor the user knows, and nothing was measured yet."""
        return not self._knows and (self.input_range is None or self.input_range.scores is None)

    def _take(self, chosen: InputRange) -> InputRange:
        self._set_input_range(chosen, chosen.normalization)
        self._range_notes = chosen.notes
        return chosen

    def _set_input_range(self, chosen: InputRange, normalization: Normalization | None) -> None:
        self.input_range = chosen
        self._channel_order = "RGB" if normalization is None else normalization.channel_order
        self._table = pixel_table(self._shape.dtype, self._shape.scale, self._shape.zero_point, normalization)

    def _ensure_input_range(self, images: Images | Sequence[Images]) -> None:
        if self._is_open and self._frame_choice is None and len(images):
            spread = np.linspace(0, len(images) - 1, min(len(images), RANGE_IMAGES)).astype(np.int64)
            self.choose_input_range([images[i] for i in spread])

    def _predict_tensors(self, tensors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Compute the probabilities float32[N, C] of float32[N, H, W, channels], quantized as the input is."""
        shape = self._shape
        numbers: npt.NDArray[Any] = tensors
        if shape.dtype != "float32":
            limits = np.iinfo(np.dtype(shape.dtype))
            rounded = np.rint(tensors / shape.scale) + shape.zero_point
            numbers = np.clip(rounded, limits.min, limits.max).astype(shape.dtype)
        arranged = shape.arrange(numbers)
        raws = [self._reader.session.run(np.ascontiguousarray(one[None])).reshape(-1) for one in arranged]
        return np.stack([self._reader.plain_probabilities(raw) for raw in raws])

    def _open(self, file: ModelFile, runtime: str, threads: int) -> ScoreReader:
        return ScoreReader(file, runtime, threads)
