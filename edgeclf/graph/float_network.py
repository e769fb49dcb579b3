"""Describes a float network and all that must travel with it from one compression step to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.normalization import Normalization
from edgeclf.errors import ModelError
from edgeclf.image.shape import STRETCH, InputShape


@dataclass(frozen=True)
class InputSpec:
    """What a network takes.

    Attributes:
        height: pixels.
        width: pixels.
        normalization: what happens to raw RGB before it enters the network, its channel order among it.
        fit: how pictures of another shape come to that size (see `edgeclf.image.shape`).
    """

    height: int
    width: int
    normalization: Normalization
    fit: str = STRETCH

    @property
    def shape(self) -> InputShape:
        """Size, and how pictures come to it."""
        return InputShape(self.height, self.width, self.fit)

    @property
    def scale_and_offset(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """What pixels are multiplied by and what is added: float64[1] each, or float64[3] where the channels differ."""
        mean, std = (np.asarray(part, np.float64) for part in (self.normalization.mean, self.normalization.std))
        return 1 / std, -mean / std

    @property
    def input_max(self) -> float | None:
        """What pixel value 255 becomes where 0 stays 0 in every channel of an RGB input; None for other scalings."""
        mean, std = self.normalization.mean, self.normalization.std
        highest = {(255.0 - m) / s for m, s in zip(mean, std, strict=True)}
        if self.normalization.channel_order != "RGB" or any(mean) or len(highest) != 1:
            return None
        return highest.pop()


@dataclass(frozen=True)
class Invariants:
    """What a step made of a network and later steps must preserve.

    Attributes:
        masks: by layer name, bool of the kernel's shape: False where a weight was pruned and must stay zero.
        pattern: structured sparsity of these masks, such as `2:4`; None: unstructured.
        clusters: number of distinct values in each clustered weight tensor; None: not clustered.
        trained_ranges: the graph carries quantization ranges from quantization-aware training.
        nearest_rounding: its weights were trained as they are when rounded to the nearest integers.
    """

    masks: Mapping[str, npt.NDArray[np.bool_]] = field(default_factory=lambda: MappingProxyType({}))
    pattern: str | None = None
    clusters: int | None = None
    trained_ranges: bool = False
    nearest_rounding: bool = False

    @property
    def sparse(self) -> bool:
        """Whether there are zeros to preserve."""
        return bool(self.masks)


@dataclass(frozen=True)
class FloatNetwork:
    """A float network.

    Attributes:
        model: flat functional tf-keras model; None where another framework made the network.
        call: from `float32[N, H, W, 3]`, scaled as `input` says, to `float32[N, C]`, in inference mode.
        trackable: the object that owns the variables of `call`; None: they are constants of `call`.
        input: size, scaling and channel order of what `call` takes.
        classes: class names in the order of the outputs.
        invariants: what later steps must preserve.
        notes: warnings and remarks from the steps so far, a line each.
        graph: a float TFLite graph that computes `call` of one image, which exporters take as it is; None: they convert
            `call`.
    """

    model: Any
    call: Callable[[Any], Any]
    trackable: Any
    input: InputSpec
    classes: tuple[str, ...]
    invariants: Invariants = field(default_factory=Invariants)
    notes: tuple[str, ...] = ()
    graph: bytes | None = field(default=None, repr=False)

    @property
    def input_max(self) -> float:
        """What pixel value 255 becomes before it enters a prepared network; 0 stays 0.

        Raises:
            ModelError: the network is not prepared: its scaling has an offset, or differs between the channels.
        """
        highest = self.input.input_max
        if highest is None:
            raise ModelError(f"a prepared network was expected (prepare_network), got one that takes {self.input}")
        return highest

    def with_model(
        self, model: Any, *, invariants: Invariants | None = None, notes: tuple[str, ...] = ()
    ) -> FloatNetwork:
        """Return the same network with another Keras graph behind the same input.

        Args:
            model: functional tf-keras model that takes what `call` took.
            invariants: of the new graph; None: those of this one.
            notes: appended to the notes so far.
        """
        return replace(
            self,
            model=model,
            call=lambda x: model(x, training=False),
            trackable=model,
            invariants=self.invariants if invariants is None else invariants,
            notes=(*self.notes, *notes),
        )

    def on_pixels(self, pixels: Any) -> Any:
        """Run on raw RGB pixels `[N, H, W, 3]`, 0..255, of any type: `float32[N, C]`."""
        import tensorflow as tf

        values = tf.cast(pixels, tf.float32)
        if self.input.normalization.channel_order == "BGR":
            values = values[..., ::-1]
        scale, offset = self.input.scale_and_offset
        values = values * scale.astype(np.float32)
        return self.call(values + offset.astype(np.float32) if np.any(offset) else values)
