"""Where a network starts: a file, ImageNet weights, the backbone that ships with edgeclf, or scratch."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras

from edgeclf.dataset.probing import DataProbe
from edgeclf.dataset.types import Dataset
from edgeclf.errors import InputError
from edgeclf.graph.flatten import flatten
from edgeclf.keras_files.loading import load_float_model
from edgeclf.progress import Progress
from edgeclf.training.backbone import shipped_backbone
from edgeclf.training.config import TrainConfig
from edgeclf.training.defaults import complete
from edgeclf.training.weights import (
    IMAGENET_RANGE,
    TransferredNetwork,
    check_architecture,
    imagenet_backbone,
    transfer,
)

IMAGENET = "tf-keras' ImageNet weights"
BACKBONE = "edgeclf's backbone"
SCRATCH_COST = (
    "training from scratch: on few photos that costs accuracy (57 % instead of 79 % top-1 on 3,068 clothing photos); "
    "--weights FILE starts from a pretrained network"
)
_MEASURED_ON = 32


@dataclass(frozen=True)
class StartingPoint:
    """What a run starts from.

    Args:
        source: the pretrained network; None: scratch.
        origin: its name, for remarks.
        model: what the run calls the network; None: as configured.
        image_size: side that the pretrained network knows, pixels; None: any.
        notes: remarks for the report.
        input_range: what it expects, where that is known (see `transfer`).
    """

    source: tf_keras.Model | None
    origin: str = ""
    model: str | None = None
    image_size: int | None = None
    notes: tuple[str, ...] = ()
    input_range: str | None = None

    def adapted(self, config: TrainConfig) -> TrainConfig:
        """`config` with the name and the input size of the pretrained network where the user left them open."""
        if self.source is None:
            return config
        nearest = self.image_size and min(1024, max(8, 8 * round(self.image_size / 8)))
        return dataclasses.replace(config, model=config.model or self.model, image_size=config.image_size or nearest)

    def identity(self) -> dict[str, str | None]:
        """What is written down about it: its name, and a SHA-256 over its weights."""
        if self.source is None:
            return {"origin": None, "sha256": None}
        digest = hashlib.sha256()
        for values in self.source.get_weights():
            digest.update(np.ascontiguousarray(values).data)
        return {"origin": self.origin, "sha256": digest.hexdigest()}

    def transferred(self, config: TrainConfig, dataset: Dataset) -> TransferredNetwork:
        """The pretrained network with a new head."""
        if self.source is None:
            raise ValueError("nothing to transfer")
        train = dataset.splits["train"]
        # Spread over the split, whose images lie class by class.
        sample = np.unique(np.linspace(0, len(train) - 1, _MEASURED_ON).astype(int))
        return transfer(
            self.source,
            origin=self.origin,
            images=train.images[sample],
            image_size=config.image_size or 96,
            classes=len(dataset.class_names),
            dropout=config.dropout or 0.0,
            seed=config.seed,
            input_range=self.input_range,
        )


def find_start(
    config: TrainConfig,
    probe: DataProbe,
    *,
    trust_model: bool,
    progress: Progress,
    earlier: Mapping[str, Any] | None = None,
) -> StartingPoint:
    """What `config.weights` means for these data.

    `auto` starts photos from ImageNet weights where they can be had, else from the shipped backbone, unless the user
    named a network that neither is; small images start from scratch.

    Args:
        config: what the user said, or what the run that goes on was trained with.
        probe: number and size of the images.
        trust_model: load a file even if that runs code from it.
        progress: where remarks go.
        earlier: the identity of what the run that goes on began from; None: a run begins, or it is not known.

    Raises:
        InputError: a setting is for training from scratch alone, or the start of `earlier` cannot be had again.
        ModelError: the file cannot be used.
    """
    if config.weights == "none":
        return StartingPoint(None)
    if config.weights != "auto":
        found = _from_file(Path(config.weights), config, trust_model=trust_model)
    else:
        found = _automatic(config, probe, progress, earlier)
    if earlier is not None and found.identity() != dict(earlier):
        began = earlier.get("origin") or "scratch"
        raise InputError(
            f"the run began from {began}, and these weights cannot be had now or are others; "
            "bring them back, or start again with --overwrite"
        )
    return found


def _automatic(
    config: TrainConfig, probe: DataProbe, progress: Progress, earlier: Mapping[str, Any] | None
) -> StartingPoint:
    """The best start that can be had, or the one of `earlier`."""

    def wanted(origin: str | None) -> bool:
        return earlier is None or earlier.get("origin") == origin

    chosen = complete(config, probe, pretrained=False)
    if chosen.model != "mobilenet-v1" or config.width not in (None, 0.25):
        return StartingPoint(None)
    size = chosen.image_size or 96
    if earlier is None or not wanted(None):
        _refuse_scratch_settings(config)
    if wanted(IMAGENET):
        pretrained = imagenet_backbone(size, progress)
        if pretrained is not None:
            return StartingPoint(pretrained, IMAGENET, "mobilenet-v1", size, input_range=IMAGENET_RANGE)
    if wanted(BACKBONE):
        backbone = shipped_backbone()
        if backbone is not None:
            note = "starting from edgeclf's own small backbone, since ImageNet weights are out of reach"
            if earlier is None:
                progress.say(note)
            return StartingPoint(backbone, BACKBONE, "mobilenet-v1", size, (note,))
    if earlier is None:
        progress.warn(SCRATCH_COST)
    return StartingPoint(None, notes=(SCRATCH_COST,))


def _from_file(path: Path, config: TrainConfig, *, trust_model: bool) -> StartingPoint:
    _refuse_scratch_settings(config)
    source = flatten(load_float_model(path, trust_model=trust_model))
    if config.model:
        check_architecture(source, config.model, config.width, path.name)
    return StartingPoint(source, path.name, config.model or file_model(path), source.inputs[0].shape[1])


def file_model(path: Path) -> str:
    """What a run calls the network in the file `path` where the user gives it no name."""
    return path.stem.replace("_", "-")


def _refuse_scratch_settings(config: TrainConfig) -> None:
    named = [name for name in ("l1", "l2", "progressive") if getattr(config, name)]
    if named:
        raise InputError(
            f"{' and '.join(named)} can be set for training from scratch only, and this run starts from pretrained "
            "weights; leave the setting out, or add --weights none"
        )
