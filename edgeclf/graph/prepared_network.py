"""Prepares a network for compression: flat, without its input scaling and with parallel branches folded, as TFMOT can
quantize, prune and cluster it.

A pure scale such as `Rescaling(1/255)` costs nothing in an integer graph: it is the input tensor's own quantization
(scale 1/255, zero point 0 for uint8). A scaling with an offset becomes a frozen 1x1 depthwise convolution, which every
tool knows; int8 and int4 files carry most of these as the input's quantization, too (`export.input_offset`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras

from edgeclf.artifact.normalization import Normalization
from edgeclf.artifact.tflite_source_editor import SourceEditor
from edgeclf.errors import ModelError
from edgeclf.graph.flatten import flatten
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.graph.inner_scaling import PREPARED_SCALING, freeze_scaling
from edgeclf.graph.private_apis import calls_of, has_graph, is_self_contained, producer, readers
from edgeclf.graph.reparameterize import fold_branches
from edgeclf.graph.rewire import rewire
from edgeclf.graph.separable import split_separable
from edgeclf.measure.formatting import counted

layers = tf_keras.layers
SCALING_KINDS = (layers.Rescaling, layers.Normalization)
CHANGING_IMAGES = (
    *(layers.RandomBrightness, layers.RandomContrast, layers.RandomFlip, layers.RandomHeight, layers.RandomRotation),
    *(layers.RandomTranslation, layers.RandomWidth, layers.RandomZoom, layers.GaussianNoise),
)
"""Layers that change images in training, as augmentation does."""
IDLE_AT_INFERENCE = (*CHANGING_IMAGES, layers.GaussianDropout, layers.AlphaDropout, layers.ActivityRegularization)
"""Layers that change their input in training alone. Dropout is none of them: fine-tuning keeps it."""


def prepare_network(network: FloatNetwork) -> FloatNetwork:
    """Make a network flat, leave out what does nothing at inference, fold branches, and take the input scaling out.

    Returns:
        a network whose `input.input_max` says what pixel value 255 becomes, where 0 stays 0. A scaling with an offset,
        or one that differs between the channels, is a frozen convolution behind the input, and `input_max` is 1. Where
        there is no Keras graph, `call` does it.

    Raises:
        ModelError: the network has a Keras graph that is neither functional nor sequential.
    """
    scale, offset = (part.item() if part.size == 1 else part for part in network.input.scale_and_offset)
    if network.model is None:
        return _prepare_callable(network, scale, offset)
    _check_functional(network.model)
    flat = flatten(network.model)
    idle = {layer.name for layer in flat.layers if type(layer) in IDLE_AT_INFERENCE}
    model = tf_keras.Model(flat.inputs, flat.outputs)
    # A copy takes seconds for hundreds of layers: where nothing else reads these, the one that is returned is enough.
    if idle or not is_self_contained(model):
        model = rewire(model, removed=idle)
    model, folded = fold_branches(split_separable(model))
    freeze_scaling(model)
    if folded:
        note = f"{counted(folded, 'block')} of parallel branches folded into one convolution each"
        network = replace(network, notes=(*network.notes, note))
    scalings = _scalings(model)
    for layer in scalings:
        inner_scale, inner_offset = scale_and_offset(layer)
        scale, offset = scale * inner_scale, offset * inner_scale + inner_offset
    removed = [layer.name for layer in scalings]
    if _is_pure(network, scale, offset):
        return _with_input_max(network, float(scale * 255)).with_model(rewire(model, removed=removed))
    scaling = _scaling_layer(network.input.normalization.channel_order, scale, offset)
    return _with_input_max(network, 1.0).with_model(rewire(model, removed=removed, behind_input=scaling))


def _prepare_callable(network: FloatNetwork, scale: Any, offset: Any) -> FloatNetwork:
    if _is_pure(network, scale, offset):
        return network
    span, low, call = np.float32(scale * 255), np.float32(offset), network.call
    reverse = network.input.normalization.channel_order == "BGR"
    graph = None if network.graph is None else _normalize_entry(network.graph, scale * 255, offset, reverse)
    scaled = replace(_with_input_max(network, 1.0), graph=graph)
    if reverse:
        return replace(scaled, call=lambda x: call(x[..., ::-1] * span + low))
    return replace(scaled, call=lambda x: call(x * span + low))


def _normalize_entry(graph: bytes, scale: Any, offset: Any, reverse: bool) -> bytes:
    editor = SourceEditor(graph)
    scales, offsets = (np.broadcast_to(np.asarray(part, np.float64), 3) for part in (scale, offset))
    editor.normalize_entry(scales, offsets, reverse=reverse)
    return editor.pack()


def _is_pure(network: FloatNetwork, scale: Any, offset: Any) -> bool:
    """Return whether the scaling is one positive number for all channels, as an input's quantization can carry."""
    rgb = network.input.normalization.channel_order == "RGB"
    return rgb and not np.any(offset) and np.ndim(scale) == 0 and bool(scale > 0)


def _with_input_max(network: FloatNetwork, input_max: float) -> FloatNetwork:
    return replace(network, input=replace(network.input, normalization=Normalization.from_range(0.0, input_max)))


def _scaling_layer(channel_order: str, scale: Any, offset: Any) -> tuple[Any, list[npt.NDArray[np.float32]]]:
    """Make a frozen 1x1 convolution from pixels 0..1 to what the network takes, and its weights."""
    scales, offsets = np.broadcast_to(scale * 255, 3), np.broadcast_to(offset, 3)
    if channel_order == "RGB":
        made = layers.DepthwiseConv2D(1, use_bias=True, name=PREPARED_SCALING, trainable=False)
        kernel = scales.reshape(1, 1, 3, 1)
    else:
        made = layers.Conv2D(3, 1, use_bias=True, name=PREPARED_SCALING, trainable=False)
        kernel = np.diag(scales)[::-1].reshape(1, 1, 3, 3)
    return made, [weight.astype(np.float32) for weight in (kernel, offsets)]


def _check_functional(model: Any) -> None:
    if not isinstance(model, tf_keras.Sequential) and not has_graph(model):
        raise ModelError(f"a functional or sequential network was expected, got {type(model).__name__}")


def _scalings(model: Any) -> list[Any]:
    """List the scaling layers, one behind the other, that all of the input goes through first."""
    found: list[Any] = []
    behind = producer(model.inputs[0])
    while True:
        reading = readers(behind)
        if len(reading) != 1 or not isinstance(reading[0], SCALING_KINDS) or calls_of(reading[0]) != 1:
            return found
        if not scales_by_channel(reading[0]):
            return found
        behind = reading[0]
        found.append(behind)


def scales_by_channel(layer: Any) -> bool:
    """Return whether a scaling layer has one number, or one for each channel, and not one for each place."""
    numbers = (layer.mean,) if isinstance(layer, layers.Normalization) else (layer.scale, layer.offset)
    return all(size == 1 for each in numbers for size in np.shape(each)[:-1])


def scale_and_offset(layer: Any) -> tuple[Any, Any]:
    """Return what a `Rescaling` or `Normalization` multiplies by and adds: float64 numbers, or one for each channel."""
    if isinstance(layer, layers.Rescaling):
        scale, offset = (np.ravel(np.array(part, np.float64)) for part in (layer.scale, layer.offset))
        return (scale if scale.size > 1 else scale.item()), (offset if offset.size > 1 else offset.item())
    mean, variance = (np.ravel(np.asarray(value, np.float64)) for value in (layer.mean, layer.variance))
    deviation = np.maximum(np.sqrt(variance), tf_keras.backend.epsilon())
    return (deviation, mean) if layer.invert else (1 / deviation, -mean / deviation)


def wrap_layers(model: Any, chosen: Callable[[Any], bool], wrap: Callable[[Any], Any]) -> Any:
    """Copy a model with `wrap` put around the layers that are `chosen`."""
    names = {layer.name for layer in model.layers if chosen(layer)}
    return tf_keras.models.clone_model(
        model, clone_function=lambda layer: wrap(layer) if layer.name in names else layer
    )
