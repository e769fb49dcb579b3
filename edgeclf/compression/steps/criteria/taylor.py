"""What the loss would change by without a channel, to first order (Molchanov et al., 2019)."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeclf.compression.steps.criteria.criterion import (
    Batches,
    Criterion,
    Scores,
    normalization_behind,
    sum_over_places,
)
from edgeclf.graph.channels import ChannelGraph


def score_taylor(model: Any, graph: ChannelGraph, batches: Batches) -> Scores:
    """Average, over batches, the square of the first-order change of the loss when a channel becomes zero.

    For each layer that makes the channel this is (sum of weight x gradient)^2 over scale and offset of the batch
    normalization behind it, or over its own kernel and bias where there is none (section 3.2 of the paper); the
    layers that make one channel, as at a residual addition, are added up.

    Args:
        model: the network in inference mode: its running statistics stay.
        graph: its channels.
        batches: labelled images; at least one batch.
    """
    import tensorflow as tf

    from edgeclf.graph.outputs import loss_of

    makers = dict.fromkeys(name for group in graph.groups for name in group.makers)
    watched: list[tuple[list[tuple[Any, int]], Any]] = []
    for name in makers:
        cuts, normalization = graph.cuts_of(name, "makes"), normalization_behind(model, name)
        layer = model.get_layer(name)
        if normalization is None:
            watched.append(([(layer.weights[cut.weight], cut.axis) for cut in cuts], cuts[0].channels))
        else:
            pair = [normalization.gamma, *([normalization.beta] if normalization.center else [])]
            watched.append(([(weight, 0) for weight in pair], cuts[0].channels))
    variables = [variable for pairs, _ in watched for variable, _ in pairs]
    loss = loss_of(model)

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def gradients(images: Any, targets: Any) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            value = loss(targets, model(images, training=False))
        return tape.gradient(value, variables, unconnected_gradients="zero")

    scores, count = np.zeros(graph.count), 0
    for images, targets in batches:
        slopes = iter(gradients(images, targets))
        for pairs, channels in watched:
            change = sum(_by_place(variable, next(slopes), axis) for variable, axis in pairs)
            scores += sum_over_places(graph, channels, np.square(change))
        count += 1
    return scores / max(count, 1)


def _by_place(variable: Any, slope: Any, axis: int) -> Any:
    """Sum weight times gradient over all axes but one: float64[n]."""
    product = np.asarray(variable, np.float64) * np.asarray(slope, np.float64)
    return np.moveaxis(product, axis, 0).reshape(product.shape[axis], -1).sum(1)


TAYLOR = Criterion("taylor", "Molchanov et al., 2019 (arXiv:1906.10771)", score_taylor)
