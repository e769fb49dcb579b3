"""Counts what one inference of a network costs as an int8 model, layer by layer, without building it.

The shapes follow the layers of Keras and the operators of TFLite; batch normalizations and ReLUs fold into the
convolution in front of them, as in the converter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgeclf.artifact.graph_bounds import peak_of_steps
from edgeclf.records import Record

_BYTES_A_CHANNEL = 12
"""Of a file, for each output channel: the bias, and the scales of kernel and bias."""
_BYTES_A_ZERO_POINT = 8
"""Of a file, for each channel of the different numbers of channels: zero points are written once for each number."""
_BYTES_A_TENSOR = 60
"""Of a file, for each tensor and the operator that writes it."""
_BYTES_A_FILE = 7_000
"""Of a file: labels, metadata, provenance and samples. The sum lies 1 to 5 % below files of `compress` with ten classes
(ResNet-8, MobileNetV1 0.25 and 0.5, MobileNetV2 1.0), up to 4.4 kB of which are what is fitted for unknown images."""

Shape = tuple[int, ...]
"""Height, width and channels of maps, or channels alone."""


class UncountableError(ValueError):
    """A layer that is not known here, or one in a way that is not."""


@dataclass(frozen=True)
class Cost(Record):
    """What one inference costs.

    Attributes:
        macs: multiply-accumulates of convolutions, dense layers and matrix products.
        parameters: weights and biases, batch normalizations folded.
        size_bytes: of the int8 file; an estimate.
        activation_bytes: of the int8 tensors that are alive at the same time, at most; a lower bound of the arena.
    """

    macs: int
    parameters: int
    size_bytes: int
    activation_bytes: int


@dataclass(frozen=True)
class Traced:
    """A tensor of a network that is counted.

    Args:
        number: of the step that computes it.
        sizes: height, width and channels, or what else it has, without the batch.
    """

    number: int
    sizes: Shape

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Its shape as a builder sees that of a Keras tensor, the batch in front."""
        return None, *self.sizes

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.sizes[-1]

    @property
    def rank(self) -> int:
        """Number of axes, without the batch."""
        return len(self.sizes)


@dataclass(frozen=True)
class _Step:
    inputs: tuple[int, ...]
    elements: int
    macs: int
    weights: int
    channels: int
    foldable: bool


class CostLedger:
    """What was counted so far. Every method adds one operator and returns its output."""

    def __init__(self) -> None:
        self._steps: list[_Step] = []

    def input(self, height: int, width: int, channels: int = 3) -> Traced:
        """Add the image."""
        return self.add((), (height, width, channels))

    def add(
        self,
        inputs: Sequence[Traced],
        shape: Shape,
        *,
        macs: int = 0,
        weights: int = 0,
        channels: int = 0,
        foldable: bool = False,
    ) -> Traced:
        """Add an operator.

        Args:
            inputs: what it reads.
            shape: of its output.
            macs: multiply-accumulates.
            weights: elements of its kernel.
            channels: output channels that have a bias.
            foldable: a normalization or ReLU behind it becomes part of it.

        Raises:
            UncountableError: the output is empty.
        """
        if min(shape, default=0) < 1:
            raise UncountableError(f"a layer has an output of the shape {list(shape)}")
        step = _Step(tuple(x.number for x in inputs), math.prod(shape), macs, weights, channels, foldable)
        self._steps.append(step)
        return Traced(len(self._steps) - 1, shape)

    def convolution(
        self, x: Traced, filters: int, kernel: Shape, stride: Shape, padding: str, groups: int = 1
    ) -> Traced:
        """Add a convolution with its bias."""
        height, width = window(x, kernel, stride, padding)
        if x.channels % groups or filters % groups:
            raise UncountableError(f"{x.channels} channels cannot be divided into {groups} groups")
        weights = kernel[0] * kernel[1] * x.channels // groups * filters
        return self.add(
            [x],
            (height, width, filters),
            macs=height * width * weights,
            weights=weights,
            channels=filters,
            foldable=True,
        )

    def depthwise(self, x: Traced, multiplier: int, kernel: Shape, stride: Shape, padding: str) -> Traced:
        """Add a depthwise convolution with its bias."""
        height, width = window(x, kernel, stride, padding)
        filters = x.channels * multiplier
        weights = kernel[0] * kernel[1] * filters
        return self.add(
            [x],
            (height, width, filters),
            macs=height * width * weights,
            weights=weights,
            channels=filters,
            foldable=True,
        )

    def dense(self, x: Traced, units: int) -> Traced:
        """Add a dense layer with its bias, over the last axis."""
        weights, shape = x.channels * units, (*x.sizes[:-1], units)
        macs = math.prod(x.sizes[:-1]) * weights
        return self.add([x], shape, macs=macs, weights=weights, channels=units, foldable=True)

    def pool(self, x: Traced, kernel: Shape, stride: Shape, padding: str) -> Traced:
        """Add a pooling."""
        return self.add([x], (*window(x, kernel, stride, padding), x.channels))

    def normalize(self, x: Traced) -> Traced:
        """Add a batch normalization: nothing where it folds, else a product and a sum."""
        if self._steps[x.number].foldable:
            return x
        scaled = self.add([x], x.sizes, weights=x.channels)
        return self.add([scaled], x.sizes, weights=x.channels, foldable=True)

    def activate(self, x: Traced, folds: bool) -> Traced:
        """Add an activation function; `folds`: it becomes part of the operator in front of it, as ReLU does."""
        step = self._steps[x.number]
        if not (folds and (step.foldable or len(step.inputs) > 1)):
            return self.add([x], x.sizes)
        self._steps[x.number] = _Step(step.inputs, step.elements, step.macs, step.weights, step.channels, False)
        return x

    def cost_of(self, output: Traced) -> Cost:
        """Sum up what `output` needs."""
        needed, waiting = {output.number}, [output.number]
        while waiting:
            found = [number for number in self._steps[waiting.pop()].inputs if number not in needed]
            needed.update(found)
            waiting.extend(found)
        steps = {number: self._steps[number] for number in sorted(needed)}
        weights = sum(step.weights for step in steps.values())
        channels = sum(step.channels for step in steps.values())
        zero_points = sum({step.channels for step in steps.values()})
        tensors = sum(3 if step.weights else 1 for step in steps.values())
        alive = [(step.inputs, (number,)) for number, step in steps.items()]
        return Cost(
            macs=sum(step.macs for step in steps.values()),
            parameters=weights + channels,
            size_bytes=weights
            + channels * _BYTES_A_CHANNEL
            + zero_points * _BYTES_A_ZERO_POINT
            + tensors * _BYTES_A_TENSOR
            + _BYTES_A_FILE,
            activation_bytes=peak_of_steps(
                alive, {number: step.elements for number, step in steps.items()}, [output.number]
            ),
        )


def window(x: Traced, kernel: Shape, stride: Shape, padding: str) -> tuple[int, int]:
    """Compute height and width behind a sliding window.

    Raises:
        UncountableError: `x` are no maps, or the padding is of another kind.
    """
    if x.rank != 3 or padding not in ("same", "valid"):
        raise UncountableError(f"a window over the shape {list(x.sizes)} with the padding {padding!r}")
    sides = zip(x.sizes[:2], kernel, stride, strict=True)
    height, width = (-(-side // step) if padding == "same" else (side - size) // step + 1 for side, size, step in sides)
    return height, width
