"""What a training run will be, found and checked before TensorFlow is imported, which takes seconds."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeclf.artifact.folder_lock import lock_folder
from edgeclf.artifact.run_folder import RUN_FILES, RunFolder
from edgeclf.atomic import check_writable
from edgeclf.dataset import probe
from edgeclf.dataset.probing import DataProbe
from edgeclf.errors import InputError
from edgeclf.image.point_files import POINT_SUFFIXES
from edgeclf.image.shape import DEFAULT_VIEWS, count_views, views_fit
from edgeclf.keras_files.loading import locate_float_file
from edgeclf.keras_files.tflite_start import check_tflite_start, is_tflite_start
from edgeclf.training.budget.choice import NetworkChoice
from edgeclf.training.budget.limits import DEFAULT_BOARD
from edgeclf.training.budget.planning import choose_network, chooses_by_default, name_budget
from edgeclf.training.checkpoint import read_state
from edgeclf.training.config import TrainConfig
from edgeclf.training.defaults import complete
from edgeclf.training.earlier_run import find_earlier, resume_config
from edgeclf.training.idle_settings import check_idle, check_quick, describe_idle
from edgeclf.training.kept_sources import check_kept
from edgeclf.training.networks import NETWORKS, check_network, find_network, has_weights
from edgeclf.training.parent_run import ParentRun, check_folder, find_parent
from edgeclf.training.plan import TrainPlan
from edgeclf.training.pretraining.config import PretrainConfig
from edgeclf.training.teacher import check_teacher


@dataclass(frozen=True)
class RunPlan:
    """What is known before weights or photos are read.

    Args:
        folder: the run folder.
        config: settings of the user, or those of the run that is resumed.
        probe: number and size of the images.
        earlier: the record of the run that is resumed, or is finished; None: a run begins.
        choice: of network, width and input size by a budget; None: there was none.
        parent: the run that this one grows from; None: none.
    """

    folder: RunFolder
    config: TrainConfig
    probe: DataProbe
    earlier: dict[str, Any] | None = None
    choice: NetworkChoice | None = None
    parent: ParentRun | None = None

    @property
    def report(self) -> dict[str, Any] | None:
        """The report of a finished run, which may have been moved since; None: it is not finished."""
        if not self.earlier or not self.earlier.get("finished"):
            return None
        return {**self.earlier["report"], "run": str(self.folder.path)}

    @property
    def start(self) -> dict[str, Any] | None:
        """Identity of what the run that is resumed began from; None: a run begins, or it is not known."""
        return self.earlier.get("start") if self.earlier else None


def plan_run(request: TrainPlan) -> RunPlan:
    """Find the run folder and what lies in it, and refuse what cannot work. Nothing is written.

    Raises:
        InputError: the settings, the weights or the folder cannot be used.
    """
    return _continue_run(request, _locate_run(request))


@contextlib.contextmanager
def hold_run(request: TrainPlan) -> Iterator[RunPlan]:
    """Plan a run as `plan_run` does, with its folder locked against other commands while the block runs.

    Raises:
        InputError: the settings or the weights cannot be used.
        OutputError: the folder holds a run already or cannot be written, or another command works in it.
    """
    located = _locate_run(request)
    with contextlib.ExitStack() as stack:
        if not (request.resume and _is_finished(located.folder)):
            stack.enter_context(lock_folder(located.folder.path))
        found = _continue_run(request, located)
        if found.report is None:
            check_writable(found.folder.path)  # before photos are read, and a teacher predicts all of them
        yield found


def check_scratch_settings(config: TrainConfig) -> None:
    """Refuse settings that are for training from scratch, where a run starts from pretrained weights."""
    named = [name for name in ("l1", "l2", "progressive") if getattr(config, name)]
    if named:
        raise InputError(
            f"{' and '.join(named)} can be set for training from scratch only, and this run starts from pretrained "
            "weights; leave the setting out, or add --weights none"
        )


def file_model(path: Path) -> str:
    """Return the name of the network in the file `path`, where the user gives it none."""
    return path.absolute().stem.replace("_", "-")


def _locate_run(request: TrainPlan) -> RunPlan:
    config = request.config
    if config.model is not None:
        find_network(config.model)
    seen = probe(request.data)
    name = config.name or _name_run(config, seen)
    if request.out is None and config.name is None and config.from_run is not None:
        parent = find_parent(config, trust_model=request.trust_model)
        name = name if parent is None else parent.next_name()
    return RunPlan(RunFolder(request.out or Path("runs") / name, must_exist=False), config, seen)


def _name_run(config: TrainConfig, seen: DataProbe) -> str:
    """Name a run by data, network and budget, as far as they are known before a network is chosen."""
    model, budget = config.model, name_budget(config)
    if model is None and config.weights not in ("auto", "none"):
        model = file_model(Path(config.weights))
    elif model is None and not budget:
        chosen = chooses_by_default(config, seen)
        model = DEFAULT_BOARD if chosen else complete(config, seen, pretrained=False).model
    method = config.method if isinstance(config, PretrainConfig) else ""
    return "-".join(part for part in (seen.name, model, budget, method) if part)


def _continue_run(request: TrainPlan, plan: RunPlan) -> RunPlan:
    folder = plan.folder
    earlier = find_earlier(folder, resume=request.resume, overwrite=request.overwrite)
    given = plan.config.list_given(request.named)
    config = (
        resume_config(plan.config, earlier, folder.path, given)
        if earlier
        else _suit_fit(plan.config, plan.probe, given)
    )
    _log_settings(plan.config, config, f"{folder.path} goes on with its own settings", request)
    found = RunPlan(folder, config, plan.probe, earlier, None if earlier is None else _earlier_choice(earlier))
    if found.report is None:
        if earlier is not None:
            read_state(folder.checkpoint_path)
        if earlier is None:
            check_idle(config, given, request.named)
            if config.quick:
                check_quick(given)
        found = _take_over(found, given, trust_model=request.trust_model)
        if earlier is None and found.parent is not None:
            _log_settings(config, found.config, f"{found.parent.folder.path} hands its settings on", request)
        _check_settings(found, trust_model=request.trust_model)
    if earlier is None and found.parent is None:
        trust, progress = request.trust_model, request.progress
        config, choice = choose_network(config, plan.probe, trust_model=trust, progress=progress)
        found = dataclasses.replace(found, config=config, choice=choice)
    return found


def _suit_fit(config: TrainConfig, seen: DataProbe, given: frozenset[str]) -> TrainConfig:
    """Return `config` with a fit that suits what the data holds: photos, or objects in space.

    Raises:
        InputError: the fit that is set is for the other kind.
    """
    views = count_views(config.fit)
    if views and not seen.holds_objects:
        raise InputError(
            f"{seen.name}: holds photos, and --views is for point clouds and meshes "
            f"({', '.join(sorted(POINT_SUFFIXES))}); leave --views out"
        )
    if views or not seen.holds_objects:
        return config
    if "fit" in given:
        raise InputError(
            f"{seen.name}: holds point clouds or meshes, which have no aspect ratio; leave --fit {config.fit} out"
        )
    if config.from_run is not None:
        return config
    return config.replace(fit=views_fit(DEFAULT_VIEWS))


def _earlier_choice(record: dict[str, Any]) -> NetworkChoice | None:
    """Return the choice of the run that is resumed; None: there was none, or another version wrote it."""
    with contextlib.suppress(InputError):
        return NetworkChoice.from_dict(record["choice"]) if record.get("choice") else None
    return None


def _take_over(plan: RunPlan, given: frozenset[str], *, trust_model: bool) -> RunPlan:
    """Return the plan with the run that it grows from, and where it begins with those of its settings not `given`."""
    parent = find_parent(plan.config, trust_model=trust_model)
    if parent is None:
        return plan
    check_folder(parent, plan.folder)
    parent.check_classes(plan.probe.classes, plan.probe.name)
    config = plan.config
    if plan.earlier is None:
        config = parent.complete_config(config, given)
        for name in ("l1", "l2"):
            if reason := describe_idle(name, config):
                raise InputError(
                    f"{parent.folder.path} was trained with {name} {getattr(config, name):g}, which has no effect "
                    f"{reason}; leave the optimizer out, or train without --from"
                )
    return dataclasses.replace(plan, config=config, parent=parent)


def _log_settings(typed: TrainConfig, config: TrainConfig, reason: str, request: TrainPlan) -> None:
    """Log the settings of an earlier run that were not repeated, and are not the defaults."""
    given, default = typed.to_dict(), type(typed)().to_dict()
    own = [
        f"{name} {value}"
        for name, value in config.to_dict().items()
        if given[name] == default[name] != value and default[name] is not None
    ]
    if own:
        request.progress.info(f"{reason}: {', '.join(own)}")


def _check_settings(plan: RunPlan, *, trust_model: bool) -> None:
    """Refuse settings that do not fit the network, weights that cannot be loaded, and a teacher that is not there."""
    config = plan.config
    if plan.earlier is None:
        check_kept(config, plan.folder.path, RUN_FILES, "run")
    if config.teacher is not None:
        check_teacher(config.teacher, plan.folder, resumes=plan.earlier is not None)
    if plan.parent is not None:
        return
    if config.weights not in ("auto", "none"):
        check_scratch_settings(config)
        if config.width is not None and config.model is None:
            raise InputError(
                f"{config.weights} is one network, which has its width already; leave --width out, or give --model as "
                "well, to have both compared with it"
            )
        if is_tflite_start(config.weights):
            check_tflite_start(config.weights)
        else:
            locate_float_file(config.weights, trust_model=trust_model)
        return
    chosen = complete(config, plan.probe, pretrained=False)
    network = NETWORKS[chosen.model or ""]
    if config.weights == "auto" and has_weights(network, config.width):
        if plan.start is None or plan.start.get("origin") is not None:
            check_scratch_settings(config)
        return
    check_network(chosen.model or "", config.width, chosen.image_size)
    if config.progressive and not network.any_size:
        raise InputError(f"progressive needs a network for images of any size; {chosen.model} is built for one size")


def _is_finished(folder: RunFolder) -> bool:
    if not RunFolder.is_one(folder.path):
        return False
    try:
        return folder.run_json.get("finished") is True
    except InputError:
        return False
