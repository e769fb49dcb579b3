"""Chooses network, width and input size of a run by its budget, where the user left them open."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeclf.artifact.model_file import ModelFile
from edgeclf.dataset.probing import DataProbe
from edgeclf.errors import InputError
from edgeclf.keras_files.configuration import read_configuration
from edgeclf.keras_files.loading import locate_float_file
from edgeclf.keras_files.tflite_start import is_tflite_start
from edgeclf.progress import Progress, show
from edgeclf.training.budget.candidates import (
    Candidate,
    Offer,
    Request,
    StartOption,
    list_of_file,
    list_scratch,
    list_started,
    square_side,
)
from edgeclf.training.budget.choice import (
    RANKING,
    NetworkChoice,
    NothingFitsError,
    choose,
    describe_choice,
    take_anyway,
)
from edgeclf.training.budget.cost import UncountableError
from edgeclf.training.budget.counting import CountAtSize, count_configuration, own_size
from edgeclf.training.budget.limits import (
    BOARDS,
    DEFAULT_BOARD,
    HEURISTIC,
    LARGEST_SIDE,
    LARGEST_SIDES,
    Limits,
    find_limits,
)
from edgeclf.training.budget.speed import BoardSpeed, MeasuredHere, Speed
from edgeclf.training.budget.tflite_counting import count_tflite
from edgeclf.training.config import TrainConfig
from edgeclf.training.defaults import automatic_networks
from edgeclf.training.downloads import fetch_weights
from edgeclf.training.networks import NETWORKS, check_network, has_weights
from edgeclf.training.networks.sizes import SMALL_IMAGES
from edgeclf.training.starts import KerasDownload
from edgeclf.training.starts.start import Availability


@dataclass(frozen=True)
class Budget:
    """What was asked for.

    Args:
        limits: that hold.
        text: in words.
        asked: whether the user asked for it; else photos get the default, which refuses nothing.
        largest_side: of the input that is chosen by itself, pixels.
        speed: how milliseconds are found; None: latency is no limit.
    """

    limits: Limits
    text: str
    asked: bool
    largest_side: int
    speed: Speed | None = None


def choose_network(
    config: TrainConfig, probe: DataProbe, *, trust_model: bool, progress: Progress
) -> tuple[TrainConfig, NetworkChoice | None]:
    """Choose what `config` leaves open of network, width and input size, and log the choice.

    A budget that was asked for and that nothing fits is refused, unless width or input size was given: then it warns.

    Args:
        config: settings of the user.
        probe: number and size of the images.
        trust_model: a file may be loaded even if that runs code from it.
        progress: where the choice and downloads are shown.

    Returns:
        `config` with the choice; None: nothing was chosen here, and the defaults of the data hold.

    Raises:
        InputError: the budget cannot be used.
        NothingFitsError: no candidate fits.
    """
    budget = find_budget(config, trust_model=trust_model)
    if not budget.asked and not chooses_by_default(config, probe):
        return config, None
    make_offers = functools.partial(list_offers, config, probe, budget, trust_model=trust_model)
    offers = make_offers()
    if budget.asked and not offers:
        raise InputError(
            f"what {config.model or 'a network'} costs cannot be counted; leave --for, --max-size and --max-latency out"
        )
    try:
        choice = _choose_available(offers, make_offers, budget, progress) if offers else None
    except NothingFitsError as refused:
        if budget.asked and config.image_size is None and config.width is None:
            raise
        source = "" if budget.speed is None else budget.speed.source
        choice = take_anyway(refused, budget.limits, budget.text, latency_from=source) if budget.asked else None
        if choice is not None:
            progress.warn(choice.reason)
    if choice is None:
        return config, None
    choice = dataclasses.replace(choice, asked=budget.asked)
    _log(choice, progress)
    return _apply(config, choice.chosen), choice


def find_budget(config: TrainConfig, *, trust_model: bool = False) -> Budget:
    """Return the budget of a run.

    Args:
        config: settings of the user.
        trust_model: a file may be loaded even if that runs code from it.

    Raises:
        UnknownNameError: there is no such board.
        InputError: options do not go together, or the report of a board cannot be used.
    """
    asked = any(value is not None for value in (config.board, config.max_latency, config.max_size))
    report = config.board if config.board is not None and config.board.endswith(".json") else None
    if report is not None and config.max_latency is None:
        raise InputError(
            f"--for {report} says how fast a board is; add --max-latency MS, or name one of {', '.join(BOARDS)}"
        )
    if config.max_latency is not None and report is None and "TF_CONFIG" in os.environ:
        raise InputError(
            "--max-latency is measured on this machine, and several workers must choose alike; give the bench.json of "
            "the board with --for, or --model, --width and --image-size"
        )
    board = (None if report else config.board) if asked else DEFAULT_BOARD
    limits = find_limits(board, config.max_latency, config.max_size)
    named = [
        *([f"--for {config.board}"] if config.board else []),
        *([f"--max-latency {config.max_latency:g}"] if config.max_latency is not None else []),
        *([f"--max-size {config.max_size:g}"] if config.max_size is not None else []),
    ]
    text = f"{' '.join(named) or f'the budget of a {DEFAULT_BOARD}'} ({limits.text})"
    speed: Speed | None = None
    if config.max_latency is not None:
        speed = MeasuredHere(config, trust_model) if report is None else BoardSpeed.read(report)
    return Budget(limits, text, asked, LARGEST_SIDES.get(board or "", LARGEST_SIDE), speed)


def name_budget(config: TrainConfig) -> str:
    """Name a budget for a run folder, such as `zero2` or `300kb`; empty: none was asked for."""
    board = None if config.board is None else Path(config.board).stem
    parts = [
        *([board] if board else []),
        *([f"{config.max_latency:g}ms"] if config.max_latency is not None else []),
        *([f"{config.max_size:g}kb"] if config.max_size is not None else []),
    ]
    return "-".join(parts)


def chooses_by_default(config: TrainConfig, probe: DataProbe) -> bool:
    """Return whether the default budget has anything to choose: of photos, from pretrained weights.

    Args:
        config: settings of the user, without a budget.
        probe: number and size of the images.
    """
    # With frozen features the images keep the size that these know: nothing is trained that a smaller one would save.
    if config.quick or config.weights == "none" or _side(probe) <= SMALL_IMAGES:
        return False
    if config.weights != "auto":
        return config.image_size is None
    network = NETWORKS.get(config.model or "")
    return config.model is None or (network is not None and has_weights(network, config.width))


def _side(probe: DataProbe) -> int:
    return min(probe.median_height, probe.median_width)


def list_offers(
    config: TrainConfig, probe: DataProbe, budget: Budget, *, trust_model: bool, offline: bool = False
) -> list[Offer]:
    """List candidates with their starts, `offline` local ones; none where the default budget has nothing to choose."""
    given = square_side(config.image_size)
    request = Request(len(probe.classes), _side(probe), budget.largest_side, config.model, config.width, given)
    if config.weights not in ("auto", "none"):
        return _list_of_file(config, request, budget, trust_model=trust_model)
    if config.model is not None:
        check_network(config.model, config.width, config.image_size)
    small = request.side <= SMALL_IMAGES
    if config.weights == "auto" and not (small and config.model is None):
        started = list_started(request, [option for option in _start_options() if option.is_local or not offline])
        if started:
            return started
    if not budget.asked:
        return []
    default = automatic_networks(config.replace(weights="none"), probe)[0].model
    return list_scratch(request, default)


def _start_options() -> list[StartOption]:
    found = []
    for name, network in NETWORKS.items():
        for start in network.starts:
            where = start.availability()
            if where in (Availability.LOCAL, Availability.DOWNLOAD):
                local = where is Availability.LOCAL
                found.append(
                    StartOption(name, start.width, start.rows, start.imagenet_top1, start.origin, local, start)
                )
    return found


def _list_of_file(config: TrainConfig, request: Request, budget: Budget, *, trust_model: bool) -> list[Offer]:
    path = Path(config.weights)
    name = config.model or path.absolute().stem.replace("_", "-")
    try:
        count, (height, width) = _read_file(path, request.classes, trust_model=trust_model)
        if height == width or budget.asked:
            return list_of_file(request, name, count, height if height == width else None, path.name)
    except UncountableError as error:
        if budget.asked:
            raise InputError(
                f"{path.name}: what it costs cannot be counted ({error}); leave --for, --max-size and --max-latency "
                "out, and give --image-size"
            ) from error
    return []  # it keeps its size


def _read_file(path: Path, classes: int, *, trust_model: bool) -> tuple[CountAtSize, tuple[int | None, int | None]]:
    """Read what a file costs at a size, and the height and width of its input; None: any."""
    if is_tflite_start(path):
        return count_tflite(file := ModelFile.read(path), classes), (file.shape.height, file.shape.width)
    config = read_configuration(locate_float_file(path, trust_model=trust_model))[1]
    return count_configuration(config, classes), own_size(config) or (None, None)


def _choose_available(
    offers: Sequence[Offer], make_offers: Callable[..., list[Offer]], budget: Budget, progress: Progress
) -> NetworkChoice | None:
    """Choose, and download what the chosen one starts from; where that fails, choose among what is on this machine.

    Args:
        offers: to choose from.
        make_offers: lists those that need no download, with `offline`.
        budget: that holds.
        progress: where downloads are announced.

    Returns:
        None where there is nothing on this machine, and nobody asked for a budget.

    Raises:
        NothingFitsError: no candidate fits.
    """
    time = None if budget.speed is None else budget.speed.timer(progress)
    source = "" if budget.speed is None else budget.speed.source

    def pick(among: Sequence[Offer]) -> NetworkChoice:
        return choose(_candidates(among), budget.limits, budget.text, time=time, latency_from=source)

    choice = pick(offers)
    option = next(offer.option for offer in offers if offer.candidate.key == choice.chosen.key)
    start = None if option is None else option.start
    if not isinstance(start, KerasDownload) or start.is_local:
        return choice
    if fetch_weights(start.url, start.path, start.checksum, progress):
        return choice
    local = make_offers(offline=True)
    return pick(local) if local else None


def _candidates(offers: Sequence[Offer]) -> list[Candidate]:
    return [offer.candidate for offer in offers]


def _apply(config: TrainConfig, chosen: Candidate) -> TrainConfig:
    """Return `config` with what was chosen; the width that a network has by itself is left to it."""
    network = NETWORKS.get(chosen.network)
    own = network.default_width if network else None
    width = config.width if chosen.width == own or chosen.width is None else chosen.width
    if config.weights not in ("auto", "none"):
        return config.replace(image_size=config.image_size or chosen.image_size)
    return config.replace(model=chosen.network, width=width, image_size=config.image_size or chosen.image_size)


def _log(choice: NetworkChoice, progress: Progress) -> None:
    show(progress, choice, describe_choice(choice))
    progress.info(f"chosen: {choice.reason}")
    if choice.asked:
        progress.info(f"{RANKING}; {HEURISTIC}")
