"""The settings that suit a start from pretrained weights, where the user left them open.

A heuristic, from ablations on validation photos (`tools/benchmarks/fine_tuning.py`, `few_photos.py`): MobileNetV1 0.25
and MobileNetV2 1.0 from ImageNet weights, on ten classes of clothes, with 2,400 and with 50 photos. Between these it
interpolates.
"""

from __future__ import annotations

import math

import tf_keras

from edgeclf.dataset.probing import DataProbe
from edgeclf.training.budget.cost import UncountableError
from edgeclf.training.budget.counting import count_configuration
from edgeclf.training.config import TrainConfig
from edgeclf.training.defaults import estimate_training_images
from edgeclf.training.idle_settings import ADAPTIVE, FROZEN_SETTINGS, check_norm_rates
from edgeclf.training.networks.sizes import SMALL_IMAGES
from edgeclf.training.transfer import Pretrained, features_of

BATCH_NORM_MOMENTUM = 0.9
"""Statistics over about ten steps; those of keras.applications cover a hundred or a thousand (0.99, 0.999)."""
FEW_IMAGES = 100
"""Training images a class below which the classifier is fitted on frozen features first. With 10 a class that gained
14 to 27 points over a classifier that is drawn at random, with 240 it lost one."""
FROZEN_IMAGES = 20
"""Training images a class below which nothing but the classifier is trained. With 10 a class it was 3 points better."""
FROZEN_FRACTION, FROZEN_MACS = 0.25, 100e6
"""Of the convolutions, the first ones, that are not trained where an image costs so many multiply-accumulates. An
epoch of MobileNetV2 at 160 pixels took 70 % of the time, with a validation loss of 0.2995 instead of 0.3095 (one
seed)."""
_RATE, _RATE_PARAMETERS = 0.003, 2.3e6
_LOWEST_RATE, _HIGHEST_RATE = 0.002, 0.02
_RATE_BY_NORM = 0.004
"""Where the rates go by the norm of the filters. EfficientNet-Lite0 as it was trained gained eight points by that (88.3
instead of 80.0 %); MobileNets whose batch normalizations had been folded lost two and three."""
_STEPS, _STEPS_MACS = 1000, 150e6
_FEWEST_STEPS, _MOST_STEPS = 500, 2_400
_FEWEST_EPOCHS, _MOST_EPOCHS = 6, 40
_LONG = 10
"""Epochs from which on strong augmentation gains: over 24 epochs of MobileNetV1 0.25 1.2 points, over 12 of MobileNetV2
a validation loss of 0.254 instead of 0.284 after 8 without it; over 6 it lost one point."""


def complete_fine_tuning(
    config: TrainConfig,
    probe: DataProbe,
    *,
    parameters: int,
    macs: float | None,
    folded: bool,
    named: frozenset[str] = frozenset(),
) -> TrainConfig:
    """Return `config` with every open setting chosen that depends on the pretrained network.

    Wide networks are trained with lower rates than narrow ones, and costly ones for fewer steps.

    Args:
        config: settings of the user.
        probe: number of the images and their classes.
        parameters: of the pretrained features.
        macs: multiply-accumulates of one image; None: they cannot be counted.
        folded: its batch normalizations were folded into the convolutions, and put back.
        named: settings that the user gave one by one, also as what is their default.

    Raises:
        InputError: a setting does not go with the optimizer.
    """
    images = estimate_training_images(probe)
    batch = config.batch_size or 32
    steps = min(max(_STEPS * _STEPS_MACS / (macs or _STEPS_MACS), _FEWEST_STEPS), _MOST_STEPS)
    epochs = config.epochs or round(min(max(steps / max(1, images // batch), _FEWEST_EPOCHS), _MOST_EPOCHS))
    check_norm_rates(config)
    by_gradient = config.optimizer in (None, "sgd")
    by_norm = (not folded and by_gradient) if config.norm_rates is None else config.norm_rates
    rate = _RATE_BY_NORM if by_norm else _RATE * (_RATE_PARAMETERS / max(1, parameters)) ** 0.8
    rate = min(max(rate, _LOWEST_RATE), _HIGHEST_RATE) * math.sqrt(batch / 32)
    open_enough = config.list_given(named) <= {*FROZEN_SETTINGS}
    quick = config.quick or (config.quick is None and _images_a_class(probe) < FROZEN_IMAGES and open_enough)
    photos = min(probe.median_height, probe.median_width) > SMALL_IMAGES
    settings = {
        "quick": quick,
        "epochs": 1 if quick else epochs,
        "batch_size": batch,
        # Small images, and what is written on them, keep the augmentation that training from scratch has.
        "augment": ("strong" if epochs >= _LONG else "standard") if photos else None,
        # A run that goes on keeps the classifier that it has.
        "head_first": _images_a_class(probe) < FEW_IMAGES and config.from_run is None,
        "frozen_fraction": FROZEN_FRACTION if (macs or 0) >= FROZEN_MACS and not quick else 0.0,
        "norm_rates": by_norm,
        "batch_norm_momentum": BATCH_NORM_MOMENTUM,
        "learning_rate": None if config.optimizer in ADAPTIVE else rate,
    }
    return config.replace(**{name: value for name, value in settings.items() if getattr(config, name) is None})


def _images_a_class(probe: DataProbe) -> float:
    return (probe.in_train or estimate_training_images(probe)) / max(1, len(probe.classes))


def count_features(network: tf_keras.Model, side: int) -> tuple[int, float | None]:
    """Count the parameters of a pretrained network, and the multiply-accumulates of one image at `side` pixels.

    Without the head, whose pooling may fit one input size alone. None: the multiply-accumulates cannot be counted.

    Raises:
        ModelError: it is no network with features to start from.
    """
    features = features_of(Pretrained(network, network.name))
    try:
        macs: float | None = count_configuration(features.get_config())(side).macs
    except UncountableError:
        macs = None
    return int(features.count_params()), macs
