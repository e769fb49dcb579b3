"""Quantization-aware training (Jacob et al., 2018, arXiv:1712.05877), alone or on a pruned or clustered network.

TFMOT starts each quantizer at -6..6 and needs hundreds of steps to find the true range. Here all ranges start from the
calibration images, so that training begins at the accuracy of post-training quantization and can only gain.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras
from tensorflow_model_optimization.python.core.quantization.keras import quantize_layer, quantize_wrapper
from tensorflow_model_optimization.python.core.quantization.keras.collab_opts.cluster_preserve import cluster_utils

from edgeclf.compression.recipe import Recipe
from edgeclf.compression.steps.fine_tune import Lessons, automatic_epochs, fine_tune
from edgeclf.compression.steps.prune import copied
from edgeclf.errors import ModelError
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.graph.prepared_network import SCALING_LAYER
from edgeclf.graph.quantizable import make_quantizable

TARGET_STEPS = 1000
PREFIX = "quant_"


def quantize_aware(network: FloatNetwork, recipe: Recipe, lessons: Lessons, images: np.ndarray) -> FloatNetwork:
    """A copy of `network` trained with rounding in the loop; its graph carries the ranges.

    Args:
        network: float, dense or made sparse or clustered by this recipe.
        recipe: what must be preserved.
        lessons: what to train on.
        images: uint8[n, H, W, 3], calibration images.

    Raises:
        ModelError: a layer cannot be quantized.
    """
    network = make_quantizable(network)
    model = with_quantizers(network, recipe)
    start_ranges(model, network, images)
    fine_tune(
        model,
        lessons,
        label="quantization-aware training",
        epochs=automatic_epochs(recipe.qat_epochs, lessons.steps, TARGET_STEPS),
        learning_rate=recipe.qat_learning_rate,
    )
    if recipe.cluster is not None:
        model = cluster_utils.strip_clustering_cqat(model)
    _fix_input_range(model, network.input_max)
    return network.with_model(model, invariants=dataclasses.replace(network.invariants, trained_ranges=True))


def with_quantizers(network: FloatNetwork, recipe: Recipe) -> tf_keras.Model:
    """The network with TFMOT's quantizers in it, not trained yet.

    Raises:
        ModelError: a layer cannot be quantized.
    """
    network = make_quantizable(network)
    combine = tfmot.experimental.combine
    scheme: Any = None
    if recipe.cluster is not None:
        scheme = combine.Default8BitClusterPreserveQuantizeScheme(preserve_sparsity=recipe.prune is not None)
    elif recipe.prune is not None:
        scheme = combine.Default8BitPrunePreserveQuantizeScheme()
    try:
        annotated = tfmot.quantization.keras.quantize_annotate_model(copied(network.model))
        apply = tfmot.quantization.keras.quantize_apply
        model = apply(annotated) if scheme is None else apply(annotated, scheme)
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"quantization-aware training refuses it: {' '.join(str(error).split())[:200]}") from error
    for layer in model.layers:
        if layer.name == PREFIX + SCALING_LAYER:
            layer.trainable = False
            layer._trainable_weights = []
    return model


def start_ranges(model: tf_keras.Model, network: FloatNetwork, images: np.ndarray) -> None:
    """Set all quantizers to the ranges of the float network on calibration images."""
    scale = np.float32(network.input_max / 255)
    wrappers = [layer for layer in model.layers if isinstance(layer, quantize_wrapper.QuantizeWrapper)]
    known = {layer.name for layer in network.model.layers}
    watched: dict[str, tuple[Any, list[Any]]] = {}
    for wrapper in wrappers:
        _start_weights(wrapper)
        name = wrapper.layer.name
        pairs = _activation_pairs(wrapper)
        if name in known and pairs:
            layer = network.model.get_layer(name)
            watched[name] = (layer, pairs)
    if watched:
        names = list(watched)
        inner = tf_keras.Model(network.model.inputs, {n: watched[n][0].input for n in names})
        outer = tf_keras.Model(network.model.inputs, {n: watched[n][0].output for n in names})
        spans: dict[tuple[str, str], list[float]] = {}
        for start in range(0, len(images), 64):
            batch = images[start : start + 64].astype(np.float32) * scale
            entries, results = inner(batch, training=False), outer(batch, training=False)
            for name, (layer, pairs) in watched.items():
                for kind, _ in pairs:
                    values = _before_activation(layer, entries[name]) if kind == "pre" else results[name]
                    low, high = float(np.min(values)), float(np.max(values))
                    span = spans.setdefault((name, kind), [low, high])
                    span[:] = [min(span[0], low), max(span[1], high)]
        for name, (_, pairs) in watched.items():
            for kind, quantizer in pairs:
                low, high = spans[name, kind]
                quantizer["min_var"].assign(min(low, 0.0))
                quantizer["max_var"].assign(max(high, 0.0))
    _fix_input_range(model, network.input_max)


def _activation_pairs(wrapper: Any) -> list[tuple[str, Any]]:
    pairs = []
    for activation in wrapper._quantize_activations:
        if activation._should_pre_quantize():
            pairs.append(("pre", activation._pre_activation_vars))
        if activation._should_post_quantize():
            pairs.append(("post", activation._post_activation_vars))
    if wrapper._output_quantizers:
        pairs.append(("post", wrapper._output_quantizer_vars))
    return pairs


def _before_activation(layer: Any, entry: Any) -> Any:
    if isinstance(layer, tf_keras.layers.Activation):
        return entry
    activation, layer.activation = layer.activation, tf_keras.activations.linear
    try:
        return layer(entry)
    finally:
        layer.activation = activation


def _start_weights(wrapper: Any) -> None:
    for weight, _, quantizer in wrapper._weight_vars:
        if "min_var" not in quantizer:
            continue
        size = np.abs(np.asarray(weight))
        peak = size.max(axis=tuple(range(size.ndim - 1))) if len(quantizer["min_var"].shape) else size.max()
        peak = np.maximum(peak, 1e-6)
        quantizer["min_var"].assign(-peak)
        quantizer["max_var"].assign(peak)


def _fix_input_range(model: tf_keras.Model, high: float) -> None:
    for layer in model.layers:
        if isinstance(layer, quantize_layer.QuantizeLayer):
            layer.quantizer_vars["min_var"].assign(0.0)
            layer.quantizer_vars["max_var"].assign(high)
