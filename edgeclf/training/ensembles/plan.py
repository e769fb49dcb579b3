"""What the training of an ensemble is to do, and the folder that it works in; importable without TensorFlow."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeclf.artifact.ensemble_folder import (
    AVERAGE,
    MOST_MEMBERS,
    RECORD,
    EnsembleRecord,
    Stacking,
    check_combine,
    is_ensemble_folder,
)
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.atomic import check_writable, explained, write_text
from edgeclf.dataset import Listing, load_dataset, probe
from edgeclf.errors import InputError, OutputError
from edgeclf.json_text import read_json, write_json
from edgeclf.progress import Progress
from edgeclf.training.config import LARGEST_SEED, SHAPE, TrainConfig
from edgeclf.training.earlier_run import has_finished_epoch
from edgeclf.training.kept_sources import check_kept
from edgeclf.training.plan import TrainPlan, check_continuation
from edgeclf.training.run_plan import plan_run


@dataclass(frozen=True)
class EnsemblePlan:
    """The training of an ensemble: made once from keywords, and handed on whole.

    Args:
        data: the photos.
        config: settings of all members; its seed is that of the first, each further one has the next.
        members: how many.
        out: the folder.
        combine: `average` or `stack`.
        resume: go on where an earlier call ended.
        overwrite: replace an earlier ensemble in `out`.
        trust_model: load a `weights` file even if that runs code from it.
        named: settings that the user gave one by one, also as what is their default.
        began: seconds of `time.monotonic`.

    Raises:
        InputError: there are too few or too many members, they would not differ, or have seeds that are too large; or
            an earlier ensemble is to be both continued and replaced.
    """

    data: Listing
    config: TrainConfig
    members: int
    out: Path
    combine: str = AVERAGE
    resume: bool = False
    overwrite: bool = False
    trust_model: bool = False
    named: frozenset[str] = frozenset()
    began: float = dataclasses.field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        check_combine(self.combine)
        check_continuation(resume=self.resume, overwrite=self.overwrite)
        if not 2 <= self.members <= MOST_MEMBERS:
            raise InputError(f"--members must be between 2 and {MOST_MEMBERS}, got {self.members}")
        if self.seeds[-1] > LARGEST_SEED:
            raise InputError(
                f"--members trains with the seeds {self.seeds[0]} to {self.seeds[-1]}, which must be at most "
                f"{LARGEST_SEED}; choose a lower --seed"
            )
        if self.config.quick:
            raise InputError(
                "--members trains networks with other seeds, and --quick fits the same classifier with each; leave one "
                "of the two out"
            )
        if self.config.from_run is not None:
            raise InputError("--members trains networks anew, and --from grows one run; leave one of the two out")
        if "TF_CONFIG" in os.environ:
            raise InputError("--members trains on one machine; leave it out, or TF_CONFIG")

    @property
    def seeds(self) -> range:
        """Seeds of the members."""
        return range(self.config.seed, self.config.seed + self.members)

    @property
    def begun(self) -> list[int]:
        """Seeds of the members of which an epoch is finished."""
        return [one for one in self.seeds if has_finished_epoch(RunFolder(self.member_path(one), must_exist=False))]

    def member_path(self, seed: int) -> Path:
        """Return the run folder of a member."""
        return self.out / f"{self.out.resolve().name}-seed{seed}"


def name_ensemble(data: Listing, config: TrainConfig, members: int) -> Path:
    """Return the folder where the user names none."""
    return Path("runs") / "-".join(filter(None, (config.name or probe(data).name, config.model, f"x{members}")))


def find_members(out: Path) -> list[RunFolder]:
    """List the members of an ensemble that were begun, finished or not, by their names; without one, none."""
    if not is_ensemble_folder(out):
        return []
    return [RunFolder(path) for path in sorted(out.iterdir()) if RunFolder.is_one(path)]


def begin_ensemble(plan: EnsemblePlan, progress: Progress) -> EnsemblePlan:
    """Make the folder, or go on in it; nothing of the members is touched without `overwrite`.

    Returns:
        the plan with the network, width and input size where a budget chose them: once for all members, which noise in
        measured times must not give different ones.

    Raises:
        OutputError: it holds something else, or an ensemble already.
        InputError: the settings of the members cannot be used, or, with `overwrite`, the photos cannot.
        RunFailedError: the disk is full.
    """
    out = plan.out
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file; an ensemble needs a folder; choose another place with --out")
    content = [path for path in out.iterdir() if not path.name.startswith(".")] if out.is_dir() else []
    if content and not (out / RECORD).is_file():
        raise OutputError(f"{out}: holds other files; an ensemble needs a folder of its own; choose another --out")
    if content and not (plan.resume or plan.overwrite):
        raise OutputError(
            f"{out}: holds an ensemble already; go on with --resume, replace it with --overwrite, or choose another "
            "--out"
        )
    if content and plan.resume:
        _check_resumed(plan)
    begun = plan.begun if plan.resume else []
    seed = next(iter(begun), plan.config.seed)
    # what is wrong with the settings is reported before the folder is made, or an earlier ensemble removed
    request = TrainPlan(
        plan.data,
        plan.config.replace(seed=seed),
        named=plan.named,
        out=plan.member_path(seed),
        resume=plan.resume,
        overwrite=plan.overwrite,
        trust_model=plan.trust_model,
    )
    found = plan_run(request)
    if content and plan.overwrite:
        replaced = _list_replaced(out, plan)
        check_kept(plan.config, out, replaced, "ensemble")
        # photos that cannot be used are reported before that, too
        shape = found.config.input_shape
        load_dataset(plan.data, image_size=shape.size, fit=shape.fit, progress=progress)
        _clear(out, replaced)
    check_writable(out)
    if not (content and plan.resume):  # what goes on stays what it is until its members are known to fit
        write_record(plan, finished=False)
    if begun:
        # members that were not begun get the settings of those that were, also those that are not repeated
        config = found.config.replace(seed=plan.config.seed)
        if config.weights not in ("auto", "none"):  # the network of a file is named after it, which is no known name
            config = config.replace(model=plan.config.model, width=plan.config.width)
        return dataclasses.replace(plan, config=config)
    chosen = SHAPE if plan.config.weights in ("auto", "none") else ("image_size",)
    settled = {name: getattr(found.config, name) for name in chosen} if found.choice is not None else {}
    return dataclasses.replace(plan, config=plan.config.replace(**settled))


def write_record(plan: EnsemblePlan, *, finished: bool, stacking: Stacking | None = None) -> None:
    """Write what the folder holds.

    Raises:
        RunFailedError: the disk is full.
    """
    names = tuple(plan.member_path(seed).name for seed in plan.seeds)
    record = EnsembleRecord(names, plan.data.class_names, plan.combine, stacking, finished)
    write_text(plan.out / RECORD, write_json(record.to_dict()) + "\n")


def _check_resumed(plan: EnsemblePlan) -> None:
    """Refuse to go on with an ensemble of other members, or with another way to combine them.

    Raises:
        InputError: it is so.
        OutputError: its record cannot be read.
    """
    earlier = _read_record(plan.out)
    name, mark, seed = earlier.members[0].rpartition("-seed")
    if not mark:
        raise OutputError(f"{plan.out / RECORD}: its members are named as edgeclf names none; choose another --out")
    was = f"--members {len(earlier.members)} --seed {seed} --combine {earlier.combine}"
    now = f"--members {plan.members} --seed {plan.config.seed} --combine {plan.combine}"
    if was != now:
        raise InputError(f"{plan.out}: was begun with {was}; got {now}: give what it was begun with, or another --out")
    if earlier.members[0] != plan.member_path(plan.config.seed).name:
        raise InputError(f"{plan.out}: was called {name} when it was begun; give it that name again")


def _read_record(out: Path) -> EnsembleRecord:
    try:
        return EnsembleRecord.from_dict(read_json(out / RECORD))
    except InputError as error:
        raise OutputError(f"{out / RECORD}: {error}; remove the folder yourself, or choose another --out") from error


def _clear(out: Path, members: Sequence[str]) -> None:
    """Remove the members of an earlier ensemble."""
    for name in members:
        if RunFolder(out / name, must_exist=False).marks():
            with explained(out / name):
                shutil.rmtree(out / name)


def _list_replaced(out: Path, plan: EnsemblePlan) -> tuple[str, ...]:
    """List the members that go: those that an earlier ensemble names, and those whose places are needed."""
    return tuple(dict.fromkeys((*_read_record(out).members, *(plan.member_path(seed).name for seed in plan.seeds))))
