"""Decides what the outputs of a float network are called, and numbers the classes of the data accordingly."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from edgeclf.artifact.class_names import NUMBERED, UNNAMED, number_classes
from edgeclf.artifact.labels import check_names, names_beside
from edgeclf.compression.pipeline.plan import CompressPlan
from edgeclf.dataset import Dataset
from edgeclf.errors import DataError
from edgeclf.keras_files.loading import LoadedNetwork
from edgeclf.measure.class_order import assumed_order, describe_assumed_order, order_classes

UNLABELLED = (
    "its images calibrate without their labels; top-1 was not measured, only how often a model and the float network "
    "name the same class"
)


@dataclass(frozen=True)
class SettledClasses:
    """What the outputs are called.

    Attributes:
        names: in the order of the outputs.
        source: `run`, `given`, `metadata` or `provenance` (of a TFLite file), `beside` (a list beside the network),
            `data` (their order there was assumed) or `numbers` (nobody named them).
        data: with its classes in the same order; None: there is none.
        notes: what was assumed or left out, a line each.
    """

    names: tuple[str, ...]
    source: str
    data: Dataset | None
    notes: tuple[str, ...] = ()


def settle_classes(loaded: LoadedNetwork, plan: CompressPlan, data: Dataset | None) -> SettledClasses:
    """Name the outputs: by the run, the caller, the file, a list beside it, or the data's classes in their order.

    Raises:
        InputError: the caller names more or fewer classes than the network has.
        DataError: the names are not those of the data's classes.
    """
    if plan.unlabelled and data is not None:
        named = settle_classes(loaded, plan, None)
        return dataclasses.replace(named, data=data, notes=(*named.notes, f"{data.source}: {UNLABELLED}"))
    count, file = len(loaded.network.classes), loaded.path.name
    if loaded.run is not None and loaded.run.labels:
        return SettledClasses(loaded.network.classes, "run", data)
    if plan.labels is not None:
        names = check_names(plan.labels, count, "--labels")
        return SettledClasses(names, "given", data and order_classes(data, names))
    if loaded.label_source:
        names = loaded.network.classes
        return SettledClasses(names, loaded.label_source, data and order_classes(data, names))
    names_found, note = names_beside(loaded.path, count)
    notes = [f"{file}: {note}"] if note else []
    if names_found is not None:
        try:
            return SettledClasses(names_found, "beside", data and order_classes(data, names_found), tuple(notes))
        except DataError as error:
            notes = [f"the class names beside {file} are left out: {error}"]
    if data is not None:
        names, note = assumed_order(data), describe_assumed_order(data)
        return SettledClasses(names, "data", order_classes(data, names), (*notes, f"{file}: {note}"))
    notes.append(f"{file}: {UNNAMED}")
    return SettledClasses(number_classes(count), NUMBERED, None, tuple(notes))
