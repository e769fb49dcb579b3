"""The settings that suit the data, where the user left them open."""

from __future__ import annotations

from edgeclf.dataset.probing import DataProbe
from edgeclf.training.choosing import Choice, automatic_choices
from edgeclf.training.config import TrainConfig
from edgeclf.training.networks import NETWORKS
from edgeclf.training.networks.sizes import SMALL_IMAGES, size_for_any_images

STEPS_FROM_SCRATCH = 60_000
MOST_EPOCHS = 90
STEPS_PRETRAINED = 3_300
LONG_TRAINING = 20
"""Epochs from which on photos that start from pretrained weights are augmented strongly."""
CHARACTER_SETS = ("digits", "mnist")


def complete(config: TrainConfig, probe: DataProbe, *, pretrained: bool) -> TrainConfig:
    """Return `config` with every open setting chosen.

    Args:
        config: settings of the user.
        probe: number and size of the images.
        pretrained: the network starts from weights trained on other images.
    """
    side = min(probe.median_height, probe.median_width)
    small = side <= SMALL_IMAGES
    chosen = Choice(config.model, config.width) if config.model else automatic_networks(config, probe)[0]
    model = chosen.model
    images = estimate_training_images(probe)
    batch = config.batch_size or (64 if images >= 4_000 else 32)
    steps = max(1, images // batch)
    enough = STEPS_PRETRAINED if pretrained else STEPS_FROM_SCRATCH
    epochs = config.epochs or (1 if config.quick else int(min(MOST_EPOCHS, max(15, enough / steps))))
    optimizer = config.optimizer or "sgd"
    rate = {"sgd": 0.1, "muon": 0.1, "adam": 2e-3, "adamw": 2e-3}[optimizer] * (batch / 128) ** 0.5
    decay = {"sgd": 2e-3, "muon": 2e-3, "adam": 0.0, "adamw": 0.02}[optimizer]
    characters = probe.name in CHARACTER_SETS
    augment = "light" if characters else "standard"
    if pretrained and not small and epochs >= LONG_TRAINING:
        augment = "strong"
    return config.replace(
        model=model,
        width=config.width if config.width is not None else chosen.width,
        image_size=config.image_size or _image_size(model, side),
        batch_size=batch,
        epochs=epochs,
        optimizer=optimizer,
        learning_rate=config.learning_rate or rate,
        weight_decay=decay if config.weight_decay is None else config.weight_decay,
        warmup_epochs=min(2.0, epochs / 10) if config.warmup_epochs is None else config.warmup_epochs,
        dropout=config.dropout if config.dropout is not None else (0.0 if small else 0.1),
        augment=config.augment or augment,
        flip=(not characters) if config.flip is None else config.flip,
        quick=bool(config.quick),
    )


def estimate_training_images(probe: DataProbe) -> int:
    """Return how many images are trained on where edgeclf splits them; with splits of their own there may be more.

    Fewer only where a split `train` has fewer, as beside a large test split.
    """
    split = round(probe.images * 0.7)
    return max(1, min(split, probe.in_train or split))


def automatic_networks(config: TrainConfig, probe: DataProbe) -> tuple[Choice, ...]:
    """List the networks for the images where the user names none, in the order in which they are tried."""
    small = min(probe.median_height, probe.median_width) <= SMALL_IMAGES
    choices = automatic_choices("small images" if small else "photos", config.width)
    return choices if config.weights == "auto" else choices[-1:]


def _image_size(model: str, side: float) -> int:
    # A network from a file may bear any name.
    network = NETWORKS.get(model)
    return network.default_size(side) if network else size_for_any_images(side)
