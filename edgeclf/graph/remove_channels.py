"""Builds a smaller network without some channels of another one; nothing else changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.graph.channels import ChannelGraph, check_kept
from edgeclf.graph.rewire import rewire


def remove_channels(model: Any, graph: ChannelGraph, kept: npt.NDArray[np.bool_]) -> Any:
    """Copy a network without some of its channels.

    Where the channels that go are zero for every image, the copy computes the same. Layers keep their names, their
    settings and the order of their weights; the copy is an ordinary functional network.

    Args:
        model: the network that `graph` was traced in.
        graph: its channels.
        kept: bool[graph.count], the channels that stay.

    Raises:
        ValueError: channels would go that cannot, or all of a group.
    """
    check_kept(graph, kept)
    weights: dict[str, list[npt.NDArray[Any]]] = {}
    configs: dict[str, dict[str, Any]] = {}
    for cut in graph.cuts:
        if kept[cut.channels].all():
            continue
        parts = weights.setdefault(cut.layer, model.get_layer(cut.layer).get_weights())
        parts[cut.weight] = np.compress(kept[cut.channels], parts[cut.weight], axis=cut.axis)
    for setting in graph.settings:
        if kept[setting.channels].all():
            continue
        config = configs.setdefault(setting.layer, model.get_layer(setting.layer).get_config())
        count, value = int(kept[setting.channels].sum()), config[setting.key]
        config[setting.key] = (*value[:-1], count) if isinstance(value, (list, tuple)) else count
    replaced = {}
    for name in {**weights, **configs}:
        layer = model.get_layer(name)
        made = type(layer).from_config(configs.get(name) or layer.get_config())
        replaced[name] = (made, weights.get(name, layer.get_weights()))
    return rewire(model, replaced=replaced)
