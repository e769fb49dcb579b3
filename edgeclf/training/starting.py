"""What a network starts from: a file, ImageNet weights, the backbone that ships with edgeclf, or scratch."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras

from edgeclf.artifact.normalization import Normalization
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.dataset.probing import DataProbe
from edgeclf.dataset.types import Dataset
from edgeclf.errors import InputError
from edgeclf.graph.flatten import flatten
from edgeclf.image.shape import ImageSize, check_image_size, plain_size
from edgeclf.keras_files.loading import load_float_model
from edgeclf.keras_files.tflite_start import is_tflite_start, read_tflite_start
from edgeclf.progress import Progress
from edgeclf.training.architecture import check_architecture
from edgeclf.training.choosing import starts_to_try
from edgeclf.training.config import TrainConfig
from edgeclf.training.defaults import automatic_networks, complete
from edgeclf.training.networks import NETWORKS, Network, NetworkSettings, has_weights
from edgeclf.training.networks.sizes import SMALL_IMAGES
from edgeclf.training.remarks import name_commands
from edgeclf.training.run_plan import check_scratch_settings, file_model
from edgeclf.training.starts import KerasDownload, ShippedBackbone, Start, available_starts
from edgeclf.training.transfer import Pretrained, TransferredNetwork, features_of, transfer

IMAGENET, BACKBONE = KerasDownload.origin, ShippedBackbone.origin
SCRATCH = "scratch"
BACKBONE_NOTE = "starting from edgeclf's own small backbone, since ImageNet weights cannot be had"
SCRATCH_COST = (
    "training from scratch: on few photos that costs accuracy (57 % instead of 79 % top-1 on 3,068 clothing photos); "
    "--weights FILE starts from a pretrained network"
)
COVERED = "features"
"""What the digest of a start covers: the layers before pooling and head."""
_MEASURED_ON = 32
_NORMALIZED_ON = 128
"""Images whose statistics batch normalizations get."""


@dataclass(frozen=True)
class StartingPoint:
    """What a run starts from.

    Args:
        network: the pretrained network; None: scratch.
        origin: its name, for remarks.
        model: name of the network; None: as configured.
        image_size: side that the pretrained network knows, pixels, or (height, width); None: any.
        notes: remarks for the report.
        input_range: what it expects, where that is known (see `transfer`).
        folded: it was read from a file for inference (see `transfer`).
        missed: ImageNet weights that would have been the better start, and could not be had; None: there are none.
        instead: what starts photos from pretrained weights, where the network has none; empty: nothing was passed over.
        width: width multiplier that the weights belong to; None: as configured.
        self_supervised: they were learned without labels.
        built_anew: it was built at another side than it was trained at (see `transfer`).
    """

    network: tf_keras.Model | None
    origin: str = ""
    model: str | None = None
    image_size: ImageSize | None = None
    notes: tuple[str, ...] = ()
    input_range: str | Normalization | None = None
    folded: bool = False
    missed: Start | None = None
    instead: str = ""
    width: float | None = None
    self_supervised: bool = False
    built_anew: bool = False

    def adapt_config(self, config: TrainConfig) -> TrainConfig:
        """Return `config` with name, width and input size of the pretrained network where the user left them open."""
        if self.network is None:
            return config
        nearest: ImageSize | None = None
        if self.image_size is not None:
            height, width = (min(1024, max(8, 8 * round(side / 8))) for side in check_image_size(self.image_size))
            nearest = plain_size(height, width)
        return dataclasses.replace(
            config,
            model=config.model or self.model,
            width=self.width if config.width is None else config.width,
            image_size=config.image_size or nearest,
        )

    def identity(self) -> dict[str, str | None]:
        """Return what `run.json` records of it: its name, and a SHA-256 over the weights that are taken over.

        The head is replaced, and that of the shipped backbone is drawn anew each time: it does not belong to the start.
        """
        if self.network is None:
            return {"origin": None, "sha256": None}
        taken = features_of(Pretrained(self.network, self.origin))
        return {"origin": self.origin, "covers": COVERED, "sha256": _digest(taken)}

    def is_start_of(self, recorded: Mapping[str, Any]) -> bool:
        """Return whether `recorded`, from the `run.json` of a run, identifies this start, whatever its file is called.

        Earlier versions took the digest over all weights, the drawn head of the shipped backbone included: of a run
        that began from it, the name alone can be compared.
        """
        if self.network is None or recorded.get("covers") == COVERED:
            return self.identity()["sha256"] == recorded.get("sha256")
        if recorded.get("origin") != self.origin or recorded.get("covers") is not None:
            return False
        return self.origin == BACKBONE or recorded.get("sha256") == _digest(self.network)

    def transfer(self, settings: NetworkSettings, dataset: Dataset) -> TransferredNetwork:
        """Put a new head on the pretrained network."""
        if self.network is None:
            raise ValueError("nothing to transfer")
        train = dataset.splits["train"]
        # Spread over the split, whose images lie class by class.
        sample = np.unique(np.linspace(0, len(train) - 1, _NORMALIZED_ON if self.folded else _MEASURED_ON).astype(int))
        pretrained = Pretrained(self.network, self.origin, self.input_range, self.folded, self.built_anew)
        return transfer(pretrained, settings, train.images[sample])


def find_start(
    config: TrainConfig,
    probe: DataProbe,
    *,
    trust_model: bool,
    progress: Progress,
    earlier: Mapping[str, Any] | None = None,
) -> StartingPoint:
    """Find what a run starts from, by `config.weights`.

    `auto` starts photos from ImageNet weights where they are available, else from the shipped backbone, unless the user
    named a network that has neither; small images start from scratch.

    Args:
        config: settings of the user, or those of the run that is resumed.
        probe: number and size of the images.
        trust_model: load a file even if that runs code from it.
        progress: where remarks are shown.
        earlier: the identity of what the run that is resumed began from; None: a run begins, or it is not known.

    Raises:
        InputError: a setting is for training from scratch alone, or the start of `earlier` is not available any more.
        ModelError: the file cannot be used.
    """
    if config.weights == "none":
        return StartingPoint(None)
    if config.weights != "auto":
        found = _from_file(Path(config.weights), config, trust_model=trust_model, begins=earlier is None)
    else:
        found = _automatic(config, probe, progress, earlier)
    if earlier is not None and not found.is_start_of(earlier):
        began = earlier.get("origin") or SCRATCH
        raise InputError(
            f"the run began from {began}, and these weights are missing now or have changed; "
            "bring them back, or start again with --overwrite"
        )
    return found


def _automatic(
    config: TrainConfig, probe: DataProbe, progress: Progress, earlier: Mapping[str, Any] | None
) -> StartingPoint:
    """Find the best start that is available, or the one of `earlier`."""
    chosen = complete(config, probe, pretrained=False)
    network = NETWORKS.get(chosen.model or "")
    if network is None or not has_weights(network, config.width):
        instead = _find_instead(chosen, network, probe)
        if instead and earlier is None:
            progress.info(f"{chosen.model} starts from scratch; with pretrained weights: {instead}")
        return StartingPoint(None, model=chosen.model, instead=instead)
    origin = earlier.get("origin") if earlier is not None else None
    if earlier is None or origin is not None:
        check_scratch_settings(config)
    choices = [(config.model, config.width)] if config.model else _choices(config, probe)
    missed: Start | None = None
    for model, width in choices:
        tried = complete(config.replace(model=model, width=width), probe, pretrained=False)
        found, missed = _available_weights(tried, progress, None if earlier is None else origin or SCRATCH)
        if found is not None:
            for note in found.notes if earlier is None else ():
                progress.info(note)
            return found
    if earlier is None:
        progress.warn(SCRATCH_COST)
    return StartingPoint(None, model=choices[-1][0], notes=(SCRATCH_COST,), missed=missed)


def _choices(config: TrainConfig, probe: DataProbe) -> list[tuple[str | None, float | None]]:
    found = automatic_networks(config, probe)
    return [(choice.model, config.width if choice.width is None else choice.width) for choice in found]


def _find_instead(config: TrainConfig, network: Network | None, probe: DataProbe) -> str:
    """Name the option that starts photos from pretrained weights; empty for small images and unknown networks."""
    if network is None or min(probe.median_height, probe.median_width) <= SMALL_IMAGES:
        return ""
    if has_weights(network, None):
        return f"leave --width {config.width:g} out"
    return f"--model {automatic_networks(TrainConfig(), probe)[0].model}"


def _available_weights(
    config: TrainConfig, progress: Progress, origin: str | None
) -> tuple[StartingPoint | None, Start | None]:
    """Load the first weights that are available; with `origin`, those weights only.

    Args:
        config: complete.
        progress: where downloads are announced.
        origin: of the start of the run that is resumed; None: a run begins.

    Returns:
        the start, and the ImageNet weights that would have been better and could not be had.
    """
    name, size = config.model or "", config.image_size or 96
    side = max(check_image_size(size))
    starts = starts_to_try(NETWORKS[name], config.width, side)
    if origin is None and not any(start.is_local and start.imagenet_top1 for start in starts):
        progress.info(name_commands(name))
    to_install = available_starts(NETWORKS[name], config.width).package
    missed = next((start for start in to_install if start.imagenet_top1), None)
    for start in starts:
        if origin not in (None, start.origin):
            continue
        network = start.load(name, side, progress)
        if network is None:
            missed = missed or start
            continue
        width = None if start.width == NETWORKS[name].default_width else start.width
        notes = () if start.imagenet_top1 else (BACKBONE_NOTE,)
        known = start.input_range
        anew = network.inputs[0].shape[1] != start.rows
        found = StartingPoint(
            network, start.origin, name, size, notes, known, missed=missed, width=width, built_anew=anew
        )
        return found, missed
    return None, missed


def _from_file(path: Path, config: TrainConfig, *, trust_model: bool, begins: bool) -> StartingPoint:
    """Read a start from a file; a run that goes on (not `begins`) may have recorded the file's name as its network."""
    check_scratch_settings(config)
    entering: Normalization | None = None
    notes: tuple[str, ...] = ()
    folded = is_tflite_start(path)
    if folded:
        network, entering, notes = read_tflite_start(path)
    else:
        network = flatten(load_float_model(path, trust_model=trust_model))
        if len(network.inputs) != 1 or network.inputs[0].shape.rank != 4:
            taken = ", ".join(str(tuple(one.shape)) for one in network.inputs)
            raise InputError(f"{path}: expected a network that takes images [N, height, width, 3], got {taken}")
    name, sides = path.absolute().name, tuple(network.inputs[0].shape[1:3])
    size = None if None in sides else plain_size(*sides)
    if config.model and begins:
        check_architecture(network, config.model, config.width, path.name)
    if RunFolder.is_one(path) and (run := RunFolder(path)).is_pretraining:
        made = TrainConfig.from_dict({key: run.run_json.get("config", {}).get(key) for key in ("model", "width")})
        return StartingPoint(
            network, name, config.model or made.model, size, notes, width=made.width, self_supervised=True
        )
    model = config.model or file_model(path)
    return StartingPoint(network, name, model, size, notes, entering, folded)


def _digest(network: tf_keras.Model) -> str:
    digest = hashlib.sha256()
    for values in network.get_weights():
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()
