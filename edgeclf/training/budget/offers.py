"""Lists the candidates among which a budget chooses, each with what it starts from."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from edgeclf.artifact.model_file import ModelFile
from edgeclf.dataset.probing import DataProbe
from edgeclf.errors import InputError
from edgeclf.keras_files.configuration import read_configuration
from edgeclf.keras_files.loading import locate_float_file
from edgeclf.keras_files.tflite_start import is_tflite_start
from edgeclf.training.budget.asked import Budget
from edgeclf.training.budget.candidates import (
    Offer,
    Request,
    StartOption,
    list_of_file,
    list_scratch,
    list_started,
    square_side,
)
from edgeclf.training.budget.cost import UncountableError
from edgeclf.training.budget.counting import CountAtSize, count_configuration, own_size
from edgeclf.training.budget.tflite_counting import count_tflite
from edgeclf.training.config import TrainConfig
from edgeclf.training.defaults import automatic_networks
from edgeclf.training.networks import NETWORKS, check_network
from edgeclf.training.networks.sizes import SMALL_IMAGES
from edgeclf.training.starts.start import Availability


def smaller_side(probe: DataProbe) -> int:
    """Return the smaller side of the usual image, pixels."""
    return min(probe.median_height, probe.median_width)


def list_offers(
    config: TrainConfig, probe: DataProbe, budget: Budget, *, trust_model: bool, offline: bool = False
) -> list[Offer]:
    """List candidates with their starts, `offline` local ones; none where the default budget has nothing to choose."""
    given = square_side(config.image_size)
    request = Request(len(probe.classes), smaller_side(probe), budget.largest_side, config.model, config.width, given)
    if config.weights not in ("auto", "none"):
        return _list_of_file(config, request, budget, trust_model=trust_model)
    if config.model is not None:
        check_network(config.model, config.width, config.image_size)
    small = request.side <= SMALL_IMAGES
    if config.weights == "auto" and not (small and config.model is None):
        started = list_started(request, [option for option in _start_options() if option.is_local or not offline])
        if started:
            return started
        if budget.asked:
            _check_size(request, offline=offline)
    if not budget.asked:
        return []
    default = automatic_networks(config.replace(weights="none"), probe)[0].model
    return list_scratch(request, default)


def _check_size(request: Request, *, offline: bool) -> None:
    """Refuse an input size for which no pretrained network is, where there are some for others.

    Raises:
        InputError: it is so.
    """
    options = [option for option in _start_options() if option.is_local or not offline]
    if request.image_size is None or not list_started(dataclasses.replace(request, image_size=None), options):
        return
    below = max(32, 32 * (request.image_size // 32))
    raise InputError(
        f"image_size {request.image_size}: the pretrained networks that are compared take multiples of "
        f"32; take {below} or {below + 32}, or name a network with --model"
    )


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
