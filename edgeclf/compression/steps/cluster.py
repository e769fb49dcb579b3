"""Weight clustering: each weight tensor keeps a few distinct values, which gzip makes small."""

from __future__ import annotations

from typing import Any

import tensorflow_model_optimization as tfmot
import tf_keras
from tensorflow_model_optimization.python.core.clustering.keras.experimental import cluster as sparsity_preserving

from edgeclf.compression.recipe import Recipe
from edgeclf.compression.steps.fine_tune import Lessons, automatic_epochs, fine_tune
from edgeclf.compression.steps.prune import copied
from edgeclf.errors import InputError
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.graph.prepared_network import SCALING_LAYER, wrap_layers

layers = tf_keras.layers
TARGET_STEPS = 600


def cluster(network: FloatNetwork, recipe: Recipe, lessons: Lessons) -> tuple[FloatNetwork, tuple[str, ...]]:
    """A copy of `network` with `recipe.cluster` distinct values in each weight tensor; zeros stay zeros after pruning.

    Raises:
        InputError: there is nothing to cluster.
    """
    number = int(recipe.cluster or 0)
    names = {layer.name for layer in network.model.layers if _clusterable(layer, number)}
    if not names:
        raise InputError(f"the network has no weight tensor of more than {number} values that could be clustered")
    settings: dict[str, Any] = {
        "number_of_clusters": number,
        "cluster_centroids_init": tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS,
    }
    cluster_layer = tfmot.clustering.keras.cluster_weights
    if recipe.prune is not None:
        cluster_layer = sparsity_preserving.cluster_weights
        settings["preserve_sparsity"] = True
    model = wrap_layers(
        copied(network.model), lambda layer: layer.name in names, lambda layer: cluster_layer(layer, **settings)
    )
    fine_tune(
        model,
        lessons,
        label=f"clustering to {number} weights",
        epochs=automatic_epochs(recipe.cluster_epochs, lessons.steps, TARGET_STEPS),
        learning_rate=recipe.cluster_learning_rate,
    )
    notes = ()
    if any(isinstance(layer, layers.DepthwiseConv2D) and layer.name != SCALING_LAYER for layer in network.model.layers):
        notes = ("depthwise kernels are not clustered: they are few, and it costs much",)
    return network.with_model(copied(tfmot.clustering.keras.strip_clustering(model))), notes


def _clusterable(layer: Any, number: int) -> bool:
    if layer.name == SCALING_LAYER or isinstance(layer, layers.DepthwiseConv2D):
        return False
    return isinstance(layer, (layers.Conv2D, layers.Dense)) and int(layer.kernel.shape.num_elements()) > number
