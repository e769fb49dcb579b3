"""What can be done to a float network before it is exported: the interface of a step, and the registry."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from edgeclf.compression.export.observation import FloatObservation
from edgeclf.dataset import Dataset
from edgeclf.errors import InputError
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.progress import SILENT, Progress
from edgeclf.records import Record

if TYPE_CHECKING:
    from edgeclf.compression.export.model_file_stats import ModelFileStats
    from edgeclf.compression.exporter import Exporter

Self = TypeVar("Self", bound="Step")


class Checkpoints(Protocol):
    """Where the weights of a finished fine-tuning are kept, so that a call that was killed does not train again."""

    def load(self, label: str) -> list[npt.NDArray[Any]] | None:
        """Return the weights that were saved under `label`; None: there are none."""
        ...

    def save(self, label: str, weights: Sequence[npt.NDArray[Any]]) -> None:
        """Keep `weights` under `label`, atomically."""
        ...


@dataclass(frozen=True)
class StepContext:
    """What a step or an exporter may use besides the network.

    Attributes:
        original: the float network before the first step; the teacher of distillation.
        data: images and labels; None: there are none.
        calibration_images: uint8[n, H, W, 3], drawn from the training split; None: no images.
        balance: of the classes, as the float network was trained.
        flip: whether a mirrored image still shows what its label names.
        seed: of order, augmentation and draws.
        progress: where bars and warnings are shown.
        checkpoints: where finished fine-tunings are kept; None: nowhere.
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
    checkpoints: Checkpoints | None = None
    observed: FloatObservation | None = None


class Step(Protocol):
    """One change of a float network: a frozen `Record` whose fields are its settings, in a file of its own.

    Derive from it (`class Halve(Step, Record)`) to inherit the defaults below. All fields need defaults, so that
    `Halve()` is the step with its default settings.

    Attributes:
        kind: its key in `STEPS`, in the JSON of a recipe, and in front of its settings (`qat_epochs`).
        trains: whether it needs labelled images. Every step needs a tf-keras network.
        target_steps: batches that its training takes where its settings leave the epochs open.
        after: kinds of the steps that may stand before it in a recipe.
        before: kinds of the steps that may stand behind it; a pair is allowed if either of the two allows it.
        decides: settings of exporters that have no effect beside it.
    """

    kind: ClassVar[str]
    trains: ClassVar[bool] = True
    target_steps: ClassVar[int] = 1000
    after: ClassVar[frozenset[str]] = frozenset()
    before: ClassVar[frozenset[str]] = frozenset()
    decides: ClassVar[frozenset[str]] = frozenset()

    def count_networks(self, epochs: int) -> int:
        """Return from how many networks the validation images choose one: after each epoch, and before the first."""
        return epochs + 1

    def label(self) -> str:
        """Return the part of a recipe's name that stands for it, such as `prune50`; lower case, without hyphen."""
        ...

    @classmethod
    def parse(cls: type[Self], part: str) -> Self | None:
        """Return the step that a part of a recipe's name stands for; None: it stands for another one."""
        step = cls()
        return step if step.label() == part else None

    @classmethod
    def from_option(cls: type[Self], value: Any) -> Self:
        """Return the step that a keyword or an option of its kind stands for, such as `prune=0.5`.

        Raises:
            InputError: the value does not fit.
        """
        if value is not True:
            raise InputError(f"{cls.kind} is on or off (true or false), got {value!r}")
        return cls()

    def check_export(self, export: Exporter) -> None:
        """Refuse an exporter whose file cannot keep what this step makes.

        Raises:
            InputError: it is so.
        """
        return

    def check(self, network: FloatNetwork) -> None:
        """Refuse a network that this step cannot change, before anything is trained.

        Args:
            network: the float network before the first step.

        Raises:
            InputError: the step does not go with the network.
        """
        return

    def apply(self, network: FloatNetwork, context: StepContext) -> FloatNetwork:
        """Return a changed copy of `network`, with its invariants; `network` stays as it is."""
        ...

    def remarks(self, stats: ModelFileStats, sizes: str) -> tuple[str, ...]:
        """Return what the user should know about the exported file, a line each: where it falls short, its sizes.

        Nothing on speed, which is measured when the model is made.

        Args:
            stats: what was counted in the file.
            sizes: the file's sizes in words.
        """
        return ()


def read_percent(part: str, kind: str, digits: str) -> float:
    """Return the fraction that the number in a part of a recipe's name stands for: 0.5 for 50.

    Args:
        part: such as `prune50`.
        kind: of the step.
        digits: the number, in percent.

    Raises:
        InputError: it is between 0 and 1, and so a fraction where a percentage is expected.
    """
    number = float(digits)
    if 0 < number < 1:
        example = f"write {kind}50 for a fraction of 0.5"
        raise InputError(
            f"{part}: the number in a recipe's name is a percentage of at least 1, got {digits}; {example}"
        )
    return number / 100


STEPS: dict[str, type[Any]] = {}
"""By kind; classes that implement `Step`."""


def register_step(step: type[Any]) -> type[Any]:
    """Add a step to the registry; usable as a class decorator.

    Raises:
        ValueError: another step has the same kind, or its label cannot stand in a recipe's name.
        TypeError: it is no frozen `Record` whose fields all have defaults.
    """
    if STEPS.get(step.kind, step) is not step:
        raise ValueError(f"a step of the kind {step.kind!r} is registered already")
    check_part(step)
    check_label(step().label())
    STEPS[step.kind] = step
    return step


def check_part(part: type[Any]) -> None:
    """Refuse a class that could not be a part of a recipe: such errors would show in recipes that do not use it.

    Raises:
        TypeError: it is no frozen `Record` whose fields all have defaults and can be read from JSON.
    """
    if not (issubclass(part, Record) and dataclasses.is_dataclass(part)):
        raise TypeError(f"{part.__name__} must be a frozen dataclass derived from Record")
    made: Any = part()
    if type(made).from_dict(made.to_dict()) != made:
        raise TypeError(f"{part.__name__} must be equal to what its JSON describes")


def check_label(label: str) -> None:
    """Refuse a label that cannot stand in a recipe's name, whose parts are separated by hyphens and in lower case.

    Raises:
        ValueError: it cannot.
    """
    if not label or label != label.strip().lower() or set(label) & set("-/\\"):
        raise ValueError(
            f"the label {label!r} cannot be a part of a recipe's name: lower case without - and / is needed"
        )
