"""Plans a search, and refuses what cannot work before the seconds that an import of TensorFlow takes."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeclf.artifact.folder_lock import lock_folder
from edgeclf.compression.budget.ladder import TRIED_STEPS
from edgeclf.compression.budget.limits import Budget
from edgeclf.compression.choice import SMALLER_FORMATS, SPECIAL_FORMATS, Asked, choose_recipes, find_unused
from edgeclf.compression.export.formats import FORMATS
from edgeclf.compression.export.tflite import TFLite
from edgeclf.compression.pipeline.plan import CompressPlan
from edgeclf.compression.pipeline.request import check_request, find_folder, hold_folders
from edgeclf.compression.recipe import Recipe
from edgeclf.compression.step import STEPS
from edgeclf.compression.steps.shrink import Shrink
from edgeclf.errors import InputError
from edgeclf.extras import require
from edgeclf.keras_files.loading import locate_network
from edgeclf.progress import Progress
from edgeclf.search.storage import open_storage
from edgeclf.training.budget.speed import BoardSpeed

if TYPE_CHECKING:
    from edgeclf.compression.compress_report import CompressReport


_GOALS = ("shrink_target_macs", "shrink_target_latency", "shrink_target_size", "shrink_board")
"""Settings that stand for the fraction that the search chooses."""


LACKS_IMAGES = "--max-drop needs labelled images to measure the drop on; name them with --data"


@dataclass(frozen=True)
class SearchPlan:
    """A search for the cheapest recipe that holds a budget.

    Attributes:
        compress: the source, the images and the output; its recipes are those without steps that the search begins
            with, or all that it tries.
        budget: the limits.
        settings: of the steps and exporters, by key; what is set here is not searched for.
        fixed: whether the recipes are all that is tried, in their order.
        named: whether the caller named recipes or formats.

    Raises:
        InputError: something is asked for that a search does not make.
    """

    compress: CompressPlan
    budget: Budget
    settings: Mapping[str, Any]
    fixed: bool
    named: bool = False

    def find_unused(self) -> tuple[str, ...]:
        """Return the keys of the settings that no recipe which may be tried has."""
        steps = () if self.fixed else tuple(STEPS[kind]() for kind in TRIED_STEPS)
        return find_unused(self.compress.recipes, self.settings, steps)

    def __post_init__(self) -> None:
        if self.compress.sensitivity:
            raise InputError(
                "--sensitivity measures recipes that are named, without a budget; leave one of the two out"
            )
        goal = next((key for key in _GOALS if self.settings.get(key) is not None), None)
        if goal is not None and not self.fixed:
            raise InputError(
                f"the search for a budget chooses itself how much is shrunk; leave {goal} out, or name the recipes "
                "that are to be tried with --recipe"
            )
        if self.fixed and self.budget.trials not in (0, Budget.trials):
            raise InputError(
                f"--trials {self.budget.trials}: only the recipes that are named are tried; leave one of the two out"
            )
        if self.budget.max_drop is None and self.budget.judge != Budget.judge:
            raise InputError(
                f"--judge {self.budget.judge} is how a drop is compared with --max-drop, which is not given; add it "
                "or leave --judge out"
            )
        if self.budget.max_drop is not None and self.compress.unlabelled:
            raise InputError(
                "--max-drop needs labels that are the network's classes; leave --unlabelled out, or judge by size and "
                "time alone"
            )


def choose_bases(asked: Asked, budget: Budget) -> tuple[Recipe, ...]:
    """Return the recipes that a search begins with: those named, else one a format without steps.

    By default that is int8, and int4 where the size is limited. Of several formats int8 leads whatever order they are
    named in, and float ones come last: what holds first is picked.

    Raises:
        InputError: steps are named, which the search chooses itself.
    """
    named = next((kind for kind, value in asked.steps.items() if value is not None and value is not False), None)
    if named is not None:
        step = asked.steps[named]
        option = f"--{named}" if not isinstance(step, Shrink) else step.options
        raise InputError(
            f"the search for a budget chooses the steps itself; leave {option} out, or name the recipes that are to "
            "be tried with --recipe"
        )
    if asked.recipes is None and not asked.formats:
        asked = dataclasses.replace(asked, formats=SPECIAL_FORMATS)
        if budget.max_size is not None:
            with contextlib.suppress(InputError):  # settings of int8 that the smaller ones do not have
                return choose_recipes(dataclasses.replace(asked, formats=SPECIAL_FORMATS + SMALLER_FORMATS))
    return choose_recipes(dataclasses.replace(asked, formats=tuple(sorted(asked.formats, key=_place))))


def _place(name: str) -> tuple[bool, bool]:
    """Return where a format comes among others: int8, other integers, the rest."""
    return name not in SPECIAL_FORMATS, name not in FORMATS or not FORMATS[name].integer


def run_search(plan: SearchPlan, progress: Progress) -> CompressReport:
    """Refuse what cannot work, and search.

    Raises:
        InputError: the source, the data, the budget or the output cannot be used.
        RunFailedError: the disk is full.
    """
    require("a search for a budget", "optuna")
    # a format that is derived from TFLite is measured as such, whatever is written of it in the end
    others = (one for one in plan.compress.recipes if not isinstance(one.export, TFLite))
    other = next((one for one in others if one.export.suffix != TFLite.suffix), None)
    limits = (("max_latency", "timed"), ("max_drop", "run on images"))
    asked = next(((name, done) for name, done in limits if getattr(plan.budget, name) is not None), None)
    if other is not None and asked is not None:
        raise InputError(
            f"--{asked[0].replace('_', '-')} holds for {TFLite.suffix} files, and {other.name} makes a "
            f"{other.export.suffix} file, which is not {asked[1]}; leave one of the two out"
        )
    if plan.budget.board is not None:
        BoardSpeed.read(plan.budget.board)
    if plan.budget.storage is not None:
        open_storage(plan.budget.storage)
    with _hold(plan):
        # what is written is known at the end alone; existing models are looked at then
        images = check_request(dataclasses.replace(plan.compress, overwrite=True), progress)
        if images is None and plan.budget.max_drop is not None:
            raise InputError(LACKS_IMAGES)
        with progress.task("loading TensorFlow", None):
            from edgeclf.compression.budget.search import search

        return search(plan, progress, images)


@contextlib.contextmanager
def _hold(plan: SearchPlan) -> Iterator[None]:
    """Lock the folders; workers that share a search may share the run that they read, not the folder they write to."""
    if plan.budget.storage is None:
        with hold_folders(plan.compress):
            yield
        return
    path, run = locate_network(plan.compress.source)
    with lock_folder(find_folder(plan.compress, path, run)):
        yield
