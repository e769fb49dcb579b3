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
    layers that make one channel, as at a residual addition, are added up. A batch normalization without a scale adds
    (offset - mean / standard deviation) x gradient of the offset to what kernel and bias give; where it has no offset
    either, there is no such gradient, and what its mean takes away is not counted.

    Args:
        model: the network in inference mode: its running statistics stay.
        graph: its channels.
        batches: labelled images; at least one batch.
    """
    import tensorflow as tf

    from edgeclf.graph.outputs import loss_of

    makers = dict.fromkeys(name for group in graph.groups for name in group.makers)
    watched = [(_list_terms(model, graph, name), graph.cuts_of(name, "makes")[0].channels) for name in makers]
    variables = [variable for terms, _ in watched for variable, _, _ in terms]
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
        for terms, channels in watched:
            change = sum(_by_place(factor, next(slopes), axis) for _, factor, axis in terms)
            scores += sum_over_places(graph, channels, np.square(change))
        count += 1
    return scores / max(count, 1)


def _list_terms(model: Any, graph: ChannelGraph, name: str) -> list[tuple[Any, Any, int]]:
    """List what the channels that a layer makes are sums of: a variable, what its gradient is multiplied with, and
    the axis of the channels."""
    normalization, weights = normalization_behind(model, name), model.get_layer(name).weights
    offset = [] if normalization is None or not normalization.center else [normalization.beta]
    if normalization is not None and normalization.scale:
        return [(variable, variable, 0) for variable in (normalization.gamma, *offset)]
    own = [(weights[cut.weight], weights[cut.weight], cut.axis) for cut in graph.cuts_of(name, "makes")]
    return own + [(beta, _shift(normalization), 0) for beta in offset]


def _shift(normalization: Any) -> Any:
    """Return what a batch normalization without a scale adds to each channel: float64[n]."""
    mean, variance, offset = (
        np.asarray(values, np.float64)
        for values in (normalization.moving_mean, normalization.moving_variance, normalization.beta)
    )
    return offset - mean / np.sqrt(variance + normalization.epsilon)


def _by_place(factor: Any, slope: Any, axis: int) -> Any:
    """Sum weight times gradient over all axes but one: float64[n]."""
    product = np.asarray(factor, np.float64) * np.asarray(slope, np.float64)
    return np.moveaxis(product, axis, 0).reshape(product.shape[axis], -1).sum(1)


TAYLOR = Criterion("taylor", "Molchanov et al., 2019 (arXiv:1906.10771)", score_taylor)
