"""The scale in the batch normalization behind a filter (Liu et al., 2017, "Network Slimming")."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeclf.compression.steps.criteria.criterion import (
    Batches,
    Criterion,
    Scores,
    scaled_normalization_behind,
    sum_over_places,
)
from edgeclf.errors import InputError
from edgeclf.graph.channels import ChannelGraph


def score_scale(model: Any, graph: ChannelGraph, batches: Batches) -> Scores:
    """Add up the absolute scales of the batch normalizations behind the filters that make a channel.

    In each layer they are taken relative to their mean: the network was trained without the paper's penalty on the
    scales, and what a layer's scales have in common is undone by the next normalization.

    Args:
        model: the network.
        graph: its channels.
        batches: not looked at.
    """
    scores = np.zeros(graph.count)
    for name in dict.fromkeys(name for group in graph.groups for name in group.makers):
        normalization = scaled_normalization_behind(model, name)
        if normalization is None:
            continue
        scales = np.abs(np.asarray(normalization.gamma, np.float64))
        (cut, *_) = graph.cuts_of(name, "makes")
        scores += sum_over_places(graph, cut.channels, scales / max(float(scales.mean()), 1e-30))
    return scores


def require_scales(model: Any, graph: ChannelGraph) -> None:
    """Refuse a network with channels that no batch normalization scales.

    Raises:
        InputError: there are such; the layer that makes them is named.
    """
    for group in graph.groups:
        if all(scaled_normalization_behind(model, name) is None for name in group.makers):
            raise InputError(
                f"the criterion batch-norm needs a batch normalization with a scale behind {group.makers[0]}, which "
                "has none; choose another one, such as --set shrink_criterion=taylor"
            )


BATCH_NORM_SCALE = Criterion("batch-norm", "Liu et al., 2017 (arXiv:1708.06519)", score_scale, require_scales)
