"""Decides how pictures are fitted to a model's input: what its file states, else what the user gives, else stretched.

TFLite metadata have no word for it: other clients stretch whatever the file. So edgeclf writes it into the provenance;
files of earlier versions, which name none, are of networks that were trained on stretched pictures.
"""

from __future__ import annotations

from pathlib import Path

from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.run_folder import MODEL, RunFolder
from edgeclf.errors import InputError, ModelError
from edgeclf.image.shape import CROP, FITS, PAD, PAD_GRAY, STRETCH, InputShape, check_fit, count_views, is_fit

PROVENANCE_KEY = "fit"
"""In `Provenance.preprocessing`."""

DESCRIPTIONS = {
    STRETCH: "stretched",
    CROP: "the largest central region of the input's aspect ratio",
    PAD: f"the whole picture, letterboxed in gray {PAD_GRAY}",
}
"""What of a picture enters the input, by fit; see `describe_way`."""


def describe_way(fit: str) -> str:
    """Describe in a few words what of a picture, or of an object, enters the input."""
    views = count_views(fit)
    if not views:
        return DESCRIPTIONS[fit]
    return f"objects as depth pictures from {views} directions" if views > 1 else "objects as depth pictures from above"


def own_fit(file: ModelFile) -> str | None:
    """Return the fit that a file states; None: it was not made by edgeclf, and states none.

    Raises:
        ModelError: it states one that is not known here.
    """
    made = file.provenance
    return None if made is None else _check(made.preprocessing.get(PROVENANCE_KEY, STRETCH), file.name)


def find_fit_refusal(file: ModelFile, given: str | None) -> str | None:
    """Return why a model does not take pictures fitted as given, a predicate; None: it does.

    Raises:
        ModelError: the file states a fit that is not known here.
    """
    own = own_fit(file)
    if own is None or given in (None, own):
        return None
    return f"knows how pictures are fitted to its input: expected {own} (provenance), got {given}"


def resolve_fit(file: ModelFile, given: str | None = None) -> str:
    """Decide how pictures are fitted to a model's input.

    Args:
        file: the model.
        given: by the user; None: not given. A file that states another refuses it.

    Raises:
        UnknownNameError: there is no such fit as the one given.
        InputError: the file states another one.
        ModelError: the file states a fit that is not known here.
    """
    if given is not None:
        check_fit(given)
    if (refusal := find_fit_refusal(file, given)) is not None:
        raise InputError(f"{file.name} {refusal}; leave --fit out")
    return own_fit(file) or given or STRETCH


def input_shape(file: ModelFile, given: str | None = None) -> InputShape:
    """Return the size of a model's input, and how pictures are fitted to it; `given` is for files that state nothing.

    Raises:
        ModelError: the file is no image classifier, or states a fit that is not known here.
    """
    return InputShape(file.shape.height, file.shape.width, own_fit(file) or given or STRETCH)


def run_fit(path: Path) -> str | None:
    """Return the fit that a run's network was trained with; None: the network is from elsewhere.

    Args:
        path: a run folder, the network in it, or any other network.

    Raises:
        ModelError: the record of the run has a fit that is not known here.
    """
    folder = path.parent if path.name == MODEL else path
    if not RunFolder.is_one(folder):
        return None
    run = RunFolder(folder)
    return _check(run.run_json.get("config", {}).get(PROVENANCE_KEY, STRETCH), str(run.record_path))


def resolve_network_fit(path: Path, given: str | None = None) -> str:
    """Decide how pictures are fitted to a float network.

    Args:
        path: a run folder, the network in it, or any other network.
        given: by the user; None: not given. A run that was trained with another refuses it.

    Raises:
        UnknownNameError: there is no such fit as the one given.
        InputError: the run was trained with another one.
        ModelError: the record of the run has a fit that is not known here.
    """
    own = run_fit(path)
    if given is not None and check_fit(given) != (own or given):
        raise InputError(f"{path}: the run was trained with the fit {own}, got {given}; leave --fit out")
    return own or given or STRETCH


def _check(found: object, name: str) -> str:
    if not isinstance(found, str) or not is_fit(found):
        raise ModelError(
            f"{name}: expected pictures fitted by one of {', '.join(FITS)} or views, got {str(found)[:40]!r}; a later "
            "edgeclf may know it: update it, or make the file again"
        )
    return found
