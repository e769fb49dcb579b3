"""What one call of `compress` does: a frozen value, built once from keywords or from the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgeclf.artifact.normalization import Normalization
from edgeclf.compression.choice import check_recipes
from edgeclf.compression.recipe import Recipe
from edgeclf.errors import InputError
from edgeclf.records import Record
from edgeclf.training.config import check_seed


@dataclass(frozen=True)
class CompressPlan(Record):
    """One source, and what is made of it.

    Args:
        source: a run folder, a `.keras` or `.h5` file, a SavedModel, a float `.tflite` file.
        recipes: one model each; the type of input and output is a setting of their exporters.
        data: images for calibration, training and top-1: a folder, a manifest, a name, or a `Dataset`; None: those that
            the run was trained on.
        calibration: number of training images that set quantization ranges.
        normalization: how pixels enter a network from elsewhere; None: measured.
        unlabelled: the classes of `data` are none of the network's: its images calibrate, and nothing is scored.
        sensitivity: measure what each layer loses in 8 bits, and write it beside the models.
        fit: how pictures of another shape come to the input of a network from elsewhere: `stretch`, `crop` or `pad`;
            None: that of the run, else `stretch`.
        fit_probabilities: fit temperature, threshold for unknown and feature space on validation images of each model.
        precision: fraction of shown images that must be right, at the lower end of its 95 % interval, however many
            photos that refuses; None: about one in twenty known photos is refused, at most.
        labels: class names in the order of the outputs of a network from elsewhere; None: a list beside it, else the
            sorted names of the data's classes.
        out: folder for the models; None: the run's `compressed/`, else a folder `compressed` beside `source`.
        trust_model: load a file even if that runs code from it.
        overwrite: replace existing models.
        seed: of the calibration draw and of training.
        speed: time each model beside a float32 model of the network, about a second each.

    Raises:
        InputError: there is no recipe, one is given twice, there are no calibration images, or a step needs the labels
            that there are none of.
    """

    source: str
    recipes: tuple[Recipe, ...]
    data: Any = None
    calibration: int = 500
    normalization: Normalization | None = None
    out: str | None = None
    trust_model: bool = False
    overwrite: bool = False
    seed: int = 0
    speed: bool = True
    labels: tuple[str, ...] | None = None
    fit: str | None = None
    unlabelled: bool = False
    sensitivity: bool = False
    fit_probabilities: bool = True
    precision: float | None = None

    def __post_init__(self) -> None:
        check_recipes(self.recipes)
        if self.calibration < 1:
            raise InputError(f"calibration must be at least 1 image, got {self.calibration}")
        check_seed(self.seed)
        trains = next((recipe.name for recipe in self.recipes if recipe.trains), None)
        if self.unlabelled and trains is not None:
            raise InputError(f"{trains} trains on labels; leave --unlabelled out, or the steps")
        option = "--sensitivity" if self.sensitivity else "--precision" if self.precision is not None else None
        if self.unlabelled and option is not None:
            raise InputError(f"{option} needs labels that are the network's classes; leave --unlabelled out")
        if self.precision is not None and not 0 < self.precision < 1:
            raise InputError(f"precision must be between 0 and 1, got {self.precision:g}")
        if self.precision is not None and not self.fit_probabilities:
            raise InputError("--precision chooses the threshold that is fitted; leave --no-fit-probabilities out")
