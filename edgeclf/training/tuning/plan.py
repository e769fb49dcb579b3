"""What one search is to do, and the folder that it works in; importable without TensorFlow."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeclf.artifact.run_folder import RunFolder
from edgeclf.atomic import check_writable, explained, write_text
from edgeclf.dataset import Listing, probe
from edgeclf.errors import InputError, OutputError
from edgeclf.json_text import read_json, write_json
from edgeclf.records import Record
from edgeclf.search import Choice
from edgeclf.search.sampling import check_method
from edgeclf.search.storage import show_url
from edgeclf.training.config import TrainConfig
from edgeclf.training.kept_sources import check_kept
from edgeclf.training.recorded_predictions import RECORDED
from edgeclf.training.tuning.report import BEST, JSON_NAME, PAGE_NAME, Trained
from edgeclf.training.tuning.shapes import SearchSpace, kinds_of, list_shapes
from edgeclf.training.tuning.space import DIMENSIONS, Part, choose_parts

_LATER = {"teacher_views": 1}
"""Settings that came after others, and what their absence means: a search that was begun before them goes on where
nothing else is asked for. Those whose absence means None need no line here."""
JOURNAL, IDENTITY, TRIALS = "study.journal", "study.json", "trials"
OWN = (JOURNAL, f"{JOURNAL}.lock", JSON_NAME, PAGE_NAME, BEST, TRIALS, IDENTITY)
"""What a search writes into its folder; the record of what it is goes last."""


@dataclass(frozen=True)
class Search(Record):
    """How long and how is searched.

    Args:
        trials: at most so many in the whole study, that of the defaults included.
        hours: after which no other trial begins; None: no limit.
        method: `tpe`, `random` or `grid`.
        pruner: which trials are given up early: `none`, `median` or `hyperband`.
        storage: URL of a database through which several machines share the search; None: a file in the folder.

    Raises:
        InputError: a value is out of range.
    """

    trials: int = 50
    hours: float | None = None
    method: str = "tpe"
    pruner: str = "median"
    storage: str | None = None

    def __post_init__(self) -> None:
        check_method(self.method, self.pruner)
        if self.trials < 1:
            raise InputError(f"--trials must be at least 1, got {self.trials}")
        if self.hours is not None and not 0 < self.hours < float("inf"):
            raise InputError(f"--hours must be above 0, got {self.hours:g}")


@dataclass(frozen=True)
class TunePlan:
    """One search: made once from keywords, and handed on whole.

    Args:
        data: the photos.
        config: settings that all trials have.
        narrowed: what is searched instead of, or besides, what is declared.
        search: how long and how.
        out: the folder.
        overwrite: replace an earlier search in `out`.
        trust_model: load `config.weights` even if that runs code from the file.
        named: settings that the user gave one by one, also as what is their default; these are not searched.
        began: seconds of `time.monotonic`.

    Raises:
        InputError: an earlier search is to be replaced, and lies in a database.
    """

    data: Listing
    config: TrainConfig
    narrowed: Mapping[str, Part]
    search: Search
    out: Path
    overwrite: bool = False
    trust_model: bool = False
    named: frozenset[str] = frozenset()
    began: float = dataclasses.field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if self.overwrite and self.search.storage is not None:
            raise InputError(
                "--overwrite would leave the search in the database as it is; leave it out to go on, or begin another "
                "search with another --seed and --out"
            )
        teacher = self.config.teacher or ""
        if self.config.teacher_views > 1 and teacher.endswith(RECORDED) and not self._fixes("augment"):
            raise InputError(
                f"{teacher} has predictions of views that one --augment made, and the search would try others; name "
                "that one, or leave teacher_views out"
            )

    def _fixes(self, name: str) -> bool:
        """Return whether the user gave a setting one value."""
        part = self.narrowed.get(name)
        if part is not None:
            return isinstance(part, Choice) and len(part.values) == 1
        return name in self.config.list_given(self.named)

    def is_here(self, found: Trained) -> bool:
        """Return whether the run of a trial lies in this folder; a search by itself has no other one.

        Computers change their names: each container has its own. Several workers on one computer have a folder each,
        and in that of another one the trial may be half trained.
        """
        if self.search.storage is None:
            return True
        return found.machine == machine_name() and _came_to(self.out / found.run, found.validation_top1)

    @property
    def identity(self) -> str:
        """Digest of all that decides what trials are comparable: of two searches with the same one, the second goes on
        with the first. How long is searched does not belong to it."""
        config = self.config.to_dict()
        asked = {
            "config": {name: value for name, value in config.items() if _LATER.get(name) != value},
            "fixed": sorted(self.config.list_given(self.named) & {one.name for one in DIMENSIONS}),
            "space": {name: part.to_dict() for name, part in sorted(self.narrowed.items())},
            "method": self.search.method,
            "pruner": self.search.pruner,
            "data": self.data.name,
            "classes": list(self.data.class_names),
            "images": len(self.data.items),
        }
        return hashlib.sha256(write_json(asked).encode()).hexdigest()

    @property
    def study_name(self) -> str:
        """Name of the study in its storage."""
        return f"tune-{self.data.name}-{self.identity[:16]}"

    def find_space(self, *, offline: bool = False) -> SearchSpace:
        """Find what is searched: the shapes that fit, and the settings that are open.

        Args:
            offline: no weights are downloaded.

        Raises:
            InputError: no network fits what was asked for, or nothing is left to search.
        """
        seen, config = probe(self.data), self.config
        shapes = list_shapes(config, seen, self.narrowed, trust_model=self.trust_model, offline=offline)
        kinds = kinds_of(shapes)
        if config.quick:
            shapes, kinds = tuple(one for one in shapes if kinds_of([one]) == ("pretrained",)), ("quick",)
            if not shapes:
                raise InputError(
                    "--quick fits classifiers on features of pretrained networks, and these images start from scratch; "
                    "leave it out, or name such networks, as with --space model=mobilenet-v1,mobilenet-v2"
                )
        space = SearchSpace(shapes, choose_parts(config, self.narrowed, kinds, self.named))
        if len(shapes) < 2 and not space.parts:
            raise InputError("all settings are given, so there is nothing to search; leave one out, or add --space")
        return space


def check_config(config: TrainConfig) -> None:
    """Refuse settings that a search cannot have.

    Raises:
        InputError: a run is to be grown, or several machines are to train together.
    """
    if "TF_CONFIG" in os.environ:
        raise InputError(
            "each trial of a search is trained on one machine; leave TF_CONFIG out, and let several machines share the "
            "search with --storage"
        )
    if config.from_run is not None:
        raise InputError(
            "tune trains networks anew, and --from grows one run; leave it out, or start trials from its network "
            f"with --weights {config.from_run}"
        )


class TuneFolder:
    """The folder of a search.

        tune.json  tune.html   the report
        best                   a link to the run folder of the best trial
        trials/NAME-000 ...    run folders
        study.journal          what the sampler knows, unless several machines share a database
        study.json             what is searched

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, plan: TunePlan) -> None:
        """Make the folder, or go on in it.

        Raises:
            OutputError: it holds another search or other files, or cannot be written.
        """
        path, own = self.path, self._read_identity()
        if path.exists() and not path.is_dir():
            raise OutputError(f"{path}: is a file; tune takes a folder; choose another place with --out")
        if own is None and any(not one.name.startswith(".") for one in self._content()):
            raise OutputError(f"{path}: holds other files; tune takes a folder of its own; choose another --out")
        # trials in a file and those in a database have the same numbers, and would take each other's folders
        if own is not None and own != (plan.identity, plan.search.storage is not None) and not plan.overwrite:
            raise OutputError(
                f"{path}: holds a search with other settings or photos, or one that is kept elsewhere (--storage); "
                "choose another --out, or replace it with --overwrite"
            )
        if own is not None and plan.overwrite:
            check_kept(plan.config, path, OWN, "search")
            self._clear()
        check_writable(path)
        storage = None if plan.search.storage is None else show_url(plan.search.storage)
        search = dataclasses.replace(plan.search, storage=storage)
        write_text(path / IDENTITY, write_json({"identity": plan.identity, "search": search.to_dict()}) + "\n")

    @property
    def journal(self) -> Path:
        """The file of the study."""
        return self.path / JOURNAL

    def trial_path(self, name: str, number: int) -> Path:
        """Return the run folder of a trial."""
        return self.path / TRIALS / f"{name}-{number:03d}"

    def link_best(self, run: str, machine: str = "") -> str:
        """Let `best` lead to a run folder.

        Args:
            run: the folder, relative to this one.
            machine: that has it in the folder of another worker; empty: it lies in this one.

        Returns:
            why it cannot, empty where it does.
        """
        if machine or not (self.path / run).is_dir():
            with contextlib.suppress(OSError):
                (self.path / BEST).unlink(missing_ok=True)
            where = f"lies on {machine}, in the folder of its worker" if machine else "is no longer in this folder"
            return f"the best run {where}: {run}"
        with contextlib.suppress(OSError):
            temporary = self.path / f".{BEST}.partial"
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(run, target_is_directory=True)
            temporary.replace(self.path / BEST)
            return ""
        return f"no link {BEST} could be made in {self.path}: the best run is {self.path / run}"

    def _content(self) -> Sequence[Path]:
        return sorted(self.path.iterdir()) if self.path.is_dir() else ()

    def _read_identity(self) -> tuple[str, bool] | None:
        """Read what a search in the folder is, and whether its study lies in a database; None: there is none."""
        try:
            values: Any = read_json(self.path / IDENTITY)
            return str(values["identity"]), values["search"]["storage"] is not None
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def _clear(self) -> None:
        for name in OWN:
            path = self.path / name
            with explained(path):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)


def _came_to(run: Path, top1: float) -> bool:
    """Return whether a run is finished, with this top-1 on validation."""
    try:
        record = RunFolder(run).run_json
    except InputError:
        return False
    validation = (record.get("metrics") or {}).get("validation") or {}
    return record.get("finished") is True and validation.get("top1") == top1


def machine_name() -> str:
    """Return the name of this machine."""
    return socket.gethostname()
