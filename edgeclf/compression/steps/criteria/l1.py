"""The sum of the absolute weights of a filter (Li et al., 2017, "Pruning Filters for Efficient ConvNets")."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeclf.compression.steps.criteria.criterion import Batches, Criterion, Scores, sum_over_places
from edgeclf.graph.channels import ChannelGraph


def score_l1(model: Any, graph: ChannelGraph, batches: Batches) -> Scores:
    """Add up the absolute weights of the filters that make a channel, in each layer relative to its mean filter.

    Args:
        model: the network.
        graph: its channels.
        batches: not looked at.
    """
    scores = np.zeros(graph.count)
    for name in dict.fromkeys(name for group in graph.groups for name in group.makers):
        weights = model.get_layer(name).get_weights()
        for cut in graph.cuts_of(name, "makes"):
            if weights[cut.weight].ndim > 1:
                norms = np.abs(np.moveaxis(weights[cut.weight], cut.axis, 0)).reshape(len(cut.channels), -1).sum(1)
                scores += sum_over_places(graph, cut.channels, norms / max(float(norms.mean()), 1e-30))
    return scores


L1 = Criterion("l1", "Li et al., 2017 (arXiv:1608.08710), section 3.1", score_l1)
