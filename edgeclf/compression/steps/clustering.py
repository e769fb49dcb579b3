"""How `Cluster` works: TFMOT's wrappers around the layers that are clustered."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras

from edgeclf.compression.step import StepContext
from edgeclf.compression.steps.fine_tune import FineTuningData, automatic_epochs, copy_model, fine_tune
from edgeclf.errors import InputError
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.graph.inner_scaling import is_input_scaling
from edgeclf.graph.prepared_network import wrap_layers
from edgeclf.graph.private_apis import sparsity_preserving_clustering

if TYPE_CHECKING:
    from edgeclf.compression.steps.cluster import Cluster

layers = tf_keras.layers


def cluster(network: FloatNetwork, step: Cluster, context: StepContext) -> FloatNetwork:
    """Return a copy of `network` with few distinct values in each weight tensor; zeros stay zeros after pruning.

    Raises:
        InputError: there is nothing to cluster.
    """
    data = FineTuningData.from_step(step, context)
    names, copy = choose_layers(network.model, step.clusters), copy_model(network.model)
    # pruned layers with fewer weights than clusters beside their zeros are clustered already; TFMOT refuses them
    pruned = network.invariants.masks
    frozen = [name for name in pruned if name not in names or _count_nonzero(copy, name) < step.clusters - 1]
    for name in frozen:
        copy.get_layer(name).trainable = False
    names -= set(frozen)
    settings: dict[str, Any] = {
        "number_of_clusters": step.clusters,
        "cluster_centroids_init": tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS,
    }
    cluster_layer = tfmot.clustering.keras.cluster_weights
    if network.invariants.sparse:
        cluster_layer = sparsity_preserving_clustering()
        settings["preserve_sparsity"] = True
    model = wrap_layers(copy, lambda layer: layer.name in names, lambda layer: cluster_layer(layer, **settings))
    fine_tune(
        model,
        data,
        label=f"clustering to {step.clusters} weights",
        epochs=automatic_epochs(step.training.epochs, data.steps, step.target_steps),
        learning_rate=step.training.learning_rate,
    )
    notes: tuple[str, ...] = ()
    if any(isinstance(layer, layers.DepthwiseConv2D) and not is_input_scaling(layer) for layer in network.model.layers):
        notes = ("depthwise kernels are not clustered: they are few, and it costs much",)
    made = copy_model(tfmot.clustering.keras.strip_clustering(model))
    for name in frozen:
        made.get_layer(name).trainable = True
    return network.with_model(made, invariants=replace(network.invariants, clusters=step.clusters), notes=notes)


def choose_layers(model: Any, clusters: int) -> frozenset[str]:
    """Name the layers that are clustered.

    Raises:
        InputError: there are none.
    """
    names = frozenset(layer.name for layer in model.layers if _clusterable(layer, clusters))
    if not names:
        raise InputError(f"the network has no weight tensor of more than {clusters} values that could be clustered")
    return names


def _count_nonzero(model: Any, name: str) -> int:
    return int(np.count_nonzero(np.asarray(model.get_layer(name).kernel)))


def _clusterable(layer: Any, clusters: int) -> bool:
    if is_input_scaling(layer) or isinstance(layer, layers.DepthwiseConv2D):
        return False
    return isinstance(layer, (layers.Conv2D, layers.Dense)) and int(layer.kernel.shape.num_elements()) > clusters
