"""Counts candidates: networks of the registry, Keras configurations and TFLite files, at any input size."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgeclf.training.budget.cost import Cost, CostLedger, Traced, UncountableError
from edgeclf.training.budget.layers import CountingLayers, count_layer
from edgeclf.training.networks import find_network
from edgeclf.training.networks.building import Blocks
from edgeclf.training.networks.network import Network, NetworkSettings

_MOST_LAYERS = 10_000
_NATIVE = 224

CountAtSize = Callable[[int], Cost]
"""From the side of the input, pixels, to what an inference costs there."""


def network_cost(name: str, width: float | None, image_size: int, classes: int, *, build: bool = False) -> Cost:
    """Count a network of the registry with its classifier, by running its builder on shapes.

    Args:
        name: of the network.
        width: width multiplier; None: its own.
        image_size: side of the input, pixels.
        classes: number of classes.
        build: let TensorFlow build a network that makes its layers in another way than through the blocks it is handed.

    Raises:
        UnknownNameError: no such network.
        UncountableError: it has a layer that is not known here, or cannot be built at this size.
    """
    network = find_network(name)
    try:
        return _traced_cost(network, width or network.default_width or 1.0, image_size, classes)
    except (TypeError, ValueError, AttributeError) as error:  # what a builder of someone else's may raise
        if build:
            return count_configuration(_built_configuration(name, width, classes))(image_size)
        raise UncountableError(f"{name}: {error}") from error


class _CountingBlocks(Blocks):
    """Blocks whose layers only count."""

    def require_layers(self, what: str) -> None:
        """Refuse a network of `tf_keras.applications`, which has no layers before it is built."""
        raise UncountableError(f"the network {what} of tf_keras.applications")


@functools.lru_cache(maxsize=1024)
def _traced_cost(network: Network, width: float, image_size: int, classes: int) -> Cost:
    ledger = CostLedger()
    blocks = _CountingBlocks(NetworkSettings(image_size, classes, width), CountingLayers(ledger))
    x = network.build(ledger.input(image_size, image_size), width, blocks)
    if not isinstance(x, Traced):
        raise UncountableError("a network that is not made of layers")
    return ledger.cost_of(add_classifier(ledger, x, classes))


@functools.lru_cache(maxsize=64)
def _built_configuration(name: str, width: float | None, classes: int) -> Any:
    from edgeclf.graph.flatten import flatten
    from edgeclf.training.networks.building import build_network

    network = find_network(name)
    size = None if network.any_size else -(-_NATIVE // network.multiple) * network.multiple
    try:
        return flatten(build_network(name, NetworkSettings(size, classes, width))).get_config()
    except (TypeError, ValueError, AttributeError) as error:
        raise UncountableError(f"{name} cannot be built to be counted ({error})") from error


def own_size(config: Mapping[str, Any]) -> tuple[int, int] | None:
    """Find height and width of the input in a Keras configuration, pixels; None: any."""
    inner: Any = config.get("config", config)
    layers = inner if isinstance(inner, list) else inner.get("layers")
    first = layers[0].get("config", {}) if isinstance(layers, list) and layers and isinstance(layers[0], dict) else {}
    shape: Any = first.get("batch_input_shape") or first.get("batch_shape") or ()
    fixed = len(shape) == 4 and isinstance(shape[1], int) and isinstance(shape[2], int)
    return (int(shape[1]), int(shape[2])) if fixed else None


def own_side(config: Mapping[str, Any]) -> int | None:
    """Find the side of the input in a Keras configuration, pixels; None: any, or it is not square."""
    size = own_size(config)
    return size[0] if size is not None and size[0] == size[1] else None


def count_configuration(config: Mapping[str, Any], classes: int | None = None) -> CountAtSize:
    """Read the configuration of a functional or sequential Keras network.

    Args:
        config: as `get_config` returns it, or a file holds it, with `class_name` or without.
        classes: of the classifier that takes the place of its head; None: it keeps its own.

    Returns:
        a function that counts it at a size. It raises `UncountableError` where a layer is not known here.

    Raises:
        UncountableError: it is no such network.
    """
    calls = _read_calls(config)
    cut = None if classes is None else _find_features(calls, own_side(config) or _NATIVE)
    if cut is not None:
        calls = calls[: 1 + [name for name, *_ in calls].index(cut)]

    def count(image_size: int) -> Cost:
        ledger = CostLedger()
        known = _count_calls(ledger, calls, image_size, image_size)
        if cut is None or classes is None:
            return ledger.cost_of(known[calls[-1][0]])
        return ledger.cost_of(add_classifier(ledger, known[cut], classes))

    return count


def count_network(config: Mapping[str, Any], height: int, width: int) -> Cost:
    """Count a functional or sequential Keras network, with the head that it has, at one size of its input.

    Args:
        config: as for `count_configuration`.
        height: of the input, pixels.
        width: of the input, pixels.

    Raises:
        UncountableError: it is no such network, or has a layer that is not known here.
    """
    ledger, calls = CostLedger(), _read_calls(config)
    return ledger.cost_of(_count_calls(ledger, calls, height, width)[calls[-1][0]])


def _read_calls(config: Mapping[str, Any]) -> list[_Call]:
    inner: Any = config.get("config", config)
    if isinstance(inner, list):  # an old Sequential
        inner = {"layers": inner}
    layers = inner.get("layers") if isinstance(inner, Mapping) else None
    if not isinstance(layers, list) or not 0 < len(layers) <= _MOST_LAYERS:
        raise UncountableError("a network that is neither functional nor sequential")
    return _chain(layers) if "output_layers" not in inner else [_call(layer) for layer in layers]


_Call = tuple[str, str, Mapping[str, Any], Sequence[str]]
"""Name and class of a layer, its options, and the names of the layers that it reads."""


def _call(layer: Any) -> _Call:
    try:
        kind, options, nodes = layer["class_name"], layer["config"], layer.get("inbound_nodes", [])
        name = layer.get("name", options.get("name"))
        if len(nodes) > 1:
            raise UncountableError(f"the layer {name!r}, which is used {len(nodes)} times")
        return str(name), str(kind), options, [str(entry[0]) for entry in nodes[0]] if nodes else []
    except (LookupError, TypeError, AttributeError) as error:
        raise UncountableError("a layer without a readable configuration") from error


def _chain(layers: Sequence[Any]) -> list[_Call]:
    calls = [_call(layer) for layer in layers]
    if calls[0][1] != "InputLayer":
        calls.insert(0, ("edgeclf_input", "InputLayer", {}, []))
    return [
        (name, kind, options, [calls[place - 1][0]] if place else [])
        for place, (name, kind, options, _) in enumerate(calls)
    ]


def _count_calls(ledger: CostLedger, calls: Sequence[_Call], height: int, width: int) -> dict[str, Traced]:
    known: dict[str, Traced] = {}
    for name, kind, options, reads in calls:
        if kind == "InputLayer":
            known[name] = ledger.input(height, width)
            continue
        if not reads or any(one not in known for one in reads):
            raise UncountableError(f"the layer {name!r}, whose inputs are not layers before it")
        inputs = [known[one] for one in reads]
        try:
            known[name] = count_layer(ledger, kind, inputs[0] if len(inputs) == 1 else inputs, options)
        except (TypeError, ValueError, LookupError, ArithmeticError) as error:
            if isinstance(error, UncountableError):
                raise
            raise UncountableError(f"the layer {name!r} with these options") from error
    return known


def _find_features(calls: Sequence[_Call], side: int) -> str:
    """Find the last layer with maps of more than one place: behind it are pooling and head, which are replaced."""
    known = _count_calls(CostLedger(), calls, side, side)
    found = [name for name, x in known.items() if x.rank == 3 and x.sizes[0] > 1]
    if not found:
        raise UncountableError("a network without maps")
    return found[-1]


def add_classifier(ledger: CostLedger, x: Traced, classes: int) -> Traced:
    """Add a pooling, where `x` are maps, and a classifier."""
    if x.rank > 1:
        x = ledger.add([x], (x.channels,))
    return ledger.activate(ledger.dense(x, classes), folds=False)
