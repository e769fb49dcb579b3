"""How `QuantizeAware` works: TFMOT's quantizers in the graph, started at the ranges of the calibration images.

TFMOT starts each quantizer at -6..6 and needs hundreds of steps to find the true range. Here all ranges start from the
calibration images, so that training begins at the accuracy of post-training quantization and can only gain.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

from edgeclf.artifact.entry_scaling import whole_steps
from edgeclf.compression.step import StepContext
from edgeclf.compression.steps.fine_tune import FineTuningData, automatic_epochs, copy_model, fine_tune
from edgeclf.compression.steps.quantize_aware import OBSERVED_BATCH
from edgeclf.errors import InputError
from edgeclf.graph.float_network import FloatNetwork, Invariants
from edgeclf.graph.inner_scaling import PREPARED_SCALING, is_input_scaling
from edgeclf.graph.private_apis import (
    activation_quantizers,
    freeze,
    inputs_in_order,
    is_input_quantizer,
    is_quantize_wrapper,
    rename,
    strip_cluster_preservation,
    tensors_of,
    weight_quantizers,
)
from edgeclf.graph.quantizable import NoQuantizerError, make_quantizable
from edgeclf.image.batches import bounded_batch

if TYPE_CHECKING:
    from edgeclf.compression.steps.quantize_aware import QuantizeAware

PREFIX = "quant_"
_EMPTY, _EMPTY_WIDTH = 1e-5, 0.01
"""Range of an output that is as good as none, and what is added to it, as fractions of the median range."""


def train_quantized(network: FloatNetwork, step: QuantizeAware, context: StepContext) -> FloatNetwork:
    """Return a copy of `network` trained with rounding in the loop; its graph carries the ranges.

    Raises:
        InputError: there are no images.
        NoQuantizerError: a layer cannot be quantized.
    """
    data = FineTuningData.from_step(step, context)
    if context.calibration_images is None:
        raise InputError("quantization-aware training needs calibration images; name them with --data")
    network = make_quantizable(network)
    model = insert_quantizers(network)
    start_ranges(model, network, context.calibration_images)
    fine_tune(
        model,
        data,
        label="quantization-aware training",
        epochs=automatic_epochs(step.training.epochs, data.steps, step.target_steps),
        learning_rate=step.training.learning_rate,
    )
    widen_empty_ranges(model)
    if network.invariants.clusters is not None:
        model = strip_cluster_preservation(model)
    _fix_input_ranges(model, network.input_max)
    for layer in model.layers:
        if is_input_quantizer(layer):
            # The automatic name counts up with each network of the process, and would make each file another one. Last
            # of all: Keras cannot copy a network with a renamed layer.
            rename(layer, "quantize_layer")
    return network.with_model(model, invariants=replace(network.invariants, trained_ranges=True))


def find_refusal(network: FloatNetwork) -> str | None:
    """Describe in one line why TFMOT cannot train a network with rounding in the loop; None: it can."""
    try:
        insert_quantizers(make_quantizable(network))
    except NoQuantizerError as error:
        return str(error)
    return None


def insert_quantizers(network: FloatNetwork) -> Any:
    """Return the network's graph with TFMOT's quantizers in it, which preserve its invariants; it is not trained yet.

    Raises:
        NoQuantizerError: a layer cannot be quantized.
    """
    scheme = _scheme(network.invariants)
    try:
        annotated = tfmot.quantization.keras.quantize_annotate_model(copy_model(network.model))
        apply = tfmot.quantization.keras.quantize_apply
        with inputs_in_order():
            model = apply(annotated) if scheme is None else apply(annotated, scheme)
    except (ValueError, RuntimeError) as error:
        raise NoQuantizerError(f"TFMOT refuses the network: {' '.join(str(error).split())[:200]}") from error
    scaling = {PREFIX + layer.name for layer in network.model.layers if is_input_scaling(layer)}
    for layer in model.layers:
        if layer.name in scaling:
            freeze(layer)
    return model


def _scheme(invariants: Invariants) -> Any:
    combine = tfmot.experimental.combine
    if invariants.clusters is not None:
        return combine.Default8BitClusterPreserveQuantizeScheme(preserve_sparsity=invariants.sparse)
    return combine.Default8BitPrunePreserveQuantizeScheme() if invariants.sparse else None


def start_ranges(model: Any, network: FloatNetwork, images: npt.NDArray[np.uint8]) -> None:
    """Set all quantizers to the ranges of the float network on calibration images."""
    high = network.input_max
    known = {layer.name for layer in network.model.layers}
    watched: dict[str, tuple[Any, list[tuple[str, Any]]]] = {}
    for wrapper in (layer for layer in model.layers if is_quantize_wrapper(layer)):
        _start_weights(wrapper)
        name = wrapper.layer.name
        pairs = activation_quantizers(wrapper)
        if name in known and pairs:
            watched[name] = (network.model.get_layer(name), pairs)
    if watched:
        spans = _observe(network.model, watched, images, np.float32(high / 255))
        for name, (_, pairs) in watched.items():
            for kind, quantizer in pairs:
                low, most = spans[name, kind]
                quantizer["min_var"].assign(min(low, 0.0))
                quantizer["max_var"].assign(max(most, 0.0))
    _fix_input_ranges(model, high)


def widen_empty_ranges(model: Any) -> None:
    """Give the outputs of layers that are always 0, or next to it, a hundredth of the usual range.

    Kernels refuse a model in which the steps of such outputs are next to nothing (see `export.range_floor`).
    """
    wrappers = [layer for layer in model.layers if is_quantize_wrapper(layer)]
    ranges = [quantizer for wrapper in wrappers for _, quantizer in activation_quantizers(wrapper)]
    ends = [(float(one["min_var"].numpy()), float(one["max_var"].numpy())) for one in ranges]
    usual = float(np.median([high - low for low, high in ends])) if ends else 0.0
    for quantizer, (low, high) in zip(ranges, ends, strict=True):
        if high - low < _EMPTY * usual:
            quantizer["max_var"].assign(max(high, 0.0) + _EMPTY_WIDTH * usual)


def _observe(
    model: Any,
    watched: dict[str, tuple[Any, list[tuple[str, Any]]]],
    images: npt.NDArray[np.uint8],
    scale: np.float32,
) -> dict[tuple[str, str], list[float]]:
    """Return the smallest and largest value of each watched activation, by layer and `pre` or `post` activation.

    A layer that is called several times has one range for all of its calls.
    """
    places = [
        (name, kind, tensor)
        for name, (layer, pairs) in watched.items()
        for kind in dict.fromkeys(kind for kind, _ in pairs)
        for tensor in (call[kind != "pre"] for call in tensors_of(model, layer))
    ]
    reader = tf_keras.Model(model.inputs, [tensor for _, _, tensor in places])

    # inside a graph, so that what was looked at is given up before the next layer computes
    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def measure(batch: Any) -> Any:
        ends = []
        for (name, kind, _), found in zip(places, tf.nest.flatten(reader(batch, training=False)), strict=True):
            values = _before_activation(watched[name][0], found) if kind == "pre" else found
            ends.append((tf.reduce_min(values), tf.reduce_max(values)))
        return ends

    spans: dict[tuple[str, str], list[float]] = {}
    at_once = bounded_batch(OBSERVED_BATCH, *images.shape[1:3])
    for start in range(0, len(images), at_once):
        ends = measure(tf.constant(images[start : start + at_once].astype(np.float32) * scale))
        for (name, kind, _), (low, high) in zip(places, ends, strict=True):
            span = spans.setdefault((name, kind), [float(low), float(high)])
            span[:] = [min(span[0], float(low)), max(span[1], float(high))]
    return spans


def _before_activation(layer: Any, entry: Any) -> Any:
    if isinstance(layer, tf_keras.layers.Activation):
        return entry
    activation, layer.activation = layer.activation, tf_keras.activations.linear
    try:
        return layer(entry)
    finally:
        layer.activation = activation


def _start_weights(wrapper: Any) -> None:
    for weight, quantizer in weight_quantizers(wrapper):
        if "min_var" not in quantizer:
            continue
        size = np.abs(np.asarray(weight))
        peak = size.max(axis=tuple(range(size.ndim - 1))) if len(quantizer["min_var"].shape) else size.max()
        peak = np.maximum(peak, 1e-6)
        quantizer["min_var"].assign(-peak)
        quantizer["max_var"].assign(peak)


def _fix_input_ranges(model: Any, high: float) -> None:
    """Set the range of the pixels, and that behind edgeclf's own scaling, whose offset becomes whole steps of them.

    So the int8 model needs no layer for the scaling (see `export.input_offset`); half a step at most is for the
    training to level out.
    """
    for layer in model.layers:
        if is_input_quantizer(layer):
            layer.quantizer_vars["min_var"].assign(0.0)
            layer.quantizer_vars["max_var"].assign(high)
        elif layer.name == PREFIX + PREPARED_SCALING and isinstance(layer.layer, tf_keras.layers.DepthwiseConv2D):
            # TFMOT puts a rounded tensor in the place of the layer's own kernel
            ((kernel, _),), bias = weight_quantizers(layer), layer.layer.bias
            found = whole_steps(np.asarray(kernel).reshape(-1), np.asarray(bias), high / 255)
            if found is None or not 0 <= found[1] <= 255:
                continue
            step, zero = found
            layer.layer.bias.assign(np.full(bias.shape, -zero * step, np.float32))
            for _, quantizer in activation_quantizers(layer):
                quantizer["min_var"].assign(-zero * step)
                quantizer["max_var"].assign((255 - zero) * step)
