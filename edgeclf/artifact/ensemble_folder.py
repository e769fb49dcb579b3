"""Ensembles: folders with the run folders of their members and a record, and `RUN+RUN` on the command line.

ensemble.json                   the record
NAME-seed0/  NAME-seed1/ ...    run folders
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from edgeclf.artifact.label_bounds import check_labels
from edgeclf.artifact.zoo import zoo_folders
from edgeclf.errors import InputError, ModelError, UnknownNameError
from edgeclf.json_text import read_json
from edgeclf.records import Record

RECORD = "ensemble.json"
AVERAGE, STACK = "average", "stack"
COMBINES = (AVERAGE, STACK)
MOST_MEMBERS = 64
_LARGEST = 1e6
"""Coefficient beyond which a record is damaged."""


@dataclass(frozen=True)
class Stacking(Record):
    """A multinomial logistic regression on the logarithms of the members' probabilities (Wolpert, 1992).

    Attributes:
        coefficients: a row a class, a column a class of each member, member after member.
        intercepts: one a class.
        images: that it was fitted on.
    """

    coefficients: tuple[tuple[float, ...], ...]
    intercepts: tuple[float, ...]
    images: int

    def check(self, members: int, classes: int) -> None:
        """Refuse a regression of other members or classes.

        Raises:
            InputError: its shape or a number is wrong.
        """
        widths = {len(row) for row in self.coefficients}
        if len(self.coefficients) != classes or len(self.intercepts) != classes or widths != {members * classes}:
            raise InputError(
                f"the stacking must have {classes} rows of {members * classes} coefficients, got "
                f"{len(self.coefficients)} of {', '.join(map(str, sorted(widths)[:3]))}"
            )
        numbers = [*self.intercepts, *(value for row in self.coefficients for value in row)]
        if not all(math.isfinite(value) and abs(value) <= _LARGEST for value in numbers):
            raise InputError("the stacking has a coefficient that is not finite or far too large")


@dataclass(frozen=True)
class EnsembleRecord(Record):
    """What `ensemble.json` holds.

    Attributes:
        members: names of the run folders beside it.
        class_names: in the order of the outputs.
        combine: `average` or `stack`.
        stacking: of `stack`; None: the probabilities are averaged.
        finished: whether all members are trained and combined.
    """

    members: tuple[str, ...]
    class_names: tuple[str, ...]
    combine: str = AVERAGE
    stacking: Stacking | None = None
    finished: bool = True

    def __post_init__(self) -> None:
        check_combine(self.combine)
        if not 2 <= len(self.members) <= MOST_MEMBERS:
            raise InputError(f"an ensemble has 2 to {MOST_MEMBERS} members, got {len(self.members)}")
        for name in self.members:
            if Path(name).name != name or name in (".", ".."):
                raise InputError(f"a member of an ensemble lies in its folder, got the name {name!r:.60}")
        check_labels(list(self.class_names))
        if self.stacking is not None:
            self.stacking.check(len(self.members), len(self.class_names))


@dataclass(frozen=True)
class EnsembleSource:
    """An ensemble that a user names.

    Attributes:
        name: short, for tables and messages.
        members: paths or names of what it consists of, in order.
        record: of its folder; None: it was named as `RUN+RUN`.
    """

    name: str
    members: tuple[Path, ...]
    record: EnsembleRecord | None = None


def check_combine(combine: str) -> str:
    """Return `combine`.

    Raises:
        UnknownNameError: there is no such way.
    """
    if combine not in COMBINES:
        raise UnknownNameError("way to combine", combine, COMBINES)
    return combine


def is_ensemble_folder(path: str | Path) -> bool:
    """Return whether `path` is a folder with the record of an ensemble."""
    return os.path.isfile(Path(path) / RECORD)  # false, and no error, where it may not be looked at


def find_ensemble(given: str | Path) -> EnsembleSource | None:
    """Return the ensemble that is meant; None: `given` is one model.

    What exists under a name with a plus sign is that file or folder, and a mistyped path in a folder that exists is
    one path, too.

    Raises:
        ModelError: the record cannot be read, or a member is an ensemble, is named twice or is missing.
    """
    path, text = Path(given), str(given)
    if text and is_ensemble_folder(path):
        record = _read(path)
        return EnsembleSource(path.resolve().name, tuple(path / name for name in record.members), record)
    parts = _split(text)
    if len(parts) < 2 or path.exists() or _is_mistyped_path(path, parts[0]):
        return None
    if not all(parts):
        if "" in parts[1:-1] and not any(_may_be_member(part) for part in parts if part):
            return None  # a path such as c++/model.tflite in a folder that is missing
        raise ModelError(f"{text}: expected RUN+RUN, with a run folder or a model on both sides of each plus sign")
    if len(parts) > MOST_MEMBERS:
        raise ModelError(f"an ensemble has at most {MOST_MEMBERS} members, got {len(parts)}")
    members = tuple(map(Path, parts))
    for member in members:
        if is_ensemble_folder(member):
            raise ModelError(f"{member}: is an ensemble itself; name its members, such as those in {member}")
    if len({member.resolve() for member in members}) < len(members):
        raise ModelError(f"{text}: names a member twice; expected different trainings")
    return EnsembleSource("+".join(member.name for member in members), members)


def refuse_ensemble(given: str | Path) -> None:
    """Refuse an ensemble where one network or model is needed.

    Raises:
        ModelError: `given` is one.
    """
    parts = _split(str(given))
    if len(parts) > 1 and not is_ensemble_folder(given) and not any(map(_may_be_member, parts)):
        return  # a mistyped path, which no message about ensembles helps to find
    found = find_ensemble(given)
    if found is not None:
        raise ModelError(
            f"{given}: is an ensemble of {len(found.members)}, and one network is needed here; name one member, such "
            f"as {found.members[0]}, or train one network from all: edgeclf train DATA --teacher {given}"
        )


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split("+")]


def _may_be_member(part: str) -> bool:
    return os.path.exists(part) or part in zoo_folders()


def _is_mistyped_path(path: Path, first: str) -> bool:
    """Return whether a name with plus signs is one path: its folder exists, with a plus sign or without that member."""
    folder = path.parent
    return folder != Path() and os.path.isdir(folder) and ("+" in str(folder) or not os.path.exists(first))


def _read(path: Path) -> EnsembleRecord:
    try:
        record = EnsembleRecord.from_dict(read_json(path / RECORD))
    except OSError as error:
        raise ModelError(f"{path / RECORD}: cannot be read ({(error.strerror or str(error)).lower()})") from error
    except InputError as error:
        raise ModelError(f"{path / RECORD}: {error}") from error
    if not record.finished:
        raise ModelError(f"{path}: the ensemble is not finished; the command that began it goes on with --resume")
    return record
