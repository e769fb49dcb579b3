"""What all recipes of one source share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeclf.compression.export.calibration import CalibrationSet
from edgeclf.compression.step import StepContext
from edgeclf.inference.input_range import InputRange
from edgeclf.training.budget.choice import NetworkChoice


@dataclass(frozen=True, kw_only=True)
class RecipeContext(StepContext):
    """What a recipe may use, and what its record states about the source.

    Attributes:
        name: of the source, in front of the recipe's name.
        network_input: how pixels enter the network, and where that is known from.
        calibration: the record of the calibration draw; None: nothing is calibrated.
        float_correct: bool[N], which images of the scored split the source predicts correctly; None: not measured.
        labelled: whether the labels of the data are the network's classes.
        float_labels: int64[N], what the source predicts for the scored split where that has no labels of its classes.
        class_source: where the class names are from (see `SettledClasses`).
        notes: what users should know about the source, a line each; every model's notes begin with them.
        choice: of the network, by a budget that the user asked for; None: there was none.
        fit_probabilities: whether temperature, threshold and feature space are fitted on validation images.
        float_batch: images that the float network is called with at once; a SavedModel may know one batch size alone.
        precision: that the threshold is chosen for; None: it refuses about one in twenty known photos, at most.
        load_before: load of the machine before the recipes began to work; None: unknown.
        selected: whether some of the scored images trained the float network, or chose the epoch that was kept.
        doubt: note on what is fitted, where it is not known which images trained the network; else empty.
    """

    name: str
    network_input: InputRange
    calibration: CalibrationSet | None = None
    float_correct: npt.NDArray[np.bool_] | None = None
    labelled: bool = True
    float_labels: npt.NDArray[np.int64] | None = None
    selected: bool = False
    doubt: tuple[str, ...] = ()
    class_source: str = "run"
    notes: tuple[str, ...] = ()
    choice: NetworkChoice | None = None
    fit_probabilities: bool = True
    float_batch: int = 200
    precision: float | None = None
    load_before: float | None = None

    @property
    def float_top1(self) -> float | None:
        """Of the source on the scored split, as a fraction; None: not measured."""
        return None if self.float_correct is None else float(self.float_correct.mean())
