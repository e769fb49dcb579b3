"""Where a network starts: a file, ImageNet weights, the backbone that ships with edgeclf, or scratch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import tf_keras

from edgeclf.dataset.probing import DataProbe
from edgeclf.dataset.types import Dataset
from edgeclf.errors import InputError
from edgeclf.foreign.source import load_float_model
from edgeclf.progress import Progress
from edgeclf.training.backbone import shipped_backbone
from edgeclf.training.config import TrainConfig
from edgeclf.training.defaults import complete
from edgeclf.training.weights import TransferredNetwork, check_architecture, imagenet_backbone, transfer

SCRATCH_COST = (
    "training from scratch: on few photos that costs accuracy (53 % instead of 60 % top-1 on 2,600 clothing photos); "
    "--weights FILE starts from a pretrained network"
)


@dataclass(frozen=True)
class StartingPoint:
    """What a run starts from.

    Args:
        source: the pretrained network; None: scratch.
        origin: its name, for remarks.
        model: what the run calls the network; None: as configured.
        image_size: side that the pretrained network knows, pixels; None: any.
        notes: remarks for the report.
    """

    source: tf_keras.Model | None
    origin: str = ""
    model: str | None = None
    image_size: int | None = None
    notes: tuple[str, ...] = ()

    def adapted(self, config: TrainConfig) -> TrainConfig:
        """`config` with the name and the input size of the pretrained network where the user left them open."""
        if self.source is None:
            return config
        return dataclasses.replace(
            config, model=config.model or self.model, image_size=config.image_size or self.image_size
        )

    def transferred(self, config: TrainConfig, dataset: Dataset) -> TransferredNetwork:
        """The pretrained network with a new head."""
        if self.source is None:
            raise ValueError("nothing to transfer")
        if config.l1 or config.l2:
            raise InputError("--set l1 and l2 are for training from scratch; use weight_decay with pretrained weights")
        return transfer(
            self.source,
            origin=self.origin,
            images=dataset.splits["train"].images[:32],
            image_size=config.image_size or 96,
            classes=len(dataset.class_names),
            dropout=config.dropout or 0.0,
            seed=config.seed,
        )


def find_start(config: TrainConfig, probe: DataProbe, *, trust_model: bool, progress: Progress) -> StartingPoint:
    """What `config.weights` means for these data.

    `auto` starts photos from ImageNet weights where they can be had, else from the shipped backbone, unless the user
    named a network that neither is; small images start from scratch.
    """
    if config.weights == "none":
        return StartingPoint(None)
    if config.weights != "auto":
        return _from_file(Path(config.weights), config, trust_model=trust_model)
    chosen = complete(config, probe, pretrained=False)
    if chosen.model != "mobilenet-v1" or config.width not in (None, 0.25):
        return StartingPoint(None)
    size = chosen.image_size or 96
    pretrained = imagenet_backbone(size, progress)
    if pretrained is not None:
        return StartingPoint(pretrained, "tf-keras' ImageNet weights", "mobilenet-v1", size)
    backbone = shipped_backbone()
    if backbone is not None:
        note = "starting from edgeclf's own small backbone, since ImageNet weights are out of reach"
        progress.say(note)
        return StartingPoint(backbone, "edgeclf's backbone", "mobilenet-v1", size, (note,))
    progress.warn(SCRATCH_COST)
    return StartingPoint(None, notes=(SCRATCH_COST,))


def _from_file(path: Path, config: TrainConfig, *, trust_model: bool) -> StartingPoint:
    source = load_float_model(path, trust=trust_model)
    if config.model:
        check_architecture(source, config.model, config.width, path.name)
    known = source.inputs[0].shape[1]
    return StartingPoint(source, path.name, config.model or path.stem.replace("_", "-"), known)
