"""Finds what `compare` is given: run folders, float networks, model files, and what their runs recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.dataset import Dataset
from edgeclf.dataset.known_images import KnownImages
from edgeclf.dataset.used_images import History, read_history
from edgeclf.errors import InputError, ModelError
from edgeclf.measure.compare_report import Setting

Kind = Literal["run", "network", "model file"]
_NOT_COMPARED = ("name",)
_NAMED = 5


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        name: short, for tables and messages.
        path: of the network or the model file.
        kind: what it is.
        file: the model file, read; None: it is a float network.
        run: that it is of; None: it lies in no run folder.
        history: which images the run had, and those that it began from.
        source: of the images that it was trained on, as recorded; empty: not recorded.
        split_seed: of their split; None: not recorded.
        fingerprint: of these images; None: not recorded.
    """

    name: str
    path: Path
    kind: Kind
    file: ModelFile | None
    run: RunFolder | None
    history: History
    source: str
    split_seed: int | None
    fingerprint: str | None = None

    def settle(self, data: Dataset, own_splits: Sequence[str], split: str) -> Side:
        """Return the side as these images let it be known: the rule of the split is that of data without splits.

        Args:
            data: the images compared.
            own_splits: those that their source states itself.
            split: that is compared.
        """
        if self.known is not None or split not in own_splits or self.fingerprint == data.fingerprint:
            return self
        return dataclasses.replace(self, split_seed=None)

    @property
    def class_names(self) -> tuple[str, ...]:
        """That its run recorded, in the order of the outputs; empty: there is none."""
        return () if self.run is None else self.run.labels

    @property
    def config(self) -> Mapping[str, Any]:
        """The settings of its training; empty: not recorded."""
        return {} if self.run is None else self.run.run_json.get("config") or {}

    @property
    def known(self) -> KnownImages | None:
        """Which images the run had; None: not recorded."""
        return self.history.own

    @property
    def known_by(self) -> str:
        """How it is known which images it was trained on."""
        return "record" if self.known is not None else "assumed" if self.split_seed is None else "split rule"


def find_sides(first: str, second: str) -> tuple[Side, Side]:
    """Find the two that are compared.

    Raises:
        InputError: both are the same, or a record cannot be read.
        ModelError: one is not there, or holds no network.
        UnknownNameError: neither a path nor the name of a zoo model.
    """
    names = [Path(given).resolve().name for given in (first, second)]
    if names[0] == names[1]:
        names = [first, second]
    sides = tuple(_find(given, name) for given, name in zip((first, second), names, strict=True))
    if sides[0].path.resolve() == sides[1].path.resolve():
        raise InputError(f"{sides[0].path}: is compared with itself; expected two trainings")
    if sides[0].name == sides[1].name:  # files of one name in two folders
        sides = tuple(dataclasses.replace(side, name=str(side.path)) for side in sides)
    return sides[0], sides[1]


def _find(given: str, name: str) -> Side:
    path = Path(given)
    if RunFolder.is_one(path):
        folder = RunFolder(path)
        folder.check_classes()
        if not folder.keras_path.is_file():
            raise ModelError(f"{path}: its network {folder.keras_path.name} is not there; finish the run with --resume")
        return _side(name, folder.keras_path, "run", None)
    if path.suffix.lower() in (".keras", ".h5", ".hdf5") or (path.is_dir() and (path / "saved_model.pb").is_file()):
        if not path.exists():
            raise ModelError(f"{path}: no such file")
        return _side(name, path, "network", None)
    located = locate_model(given)
    file = ModelFile.read(located)
    file.check()
    return _side(name if path.suffix else located.name, located, "model file", file)


def _side(name: str, path: Path, kind: Kind, file: ModelFile | None) -> Side:
    run = RunFolder.find(path)
    made = file.provenance if file is not None else None
    data: Mapping[str, Any] = (run.run_json.get("data") or {}) if run is not None else made.data if made else {}
    source = data.get("source")
    # the photos that a network from elsewhere was calibrated with say nothing of those that trained it
    trained_on = run is not None or data.get("class_source") == "run"
    seed = data.get("split_seed") if trained_on else None
    return Side(
        name=name,
        path=path,
        kind=kind,
        file=file,
        run=run,
        history=History() if run is None else read_history(run),
        source=source if isinstance(source, str) else "",
        split_seed=seed if isinstance(seed, int) else None,
        fingerprint=str(data["fingerprint"]) if data.get("fingerprint") else None,
    )


def check_classes_agree(first: str, second: str, names: tuple[Sequence[str], Sequence[str]]) -> None:
    """Refuse two with different classes; the order may differ, and one that names none is taken to agree.

    Raises:
        InputError: a class is known to one of them alone.
    """
    one, other = names
    alone = [(first, [n for n in one if n not in other]), (second, [n for n in other if n not in one])]
    if not one or not other or not any(found for _, found in alone):
        return
    shown = " and ".join(f"{_few(found)} only in {name}" for name, found in alone if found)
    raise InputError(
        f"{first} and {second} have different classes: {shown}; compare trainings on the same classes (train --from "
        "compares a run with the one that it grows from)"
    )


def check_photos_agree(first: Side, second: Side) -> None:
    """Refuse two runs that have no photo in common, where no other photos are named.

    Raises:
        InputError: both recorded their photos, and share none.
    """
    if first.known is None or second.known is None:
        return
    had = [{c for split in side.known.contents for c in side.known.of_split(split)} for side in (first, second)
           if side.known is not None]  # fmt: skip
    if had[0].isdisjoint(had[1]):
        raise InputError(
            f"{first.name} and {second.name} have no photo in common ({len(had[0]):,} and {len(had[1]):,}); name "
            "photos that neither was trained on with --data"
        )


def list_settings(first: Side, second: Side) -> tuple[Setting, ...]:
    """List the settings in which two trainings differ; empty where one of them is of no run."""
    if first.run is None or second.run is None:
        return ()
    one, other = ({**side.config, **_facts(side)} for side in (first, second))
    return tuple(
        Setting(name, one.get(name), other.get(name))
        for name in dict.fromkeys((*one, *other))
        if name not in _NOT_COMPARED and one.get(name) != other.get(name)
    )


def _facts(side: Side) -> dict[str, Any]:
    record = side.run.run_json if side.run is not None else {}
    data = record.get("data") or {}
    facts = {"data": data.get("source"), "data_fingerprint": data.get("fingerprint")}
    return {**facts, "split_seed": data.get("split_seed"), "edgeclf_version": record.get("edgeclf_version")}


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(repr(name) for name in names[:_NAMED]) + more
