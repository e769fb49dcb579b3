"""Computes Grad-CAM maps: where in an image the evidence of a float network for a class lies.

Selvaraju et al., 2017, arXiv:1610.02391. Each channel of the last feature map is weighted by the mean of the gradient
of the class's logit over all places. Where global average pooling and one dense layer follow the map, that is the class
activation map of `edgeclf.artifact.map_head`, divided by the number of places.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from edgeclf.errors import ModelError
from edgeclf.graph.flatten import flatten
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.graph.last_maps import find_last_maps
from edgeclf.graph.private_apis import has_graph, operands, producer

layers = tf_keras.layers
Floats = npt.NDArray[np.float32]

_SQUASHING = (tf_keras.activations.softmax, tf_keras.activations.sigmoid)
_SHAPE_ONLY = (layers.Reshape, layers.Flatten, layers.Dropout)


class GradCam:
    """A float network that can be asked where the evidence for a class lies.

    Args:
        network: with a Keras graph.
        name: of its file, for messages.

    Attributes:
        map_size: height and width of the maps, in places.

    Raises:
        ModelError: it has no graph, or no feature map in front of its classifier.
    """

    def __init__(self, network: FloatNetwork, name: str) -> None:
        if network.model is None or not has_graph(network.model):
            raise ModelError(f"{name}: Grad-CAM needs a functional tf-keras network, got one without a graph")
        model = flatten(network.model)
        maps, logits = find_last_maps(model), _find_logits(model)
        sizes = tuple(maps.shape)
        if len(sizes) != 4 or None in sizes[1:] or isinstance(producer(maps), layers.InputLayer) or maps is logits:
            raise ModelError(
                f"{name}: Grad-CAM needs a feature map [N, h, w, C] that pooling or flattening takes in front of the "
                f"classifier, got {list(sizes)} there"
            )
        self.map_size: tuple[int, int] = (int(sizes[1]), int(sizes[2]))
        joint = tf_keras.Model(model.inputs, [maps, logits, model.outputs[0]])
        self._network = dataclasses.replace(network, call=lambda x: joint(x, training=False))

    def explain(self, image: npt.NDArray[np.uint8], index: int | None = None) -> tuple[Floats, Floats]:
        """Classify an image, and compute the map of a class.

        Args:
            image: uint8[H, W, 3] RGB of the network's size.
            index: of the class; None: the best one.

        Returns:
            the network's outputs float32[C], and the map float32[h, w] before its negative values are dropped.
        """
        with tf.GradientTape() as tape:
            pixels = tf.constant(np.asarray(image, np.float32)[None])
            tape.watch(pixels)  # frozen layers are followed, too
            maps, logits, outputs = self._network.on_pixels(pixels)
            best = int(tf.argmax(outputs[0])) if index is None else index
            score = logits[0, best]
        slopes = tape.gradient(score, maps)
        found = outputs[0].numpy().astype(np.float32)
        if slopes is None:
            return found, np.zeros(tuple(maps.shape[1:3]), np.float32)
        weights = tf.reduce_mean(slopes, axis=(1, 2), keepdims=True)
        return found, tf.reduce_sum(maps * weights, axis=-1)[0].numpy().astype(np.float32)


def _find_logits(model: tf_keras.Model) -> Any:
    """Return the tensor in front of the last softmax or sigmoid; the output where there is none."""
    tensor = model.outputs[0]
    while isinstance(producer(tensor), _SHAPE_ONLY) and tensor.shape.rank == 2 and len(operands(tensor)) == 1:
        before = operands(tensor)[0]
        if before.shape.rank != 2:
            break
        tensor = before
    layer = producer(tensor)
    if isinstance(layer, layers.Softmax) or (isinstance(layer, layers.Activation) and layer.activation in _SQUASHING):
        (before,) = operands(tensor)
        return before if before.shape.rank == 2 else layers.Flatten()(before)
    if isinstance(layer, layers.Dense) and layer.activation in _SQUASHING:
        config = layer.get_config() | {"activation": "linear", "name": f"{layer.name}_logits"}
        twin = layers.Dense.from_config(config)
        logits = twin(operands(tensor)[0])
        twin.set_weights(layer.get_weights())
        return logits
    return tensor
