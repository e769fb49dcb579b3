"""Pruning, clustering and quantization-aware training, one on top of the other."""

from __future__ import annotations

import dataclasses

import numpy as np

from edgeclf.compression.recipe import Recipe
from edgeclf.compression.steps.cluster import cluster
from edgeclf.compression.steps.fine_tune import Lessons
from edgeclf.compression.steps.prune import prune
from edgeclf.compression.steps.qat import quantize_aware, with_quantizers
from edgeclf.dataset import Dataset
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.graph.quantizable import make_quantizable
from edgeclf.progress import Progress
from edgeclf.training.augmentation import LEVELS
from edgeclf.training.pipeline import TrainingBatches


def train_stages(
    recipe: Recipe,
    network: FloatNetwork,
    data: Dataset,
    images: np.ndarray | None,
    *,
    balance: str,
    flip: bool,
    seed: int,
    progress: Progress,
) -> tuple[FloatNetwork, tuple[str, ...]]:
    """Train what the recipe asks for; each stage preserves what the ones before it made.

    Args:
        recipe: what is asked for.
        network: the float network; it stays as it is, and teaches.
        data: images and labels.
        images: uint8[n, H, W, 3], calibration images, for the ranges that quantization-aware training starts from.
        balance: of the classes, as the network was trained.
        flip: whether a mirrored image still is what its label says.
        seed: of order and augmentation.
        progress: where bars go.

    Returns:
        the trained network, and what a person should know about it.

    Raises:
        ModelError: a layer cannot be quantized; it is raised before any training.
    """
    augmentation = LEVELS[recipe.augment]
    batches = TrainingBatches(
        split=data.splits["train"],
        classes=len(data.class_names),
        batch_size=recipe.batch_size,
        recipe=dataclasses.replace(augmentation, flip=augmentation.flip and flip),
        balance=balance,
        seed=seed,
    )
    lessons = Lessons(batches, data.splits.get("validation"), network, recipe.distill, recipe.settle, progress)
    result = make_quantizable(network) if recipe.qat else network
    if recipe.qat and (recipe.prune is not None or recipe.cluster is not None):
        # what TFMOT refuses is found here, before the long stages
        with_quantizers(result, Recipe(qat=True))
    notes: tuple[str, ...] = ()
    if recipe.prune is not None:
        result, found = prune(result, recipe, lessons)
        notes += found
    if recipe.cluster is not None:
        result, found = cluster(result, recipe, lessons)
        notes += found
    if recipe.qat:
        assert images is not None
        result = quantize_aware(result, recipe, lessons, images)
    return result, notes
