"""Runs a model file and reads its scores: raw, as probabilities, and how far an image is from what the model knows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.fitted_probabilities import FeatureArrays, FittedProbabilities, read_arrays
from edgeclf.artifact.inner_scores import InnerScores
from edgeclf.artifact.model_file import ModelFile
from edgeclf.errors import DamagedModelError, InputError, ModelError
from edgeclf.inference.engine import Session, TensorSpec, find_engine
from edgeclf.inference.novelty import distances, fold
from edgeclf.inference.quantization import dequantize, share_ties, to_probabilities
from edgeclf.inference.tflite_session import TFLiteEngine, TFLiteSession

Floats = npt.NDArray[np.float32]


class Scores(NamedTuple):
    """What a model says of an image: what classes are ordered by, their probabilities, and the output itself.

    Of several views: the means of both, and None.
    """

    ranking: npt.NDArray[Any]
    shown: Floats
    raw: npt.NDArray[Any] | None


class ScoreReader:
    """A model that is ready to run, and what turns its output into probabilities.

    Args:
        file: the model.
        runtime: name of the engine.
        threads: of the interpreter.
        inner: tensors to read instead of those that the file's own record names; None: those.
        also_read: numbers of further computed tensors that `read_tensor` returns.

    Attributes:
        session: of the engine.
        fitted: what was fitted when the model was made, and is used here; None: nothing was, or this engine cannot read
            tensors inside of a graph.
        notes: on what of the file is not used here, one line each.
        shares_ties: whether classes that tie in the output have one probability (see `calibrate`); True unless set.

    Raises:
        ModelError: the model cannot be opened, or what was fitted does not go with its graph.
        InputError: the engine cannot be used.
    """

    def __init__(
        self,
        file: ModelFile,
        runtime: str = "litert",
        threads: int = 1,
        inner: InnerScores | None = None,
        also_read: Sequence[int] = (),
    ) -> None:
        engine = find_engine(runtime)
        fitted = None if inner is not None else read_fitted(file)
        self.notes: tuple[str, ...] = ()
        self.shares_ties = True
        self.fitted: FittedProbabilities | None = None
        self._inner: TFLiteSession | None = None
        self._features: FeatureArrays | None = None
        if fitted is not None:  # before the runtime follows what it names
            self._features = read_fitted_arrays(file, fitted)
        wanted = inner or (None if fitted is None else fitted.inner)
        if also_read and not isinstance(engine, TFLiteEngine):
            raise InputError(f"tensors inside of a model can be read with the runtime litert, not with {runtime}")
        indices = tuple(dict.fromkeys((*(() if wanted is None else wanted.tensors), *also_read)))
        if not indices or not isinstance(engine, TFLiteEngine):
            self.session: Session = engine.open(file, threads=threads)
            if fitted is not None:
                self.notes = (f"the fitted probabilities of this file need another runtime than {runtime}: not used",)
        else:
            self.session = self._inner = engine.open(file, threads=threads, also_read=indices)
            self.fitted = fitted
        if self.session.output.dtype != "float32" and not self.session.output.scale:
            raise ModelError(
                f"{file.name}: not an image classifier: expected an output that says what its "
                f"{self.session.output.dtype} numbers stand for, got one without a scale; export the model with an "
                "output of float32"
            )
        self._wanted, self._scores = wanted, file.shape.scores
        self._specs = {index: _spec(file, index) for index in indices}
        self._reals, self._name = _real_values(self.session.output), file.name

    @property
    def is_8_bit(self) -> bool:
        """Whether the output has 256 values, none of which is NaN or infinite."""
        return self._reals is not None

    def plain_probabilities(self, raw: npt.NDArray[Any]) -> Floats:
        """Compute what the output itself says: float32[C].

        Raises:
            ModelError: it has another size than the file states.
        """
        output = self.session.output
        self._check(raw)
        if self._reals is not None:
            values = self._reals[raw.view(np.uint8)]
        else:
            values = dequantize(raw, output.scale, output.zero_point)
        return to_probabilities(values, self._scores)

    def probabilities(self, raw: npt.NDArray[Any]) -> Floats:
        """Compute float32[C] of the image that ran last, by the fitted temperature where there is one."""
        if self.fitted is None:
            return self.plain_probabilities(raw)
        self._check(raw)
        return calibrate(self.logits(), raw, self.fitted.temperature, shares_ties=self.shares_ties)

    def _check(self, raw: npt.NDArray[Any]) -> None:
        stated = math.prod(self.session.output.shape)
        if raw.size != stated:
            raise ModelError(f"{self._name}: its output has {raw.size:,} numbers, the file says {stated:,}")

    def score(self, raw: npt.NDArray[Any]) -> Scores:
        """Compute the scores of the image that ran last."""
        scores = Scores(raw.astype(np.float64), self.probabilities(raw), raw)
        # raw numbers, as MediaPipe does; a single one stands for two classes
        return scores if len(raw) > 1 else scores._replace(ranking=self.unfitted(scores))

    def unfitted(self, scores: Scores) -> Floats:
        """Compute the probabilities float32[C] that the output itself says, before what was fitted."""
        if self.fitted is None or scores.raw is None:
            return scores.shown
        return self.plain_probabilities(scores.raw)

    def untempered(self, scores: Scores) -> Floats:
        """Compute the probabilities float32[C] at temperature 1, of the image that ran last."""
        if self.fitted is None or scores.raw is None:
            return scores.shown
        return calibrate(self.logits(), scores.raw, 1.0)

    def logits(self) -> Floats:
        """Read the logits of the image that ran last: float32[outputs]."""
        assert self._wanted is not None
        return self._read(self._wanted.logits)

    def features(self) -> Floats:
        """Read the features of the image that ran last: float32[D]."""
        assert self._wanted is not None
        assert self._wanted.features is not None
        return self._read(self._wanted.features)

    def read_tensor(self, index: int) -> Floats:
        """Read the real values of a tensor of `also_read` after the image that ran last: float32 of its shape."""
        return self._read(index).reshape(self._specs[index].shape)

    def novelty(self) -> float | None:
        """Compute how far the image that ran last is from known ones, 1 at the limit; None: the file has no check."""
        if self.fitted is None or self._features is None or self.fitted.features is None:
            return None
        space = self.fitted.features
        return float(distances(fold(self.features(), space.dimensions), self._features)) / space.limit

    def _read(self, index: int) -> Floats:
        assert self._inner is not None
        spec = self._specs[index]
        return dequantize(self._inner.read(index).reshape(-1), spec.scale, spec.zero_point)


def calibrate(logits: Floats, raw: npt.NDArray[Any], temperature: float, *, shares_ties: bool = True) -> Floats:
    """Compute probabilities float32[..., C] by temperature scaling, in the order of the model's own output.

    The output of an 8-bit model is coarser than its logits: classes that tie in it share their probability, so that the
    label and the order are those that any other client of the file sees.

    Args:
        logits: float32[..., C], or float32[..., 1]: that of the second of two classes.
        raw: the output for the same images, in any type.
        temperature: what the logits are divided by.
        shares_ties: False: they do not share it, and the order is that of the logits.
    """
    scaled = to_probabilities(np.asarray(logits / np.float32(temperature), np.float32), "logits")
    return share_ties(scaled, raw) if shares_ties and raw.shape[-1] > 1 else scaled


def read_fitted(file: ModelFile) -> FittedProbabilities | None:
    """Return what was fitted when the model was made; None: nothing.

    Raises:
        DamagedModelError: it cannot be read.
    """
    return None if file.provenance is None else file.provenance.probabilities


def read_fitted_arrays(file: ModelFile, fitted: FittedProbabilities) -> FeatureArrays | None:
    """Read the arrays of the feature space; None: there is none.

    Raises:
        DamagedModelError: they do not go with the graph.
    """
    try:
        return read_arrays(fitted, file.graph, file.shape.outputs)
    except DamagedModelError as error:
        raise DamagedModelError(f"{file.name}: {error}") from error


def _spec(file: ModelFile, index: int) -> TensorSpec:
    tensor = file.graph.tensors[index]
    return TensorSpec(tensor.name, tensor.shape, tensor.dtype, tensor.scale, tensor.zero_point)


def _real_values(output: TensorSpec) -> Floats | None:
    """Compute what each of the 256 numbers of an 8-bit output stands for, by its bits; None for other types."""
    if output.dtype not in ("uint8", "int8"):
        return None
    return dequantize(np.arange(256, dtype=np.uint8).view(output.dtype), output.scale, output.zero_point)
