"""The function `refit`, which fits the probabilities of a finished model on validation images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgeclf.extras import extras, require
from edgeclf.plugins import with_plugins
from edgeclf.progress import SILENT, Progress

if TYPE_CHECKING:
    from edgeclf.compression.probabilities.refit import RefitReport
    from edgeclf.dataset import Dataset


@with_plugins
def refit(
    model: str | Path,
    data: str | Path | Dataset,
    *,
    out: str | Path | None = None,
    precision: float | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> RefitReport:
    """Fit temperature, threshold and feature check of a finished model, without compressing its network again.

        edgeclf.refit("photos-int8.tflite", "photos", out="photos-fitted.tflite").probabilities.threshold

    The graph, its weights and its labels stay as they are.

    Args:
        model: a file that `compress` made, a run folder, or a zoo name.
        data: labelled images with a validation split that did not train the model.
        out: the new file; None: the model itself, which `overwrite` must allow.
        precision: fraction of named images that must be right, at the lower end of its 95 % interval, however many are
            refused; None: about 5 % of known images are refused at most.
        overwrite: replace `out`.
        progress: where bars are shown.

    Raises:
        ModelError: `compress` did not make the model, or it names no classes.
        DataError: there are no validation images, too few of them, their classes are not those of the model, or its
            graph ends in nothing that probabilities can be fitted on.
        InputError: `precision` is no fraction.
        OutputError: `out` is there already, or cannot be written.
        MissingExtraError: the package that writes model files is not installed.
    """
    require("refit", "flatbuffers")
    from edgeclf.compression.probabilities.refit import refit as refit_model

    with extras("refit"):
        return refit_model(model, data, out, precision=precision, overwrite=overwrite, progress=progress)
