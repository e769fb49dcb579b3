"""What can be done to a float network before it is exported: the interface of a step, and the registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from edgeclf.compression.export.observation import FloatObservation
from edgeclf.dataset import Dataset
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.progress import SILENT, Progress


@dataclass(frozen=True)
class StepContext:
    """What a step or an exporter may use besides the network.

    Attributes:
        original: the float network before the first step; the teacher of distillation.
        data: images and labels; None: there are none.
        calibration_images: uint8[n, H, W, 3], drawn from the training split; None: no images.
        balance: of the classes, as the float network was trained.
        flip: whether a mirrored image still is what its label says.
        seed: of order, augmentation and draws.
        progress: where bars and warnings are shown.
        observed: the float graph of `original` and its ranges on `calibration_images`, where they were measured
            already; an exporter that gets `original` itself to convert need not measure them again.
    """

    original: FloatNetwork
    data: Dataset | None = None
    calibration_images: npt.NDArray[np.uint8] | None = None
    balance: str = "none"
    flip: bool = False
    seed: int = 0
    progress: Progress = SILENT
    observed: FloatObservation | None = None


class Step(Protocol):
    """One change of a float network: a frozen `Record` whose fields are its settings, in a file of its own.

    Attributes:
        kind: its key in `STEPS`, and in the JSON of a recipe.
    """

    kind: ClassVar[str]

    def label(self) -> str:
        """The part of a recipe's name that stands for it, such as `prune50`."""
        ...

    def check(self, network: FloatNetwork) -> None:
        """Refuse a network that this step cannot change, before anything is trained.

        Raises:
            InputError: the step does not go with the network.
        """
        ...

    def apply(self, network: FloatNetwork, context: StepContext) -> FloatNetwork:
        """Return a changed copy of `network`, with its invariants; `network` stays as it is."""
        ...


STEPS: dict[str, type[Any]] = {}
"""By kind; classes that implement `Step`."""


def register_step(step: type[Any]) -> type[Any]:
    """Add a step to the registry; usable as a class decorator.

    Raises:
        ValueError: another step has the same kind.
    """
    if STEPS.setdefault(step.kind, step) is not step:
        raise ValueError(f"a step of the kind {step.kind!r} is registered already")
    return step
