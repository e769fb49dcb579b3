"""Decides how pixels enter a model: from its file, or from what the user gives. What neither knows is measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeclf.artifact.classifier_shape import ClassifierShape
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import NORMALIZATIONS, RAW, Normalization
from edgeclf.artifact.pixels import pixel_table
from edgeclf.errors import InputError
from edgeclf.records import Record

_FEWEST_LEVELS = 64
"""Values of an 8-bit input that pixel values must differ in at least: fewer, and what was given cannot be meant."""
REMEDY = "--normalize NAME or MEAN/STD overrules it"


@dataclass(frozen=True)
class InputRange(Record):
    """How pixels enter a network, and where that is known from.

    Attributes:
        normalization: what happens to them.
        source: where it comes from: `given`, `provenance`, `metadata`, `network` (it scales inside), `8-bit input`,
            `measured`, or `assumed`.
        scores: of a measurement, by candidate.
        doubt: a sentence where a measurement met what it should not have; else empty.
        decided: False where a measurement did not decide between the candidates, or there was none; then
            `normalization` is the most common one of those that remain.
        remaining: the candidates that a measurement did not rule out, where there are several.
        low: what pixel value 0 becomes; None where a pair of numbers cannot say it.
        high: what 255 becomes.
    """

    normalization: Normalization
    source: str
    scores: dict[str, float] | None = None
    doubt: str = ""
    decided: bool = True
    remaining: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        low, high = self.normalization.pair or (None, None)
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    @property
    def pair(self) -> tuple[float, float] | None:
        """What pixel values 0 and 255 become; None where a pair of numbers cannot say it."""
        return self.normalization.pair

    @property
    def sentence(self) -> str:
        """One line for the user."""
        if self.low is not None:
            line = f"pixels enter as {self.low:g} to {self.high:g}"
        else:
            line = f"pixels enter as {self.normalization.text} has them"
        if self.scores is None and self.decided:
            return f"{line} ({self.source})"
        figures = ", ".join(f"{name} {score:.3f}" for name, score in (self.scores or {}).items())
        scores = f"; scores: {figures}" if figures else ""
        if self.decided:
            return f"{line} ({self.source}){scores}; {REMEDY}"
        why = f" between {', '.join(self.remaining)}" if self.remaining else ""
        return f"{line}: assumed, not decided{why}{scores}; {REMEDY}"

    @property
    def notes(self) -> tuple[str, ...]:
        """The lines that a user should see: of a measurement all, else none."""
        if self.scores is None and self.decided:
            return ()
        return (self.sentence, *([self.doubt] if self.doubt else []))


@dataclass(frozen=True)
class Refusal:
    """Why a model does not take a normalization.

    Attributes:
        name: of its file.
        reason: a predicate, such as `takes gray pictures: ...`.
        remedy: what to do; may be empty.
    """

    name: str
    reason: str
    remedy: str = "leave --normalize and --input-range out"

    @property
    def text(self) -> str:
        """One line for the user."""
        return f"{self.name} {self.reason}" + (f"; {self.remedy}" if self.remedy else "")


@dataclass(frozen=True)
class KnownInput:
    """How pixels enter a model whose file, or whose user, knows it.

    Attributes:
        range: the normalization, and where it comes from.
        applied: what the tensor is made with; None: an 8-bit input takes the pixels as they are.
        notes: what users should know about it, a line each.
    """

    range: InputRange
    applied: Normalization | None
    notes: tuple[str, ...] = ()


def resolve_input_range(file: ModelFile, given: Normalization | None = None) -> KnownInput | None:
    """Decide how pixels enter a model, from its file and from what was given.

    One rule for every command: a model of edgeclf's own knows its input from its provenance, and refuses another; what
    is given must be equal within one step of a pixel value. To a model from elsewhere, what is given is applied: it
    goes before the metadata, which other programs wrote, and before the quantization of an 8-bit input, which says what
    numbers the tensor can hold and not how pixels become them; it is refused where such a tensor cannot hold it.

    Args:
        file: the model.
        given: how pixels enter it according to the user; None: not given.

    Returns:
        None where neither the file nor the user knows it, and it has to be measured.

    Raises:
        InputError: the model refuses what is given, see `find_refusal`.
    """
    shape, made = file.shape, file.provenance
    eight_bit = shape.dtype in ("uint8", "int8")
    if given is not None and (refusal := find_refusal(file, given)):
        raise InputError(refusal.text)
    if made is not None:
        if eight_bit:
            return KnownInput(InputRange(RAW, "8-bit input"), None)
        norm = RAW if made.input_range is None else Normalization.from_range(*made.input_range)
        return KnownInput(InputRange(norm, "provenance"), norm)
    if eight_bit:
        return _given_to_8_bit(shape, given) if given is not None else _read_quantization(shape)
    if given is not None:
        return KnownInput(InputRange(given, "given"), given)
    found = file.metadata.normalization
    if found is None or (shape.channels == 1 and len(found.mean) > 1):
        return None
    return KnownInput(InputRange(found, "metadata"), found)


def find_refusal(file: ModelFile, given: Normalization) -> Refusal | None:
    """Return why a model does not take what is given; None: it does."""
    shape, made = file.shape, file.provenance
    eight_bit = shape.dtype in ("uint8", "int8")
    shown = given.text if given.pair is None else "{:g},{:g}".format(*given.pair)
    if shape.channels == 1 and (len(given.mean) > 1 or given.channel_order != "RGB"):
        reason = f"takes gray pictures: expected one mean and one std, such as raw or 0..1, got {shown}"
        return Refusal(file.name, reason, remedy="")
    known = {}
    if made is not None:
        known["provenance"] = RAW if made.input_range is None else Normalization.from_range(*made.input_range)
    if eight_bit:
        known[f"quantization of its {shape.dtype} input"] = _quantized_input(shape)
    if not known or any(given.agrees_with(one) for one in known.values()):
        return None
    origin, expected = next(iter(known.items()))
    low, high = expected.limits
    reason = f"knows its input: expected {low:g},{high:g} ({origin}), got {shown}"
    if made is not None or shape.scale <= 0:  # without a scale there is a CAST inside the graph
        return Refusal(file.name, reason)
    table = pixel_table(shape.dtype, shape.scale, shape.zero_point, given)
    left = max(len(np.unique(column)) for column in table.reshape(256, -1).T)
    if left >= _FEWEST_LEVELS:
        return None
    return Refusal(file.name, f"{reason}, which leaves {left} of 256 values apart")


def _quantized_input(shape: ClassifierShape) -> Normalization:
    """Return the normalization that pixels fed as they are to an 8-bit input amount to."""
    scale = shape.scale if shape.scale > 0 else 1.0
    lowest = shape.zero_point - int(np.iinfo(np.dtype(shape.dtype)).min)
    return Normalization((float(lowest),), (1 / scale,))


_USUAL_SPANS = ("0..1", "tf", "raw", "torch", "caffe")
_SPAN_TOLERANCE = 0.02
"""Of the span: a quantization range comes from calibration images, whose darkest and brightest pixels need not be 0 and
255."""


def _read_quantization(shape: ClassifierShape) -> KnownInput:
    """Decide how pixels enter an 8-bit input of a model from elsewhere by the numbers that its quantization spans.

    Where that is the span of one of the usual scalings, pixel values are the tensor's own bytes, as MediaPipe feeds
    them. The channels of torch and caffe span different numbers, so that one quantization for all of them cannot stand
    for it: they are applied.
    """
    if shape.scale <= 0:  # a CAST inside the graph
        return KnownInput(InputRange(RAW, "8-bit input"), None)
    low, high = _quantized_input(shape).limits
    tolerance = _SPAN_TOLERANCE * (high - low)
    span = f"the {shape.dtype} input of this file spans {low:g} to {high:g}"
    for name in _USUAL_SPANS:
        usual = NORMALIZATIONS[name]
        if all(abs(a - b) <= tolerance for a, b in zip(usual.limits, (low, high), strict=True)):
            if usual.pair is not None or shape.channels != 3:
                return KnownInput(InputRange(RAW, "8-bit input"), None)
            line = f"{span}, as {name} scales pixels (see --normalize): assumed; {REMEDY}"
            return KnownInput(InputRange(usual, "assumed", decided=False), usual, (line,))
    line = (
        f"{span}, which is none of the usual ranges (0..1, -1..1, 0..255, torch, caffe); pixel values are its bytes: "
        "assumed; if labels are wrong, give with --normalize how pixels enter the network"
    )
    return KnownInput(InputRange(RAW, "assumed", decided=False), None, (line,))


def _given_to_8_bit(shape: ClassifierShape, given: Normalization) -> KnownInput:
    quantized = _quantized_input(shape)
    if given.agrees_with(quantized):
        return KnownInput(InputRange(RAW, "8-bit input"), None)
    low, high = quantized.limits
    notes: tuple[str, ...] = ()
    step, (least, most) = (high - low) / 255 * 1.5, given.limits
    if least < low - step or most > high + step:
        notes = (
            f"{given.text} has numbers from {least:g} to {most:g}, but the {shape.dtype} input of this file holds "
            f"{low:g} to {high:g}: what is beyond is cut off",
        )
    return KnownInput(InputRange(given, "given"), given, notes)
