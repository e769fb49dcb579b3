"""The request to `compare` as one value, made once from the command line or from keywords."""

from __future__ import annotations

from dataclasses import dataclass

from edgeclf.artifact.normalization import Normalization
from edgeclf.dataset import SPLITS
from edgeclf.errors import UnknownNameError
from edgeclf.image.shape import check_fit
from edgeclf.records import Record


@dataclass(frozen=True)
class ComparePlan(Record):
    """Two trainings, on what they are compared, and where the results go.

    Attributes:
        first: a run folder, a float network, a `.tflite` file or a zoo name.
        second: likewise; differences are second minus first.
        data: labelled images; None: what the second one was trained on, as it was recorded, else the first one.
        split: which split of `data`: `test` or `validation`.
        runtime: name of the runtime of model files.
        normalization: how pixels enter those that do not state it; None: measured.
        labels: class names of those that carry none, in the order of the outputs, or a file with one a line.
        fit: how pictures come to the input of those that do not state it; None: stretched.
        trust_model: load a network even if that runs code from its file.
        out: folder or `.json` file for the report; None: nowhere.
        report: HTML file to write; None: nowhere.
        overwrite: replace existing output.

    Raises:
        InputError: a value is not allowed.
    """

    first: str
    second: str
    data: str | None = None
    split: str = "test"
    runtime: str = "litert"
    normalization: Normalization | None = None
    labels: str | tuple[str, ...] | None = None
    fit: str | None = None
    trust_model: bool = False
    out: str | None = None
    report: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.split not in SPLITS[1:]:
            raise UnknownNameError("split", self.split, SPLITS[1:])
        if self.fit is not None:
            check_fit(self.fit)
