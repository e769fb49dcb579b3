"""Finds the last feature maps of a classifier: what its head pools."""

from __future__ import annotations

from typing import Any

import tf_keras

from edgeclf.graph.private_apis import call_of, calls_in_order, operands, producer

layers = tf_keras.layers
POOLING_LAYERS = (layers.AveragePooling2D, layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D)
WHOLE_POOLING = (layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D)


def find_last_maps(network: tf_keras.Model) -> Any:
    """Return what the first global pooling takes that all paths go through, else the last other pooling to one place.

    The output where there is none. Small images leave average poolings inside the features with one place too.
    """
    positions = {id(call): number for number, call in enumerate(calls_in_order(network))}
    frontier = [network.outputs[0]]
    found: dict[str, Any] = {}
    while not isinstance(producer(frontier[0]), layers.InputLayer):
        layer, call, entries = producer(frontier[0]), call_of(frontier[0]), operands(frontier[0])
        if len(frontier) == len(entries) == 1 and entries[0].shape.rank == 4:
            places = tuple(frontier[0].shape)[1:3]
            if isinstance(layer, WHOLE_POOLING):
                found["global"] = entries[0]
            elif isinstance(layer, layers.Flatten) or (isinstance(layer, POOLING_LAYERS) and places == (1, 1)):
                found.setdefault("other", entries[0])
        frontier += [tensor for tensor in entries if all(tensor is not known for known in frontier)]
        frontier = [tensor for tensor in frontier if call_of(tensor) is not call]
        frontier.sort(key=lambda tensor: -positions[id(call_of(tensor))])
    return found.get("global", found.get("other", network.outputs[0]))
