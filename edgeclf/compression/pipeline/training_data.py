"""The images that a compression calibrates, trains and measures on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edgeclf.artifact.run_folder import RunFolder
from edgeclf.compression.pipeline.plan import CompressPlan
from edgeclf.compression.recipe import Recipe
from edgeclf.dataset import Dataset, Listing, list_source, list_unlabelled, load_dataset, probe
from edgeclf.dataset.used_images import add_used
from edgeclf.errors import DataError, InputError
from edgeclf.keras_files.loading import LoadedNetwork
from edgeclf.progress import Progress

Images = Dataset | Listing | None


def choose_data(
    run: RunFolder | None, name: str, given: str | Path | Dataset | None, recipes: Sequence[Recipe]
) -> str | Path | Dataset | None:
    """Return what images are taken from: what the caller names, else what the run was trained on.

    Args:
        run: the run folder of the network, if it lies in one.
        name: of the network's file, for the message.
        given: by the caller.
        recipes: what is to be made.

    Returns:
        None where there are no images and no recipe needs any.

    Raises:
        InputError: a recipe needs images and there are none.
    """
    chosen = given
    if chosen is None and run is not None:
        chosen = run.run_json.get("data", {}).get("source")
    if chosen is None:
        needs = next((r.name for r in recipes if r.calibrates or r.trains), None)
        if needs is not None:
            raise InputError(f"{needs} needs training images, and {name} names none; add --data PHOTOS")
    return chosen


@contextlib.contextmanager
def data_of_the_run(own: bool) -> Iterator[None]:
    """Name the run's own data in an error, where the caller named none."""
    try:
        yield
    except InputError as error:
        if not own:
            raise
        raise DataError(f"the data of this run: {error}; name other data with --data") from error


def list_images(source: str | Path | Listing, progress: Progress, *, unlabelled: bool) -> Listing:
    """List images, and refuse what cannot be used; with `unlabelled` any folder of photos will do.

    Raises:
        DataError: the source cannot be listed, or has no images or no classes that can be learned.
    """
    try:
        listing = list_source(source, progress)
        probe(listing, progress)
    except DataError:
        if not unlabelled:
            raise
        return list_unlabelled(source, progress)
    return listing


def find_data(loaded: LoadedNetwork, plan: CompressPlan, progress: Progress, images: Images = None) -> Dataset | None:
    """Load the data set named by the caller, else the one that the run was trained on.

    Args:
        loaded: the float network.
        plan: with the data that the caller named.
        progress: where bars are shown.
        images: what `check_request` listed; None: they are listed here.

    Raises:
        InputError: a recipe needs images and there are none.
        DataError: the classes are not those of the network.
    """
    chosen: str | Path | Dataset | Listing | None = images
    if chosen is None:
        chosen = choose_data(loaded.run, loaded.path.name, plan.data, plan.recipes)
    if chosen is None:
        return None
    if isinstance(chosen, Dataset):
        data = chosen
    else:
        seed = None if loaded.run is None else loaded.run.run_json.get("data", {}).get("split_seed")
        settings: dict[str, Any] = {} if seed is None else {"split_seed": int(seed)}
        shape = loaded.network.input.shape
        with data_of_the_run(plan.data is None):
            if not isinstance(chosen, Listing):
                chosen = list_images(chosen, progress, unlabelled=plan.unlabelled)
            data = _load(chosen, plan, image_size=shape.size, fit=shape.fit, progress=progress, **settings)
    _check(loaded, data, progress, named=not plan.unlabelled)
    return add_used(data, [run_of(loaded)]).train_on_views()


def _load(listing: Listing, plan: CompressPlan, **settings: Any) -> Dataset:
    try:
        return load_dataset(listing, **settings)
    except DataError:
        if not plan.unlabelled or not listing.labelled:
            raise
    return load_dataset(list_unlabelled(listing), **settings)  # a class without usable images is none here


def run_of(loaded: LoadedNetwork) -> RunFolder | None:
    """Return the run of a network, also where its file was named; None: it is of none."""
    return loaded.run or RunFolder.find(loaded.path)


def _check(loaded: LoadedNetwork, data: Dataset, progress: Progress, *, named: bool) -> None:
    spec, classes = loaded.network.input, len(loaded.network.classes)
    if (data.height, data.width) != (spec.height, spec.width):
        raise DataError(f"the network takes {spec.width}x{spec.height} pixels, the data has {data.width}x{data.height}")
    if data.fit != spec.fit:
        raise DataError(f"the network takes pictures by the fit {spec.fit}, the data was loaded by {data.fit}")
    if not named:
        return
    if len(data.class_names) != classes:
        raise DataError(
            f"{data.source} has {len(data.class_names)} classes, but the network has {classes} output classes; "
            "name the data that it was trained on with --data, or add --unlabelled to calibrate on other photos"
        )
    run = loaded.run
    if run is None:
        return
    if run.labels and run.labels != data.class_names:
        both = (", ".join(names[:5]) for names in (data.class_names, run.labels))
        raise DataError("{} has the classes {}; the run has {}".format(data.source, *both))
    known = run.run_json.get("data", {}).get("fingerprint")
    if known and known != data.fingerprint:
        progress.warn(f"{data.source} has changed since the training: figures may include images that it has seen")
