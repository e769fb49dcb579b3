"""The shapes that a search tries (network, width, input size), what each costs, and how a trial chooses one."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgeclf.dataset.probing import DataProbe
from edgeclf.errors import InputError
from edgeclf.measure.formatting import milliseconds, size
from edgeclf.progress import Progress
from edgeclf.records import Record
from edgeclf.search import Asked, Choice, Range
from edgeclf.search.sampling import grid_points
from edgeclf.search.space import Value
from edgeclf.training.budget.asked import Budget
from edgeclf.training.budget.candidates import SCRATCH, Candidate, square_side
from edgeclf.training.budget.cost import UncountableError
from edgeclf.training.budget.counting import network_cost
from edgeclf.training.budget.offers import list_offers
from edgeclf.training.budget.planning import find_budget
from edgeclf.training.budget.speed import BoardSpeed
from edgeclf.training.config import SHAPE, TrainConfig
from edgeclf.training.defaults import complete
from edgeclf.training.networks import NETWORKS
from edgeclf.training.networks.sizes import SMALL_IMAGES
from edgeclf.training.tuning.space import Part

WORK = (1 / 8, 4.0)
"""Multiply-accumulates a pixel of a network from scratch, against those of the default one, unless the user names
networks: a heuristic that keeps a trial from taking many times as long as the training that it replaces."""

MOST_POINTS = 100_000
"""Points of a grid beyond which it is not listed."""


@dataclass(frozen=True)
class SearchSpace(Record):
    """What a study tries; kept with it, so that all workers and later sessions try the same.

    Attributes:
        shapes: networks with their widths and input sizes; empty: as the settings have it.
        parts: by setting, what a value is chosen from.
    """

    shapes: tuple[Candidate, ...]
    parts: dict[str, Choice | Range]

    def suggest(self, asked: Asked) -> tuple[dict[str, Value], Candidate | None]:
        """Let a trial choose a value for each setting, and a shape."""
        found = list(self.shapes)
        values: dict[str, Value] = {}
        for field in ("network", "width", "image_size"):
            name, options = _dimension(self.shapes, found, field)
            if not options:
                continue
            picked = asked.suggest({name: Choice(options)})[name]
            values[name] = picked
            found = [one for one in found if getattr(one, field) == picked]
        values |= asked.suggest(self.parts)
        return values, found[0] if found else None

    def grid(self, points: int = 3) -> Iterator[dict[str, Value]]:
        """List all combinations, of ranges so many points, by the names under which `suggest` chooses."""
        for shape in self.shapes or (None,):
            for values in grid_points(self.parts, points):
                yield {**(self._name(shape) if shape is not None else {}), **values}

    def all_points(self) -> Iterator[dict[str, Value]] | None:
        """List all combinations, as `suggest` names them; None: they are endless, or more than `MOST_POINTS`."""
        listed = {name: part.all_values() for name, part in self.parts.items()}
        parts = {name: Choice(values) for name, values in listed.items() if values is not None}
        count = max(1, len(self.shapes)) * math.prod(len(part.values) for part in parts.values())
        if len(parts) < len(listed) or count > MOST_POINTS:
            return None
        return dataclasses.replace(self, parts=dict(parts)).grid()

    def _name(self, shape: Candidate) -> dict[str, Value]:
        found, named = list(self.shapes), dict[str, Value]()
        for field in ("network", "width", "image_size"):
            name, options = _dimension(self.shapes, found, field)
            if options:
                named[name] = getattr(shape, field)
            found = [one for one in found if getattr(one, field) == getattr(shape, field)]
        return named


def kinds_of(shapes: Sequence[Candidate]) -> tuple[str, ...]:
    """Return which starts shapes have: `scratch`, `pretrained`."""
    return tuple(dict.fromkeys("scratch" if one.start == SCRATCH else "pretrained" for one in shapes))


def _dimension(whole: Sequence[Candidate], left: Sequence[Candidate], field: str) -> tuple[str, tuple[Value, ...]]:
    """Return the name and the values of a part of the shape; no values where there is nothing to choose.

    Values that not every network has get a name of their own: a sampler must see the same choice under one name.
    """
    setting = "model" if field == "network" else field
    options = _values(left, field)
    if options == _values(whole, field):
        return setting, options if len(options) > 1 else ()
    first = left[0]
    owner = first.network if field == "width" else first.name
    return f"{setting} of {owner}", options if len(options) > 1 else ()


def _values(shapes: Sequence[Candidate], field: str) -> tuple[Value, ...]:
    return tuple(dict.fromkeys(value for one in shapes if (value := getattr(one, field)) is not None))


def list_shapes(
    config: TrainConfig, probe: DataProbe, narrowed: Mapping[str, Part], *, trust_model: bool, offline: bool = False
) -> tuple[Candidate, ...]:
    """List the shapes that are searched: those that `train` would choose among, within the limits.

    Args:
        config: settings of the user; what is set of the shape is kept.
        probe: number and size of the images.
        narrowed: what the user gave for parts of the shape.
        trust_model: a file may be loaded even if that runs code from it.
        offline: no weights are downloaded.

    Raises:
        InputError: no network fits what was asked for.
    """
    budget = find_budget(config, trust_model=trust_model)
    found: dict[tuple[str, float | None, int], Candidate] = {}
    refusal: InputError | None = None
    for given in _combinations(config, narrowed):
        try:
            for one in _list_candidates(given, probe, budget, trust_model=trust_model, offline=offline):
                found.setdefault(one.key, one)
        except InputError as error:
            refusal = error
    named = narrowed.get("model")
    missing = set(named.values if isinstance(named, Choice) else ()) - {one.network for one in found.values()}
    if missing and refusal is not None:
        raise refusal
    shapes = _within(budget, list(found.values()), config, narrowed)
    if not narrowed.get("model") and config.model is None:
        shapes = _of_similar_work(shapes, config, probe)
    if shapes:
        return tuple(shapes)
    if refusal is not None:
        raise refusal
    if not found:
        raise InputError(f"there is no network for {', '.join(_describe(config, narrowed)) or 'these photos'}")
    nearest = min(found.values(), key=budget.limits.excess)
    raise InputError(
        f"no network fits {budget.text}: the nearest, {nearest.name} at {nearest.image_size} pixels, takes "
        f"{budget.limits.describe(nearest)}; allow more"
    )


def _within(
    budget: Budget, shapes: list[Candidate], config: TrainConfig, narrowed: Mapping[str, Part]
) -> list[Candidate]:
    """Leave out the shapes that break the limits; without limits that the user asked for, none that the user names.

    Raises:
        InputError: a network that the user names holds the limits in no shape.
    """
    holding = [one for one in shapes if not budget.limits.broken_by(one)]
    if not budget.asked:
        if config.model is not None or "model" in narrowed or config.weights not in ("auto", "none"):
            return shapes
        part = narrowed.get("image_size")
        sides = part.values if isinstance(part, Choice) else (config.image_size,)
        for side in sides:
            of_side = [one for one in shapes if one.image_size == side]
            if of_side and not any(one.image_size == side for one in holding):
                holding.append(min(of_side, key=budget.limits.excess))
        return holding
    named = narrowed.get("model")
    for network in named.values if isinstance(named, Choice) else ():
        own = [one for one in shapes if one.network == network]
        if own and holding and not any(one.network == network for one in holding):
            nearest = min(own, key=budget.limits.excess)
            raise InputError(
                f"{network} of --space model does not fit {budget.text}: at {nearest.image_size} pixels it takes "
                f"{budget.limits.describe(nearest)}; leave it out, or allow more"
            )
    return holding


def _combinations(config: TrainConfig, narrowed: Mapping[str, Part]) -> Iterator[TrainConfig]:
    options = [
        part.values if isinstance(part := narrowed.get(name), Choice) else (getattr(config, name),) for name in SHAPE
    ]
    for model, width, image_size in itertools.product(*options):
        network = NETWORKS.get(str(model))
        fixed = network is not None and network.default_width is None and "width" in narrowed
        yield config.replace(model=model, width=None if fixed else width, image_size=image_size)


def _list_candidates(
    config: TrainConfig, probe: DataProbe, budget: Budget, *, trust_model: bool, offline: bool
) -> list[Candidate]:
    asked = dataclasses.replace(budget, asked=True)
    # networks whose weights are on this machine; where there are none from ImageNet, those to be downloaded as well
    offers = list_offers(config, probe, asked, trust_model=trust_model, offline=True)
    if not offline and not any(offer.candidate.worth > 0 for offer in offers):
        offers = list_offers(config, probe, asked, trust_model=trust_model)
    return [offer.candidate for offer in offers]


def _of_similar_work(shapes: Sequence[Candidate], config: TrainConfig, probe: DataProbe) -> list[Candidate]:
    """Leave out what takes far more or far less work from scratch than the default network, and what is too large.

    Of small images also those that are made for photos: networks that can start from weights of photos.
    """
    if any(one.start != SCRATCH for one in shapes):
        return list(shapes)
    default = complete(config, probe, pretrained=False)
    side = square_side(default.image_size) or 32
    try:
        work = network_cost(default.model or "", default.width, side, len(probe.classes)).macs / side**2
    except UncountableError:
        return list(shapes)
    small = min(probe.median_height, probe.median_width) <= SMALL_IMAGES
    least, most = (factor * work for factor in WORK)
    return [
        one
        for one in shapes
        if least <= one.macs / one.image_size**2 <= most
        and not NETWORKS[one.network].transfer_only
        and not (small and NETWORKS[one.network].starts)
    ]


def _describe(config: TrainConfig, narrowed: Mapping[str, Part]) -> list[str]:
    shown = {name: getattr(config, name) for name in SHAPE if getattr(config, name) is not None}
    shown |= {name: part.values for name, part in narrowed.items() if name in SHAPE and isinstance(part, Choice)}
    return [f"{name} {value}" for name, value in shown.items()]


class Costing:
    """Finds what shapes cost as int8 models on this machine, or estimates it from the report of a board, each once.

    Args:
        config: settings of the user, with the limits.
        known: shapes with the costs that were found before.
        trust_model: a file may be loaded even if that runs code from it.
        progress: where the work is shown.

    Attributes:
        asked: whether there are limits; costs are looked at only then.
        source: what the milliseconds are from.
        measures: whether they are measured on this machine.
    """

    def __init__(
        self, config: TrainConfig, known: Sequence[Candidate], *, trust_model: bool, progress: Progress
    ) -> None:
        budget = find_budget(config, trust_model=trust_model)
        self.asked, self.text, self.limits = budget.asked, budget.text if budget.asked else "", budget.limits
        board = budget.speed if isinstance(budget.speed, BoardSpeed) else None
        self.source = "" if not self.asked else board.source if board else "measured on this machine, 1 thread"
        self.measures = self.asked and board is None
        self._board = None if board is None else board.timer(progress)
        self._weights, self._trust, self._progress = config.weights, trust_model, progress
        self._known = {one.key: one for one in known if one.latency_ms is not None}

    def cost(self, shape: Candidate) -> Candidate:
        """Return a shape with the size of its int8 file and its milliseconds, and the limits that it breaks."""
        if shape.key not in self._known:
            self._known[shape.key] = self._find(shape)
        found = self._known[shape.key]
        return dataclasses.replace(found, breaks=self.limits.broken_by(found))

    def knows(self, shape: Candidate) -> bool:
        """Return whether the costs of a shape were found already."""
        return shape.key in self._known

    def _find(self, shape: Candidate) -> Candidate:
        if self._board is not None:
            return dataclasses.replace(shape, latency_ms=self._board(shape))
        from edgeclf.training.budget.timing import measure_int8

        name = f"{shape.name} at {shape.image_size} pixels"
        with self._progress.task(f"timing {name}", None):
            weights = "none" if shape.start == SCRATCH else self._weights
            latency, content = measure_int8(shape, weights, trust_model=self._trust)
        self._progress.info(f"{name} as int8: {milliseconds(latency)}, {size(content)}")
        return dataclasses.replace(shape, latency_ms=latency, size_bytes=content)
