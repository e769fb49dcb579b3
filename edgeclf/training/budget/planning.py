"""Chooses network, width and input size of a run by its budget, where the user left them open."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from edgeclf.dataset.probing import DataProbe
from edgeclf.errors import InputError
from edgeclf.progress import Progress, show
from edgeclf.training.budget.asked import Budget
from edgeclf.training.budget.candidates import (
    Candidate,
    Offer,
)
from edgeclf.training.budget.choice import (
    RANKING,
    NetworkChoice,
    NothingFitsError,
    choose,
    describe_choice,
    take_anyway,
)
from edgeclf.training.budget.limits import (
    BOARDS,
    DEFAULT_BOARD,
    HEURISTIC,
    LARGEST_SIDE,
    LARGEST_SIDES,
    find_limits,
)
from edgeclf.training.budget.offers import list_offers, smaller_side
from edgeclf.training.budget.speed import BoardSpeed, MeasuredHere, Speed
from edgeclf.training.config import TrainConfig
from edgeclf.training.downloads import fetch_weights
from edgeclf.training.networks import NETWORKS, has_weights
from edgeclf.training.networks.sizes import SMALL_IMAGES
from edgeclf.training.starts import KerasDownload


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
            f"--for {report} says how fast a board is; add --max-latency TIME, or name one of {', '.join(BOARDS)}"
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
    if config.quick or config.weights == "none" or smaller_side(probe) <= SMALL_IMAGES:
        return False
    if config.weights != "auto":
        return config.image_size is None
    network = NETWORKS.get(config.model or "")
    return config.model is None or (network is not None and has_weights(network, config.width))


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
