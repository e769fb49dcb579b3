"""Copies a network without some of its layers, with others in their place, or with one more behind the input."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import tf_keras

_Place = tuple[str, int, int]
"""A tensor in Keras' configuration: name of the layer, number of the call, number of the output."""


def rewire(
    model: Any,
    *,
    removed: Collection[str] = (),
    replaced: Mapping[str, tuple[Any, list[Any]]] | None = None,
    substituted: Mapping[str, str] | None = None,
    in_front: Mapping[str, tuple[Any, list[Any]]] | None = None,
    behind_input: tuple[Any, list[Any]] | None = None,
) -> Any:
    """Copy a functional network.

    Args:
        model: flat, with one input.
        removed: names of layers to leave out; each has one input and one output.
        replaced: by name, a new layer and its weights; it keeps the name and the place.
        substituted: names of further layers to leave out, each with the layer whose output takes the place of its own.
        in_front: by name, a new layer and its weights that each call of the named one goes through first.
        behind_input: a new layer, and its weights, that all of the input goes through.
    """
    config, new_layers = model.get_config(), dict(replaced or {})
    entry = config["input_layers"][0]
    moves = {} if behind_input is None else {tuple(entry[:3]): (behind_input[0].name, 0, 0)}
    for layer in config["layers"]:
        if layer["name"] in removed:
            moves |= {(layer["name"], number, 0): _source(node) for number, node in enumerate(layer["inbound_nodes"])}
    moves |= {(name, 0, 0): (other, 0, 0) for name, other in (substituted or {}).items()}
    left_out = {*removed, *(substituted or {})}
    kept = []
    for layer in config["layers"]:
        if layer["name"] in left_out:
            continue
        nodes = _moved(layer["inbound_nodes"], moves)
        if layer["name"] in new_layers:
            layer = _described(new_layers[layer["name"]][0], layer["name"])
        if layer["name"] in (in_front or {}):
            front, weights = (in_front or {})[layer["name"]]
            kept.append({**_described(front, front.name), "inbound_nodes": nodes})
            new_layers[front.name] = (front, weights)
            nodes = [[[front.name, number, 0, {}]] for number in range(len(nodes))]
        kept.append({**layer, "inbound_nodes": nodes})
    if behind_input is not None:
        name = behind_input[0].name
        place = next(number for number, layer in enumerate(kept) if layer["name"] == entry[0])
        kept.insert(place + 1, _described(behind_input[0], name) | {"inbound_nodes": [[[*entry[:3], {}]]]})
        new_layers[name] = behind_input
    config["layers"] = kept
    config["output_layers"] = _moved(config["output_layers"], moves)
    # Tensors in the file are named after the network; an automatic name counts up with each network of the process.
    config["name"] = "network"
    copy = tf_keras.Model.from_config(config)
    for layer in copy.layers:
        if layer.name in new_layers:
            layer.set_weights(new_layers[layer.name][1])
        elif layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    return copy


def _described(layer: Any, name: str) -> dict[str, Any]:
    return {"class_name": type(layer).__name__, "config": {**layer.get_config(), "name": name}, "name": name}


def _source(node: Any) -> _Place:
    """Find where the only input of a call comes from."""
    while isinstance(node[0], (list, tuple)):
        node = node[0]
    return (str(node[0]), int(node[1]), int(node[2]))


def _moved(value: Any, moves: Mapping[_Place, _Place]) -> Any:
    """Copy a part of a configuration, each tensor that has moved named by its new place."""
    if isinstance(value, dict):
        return {key: _moved(part, moves) for key, part in value.items()}
    if not isinstance(value, (list, tuple)):
        return value
    if len(value) >= 3 and isinstance(value[0], str) and all(type(number) is int for number in value[1:3]):
        place: _Place = (value[0], value[1], value[2])
        seen: set[_Place] = set()
        while place in moves and place not in seen:
            seen.add(place)
            place = moves[place]
        return [*place, *(_moved(part, moves) for part in value[3:])]
    return [_moved(part, moves) for part in value]
