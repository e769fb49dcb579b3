"""Finds settings that would have no effect beside the others, so that nobody believes to have measured what they do."""

from __future__ import annotations

from collections.abc import Collection

from edgeclf.errors import InputError
from edgeclf.training.config import QUICK, TrainConfig
from edgeclf.training.curriculum import first_unaugmented

FROZEN_SETTINGS = (*QUICK, "weights", "board", "max_latency", "max_size", "seed", "name")
"""Settings that count where nothing but the classifier is trained. Who gives another wants all layers trained."""
ADAPTIVE = ("adam", "adamw")
"""Optimizers that scale each step by the gradients before."""


def check_idle(config: TrainConfig, given: Collection[str], named: Collection[str]) -> None:
    """Refuse settings that have no effect, and a warm-up that lasts as long as the training.

    Args:
        config: settings of the user, or the complete ones.
        given: of them, those that the user gave.
        named: of these, those that the user gave one by one.

    Raises:
        InputError: there are such settings.
    """
    for name in sorted(given):
        if name == "flip" and name not in named:
            continue  # a run records the flips that it chose, even where no image is changed, and may be repeated so
        if reason := describe_idle(name, config):
            raise InputError(f"{name} {getattr(config, name)} has no effect {reason}; leave it out, or change that")
    check_norm_rates(config)
    epochs, warmup = config.epochs, config.warmup_epochs
    if epochs is not None and warmup is not None and warmup >= epochs and "warmup_epochs" in given:
        raise InputError(
            f"warmup_epochs must be fewer than epochs, got {warmup:g} of {epochs}: the learning rate would never reach "
            "its peak"
        )


def check_norm_rates(config: TrainConfig) -> None:
    """Refuse rates by the norm beside an optimizer whose steps do not grow with the gradient, which they are for.

    Raises:
        InputError: it is so.
    """
    if config.norm_rates and config.optimizer not in (None, "sgd"):
        raise InputError(f"norm_rates is for optimizer=sgd, got {config.optimizer}; leave one of the two out")


def check_quick(named: frozenset[str]) -> None:
    """Refuse settings that the user gave and that have no effect where nothing but the classifier is trained.

    Raises:
        InputError: there is one.
    """
    if unused := sorted(named - {*FROZEN_SETTINGS, "quick", "epochs", "from_run"}):
        raise InputError(
            f"quick fits the classifier alone, where {', '.join(unused)} would have no effect; leave "
            f"{'it' if len(unused) == 1 else 'them'} or --quick out"
        )


def describe_idle(name: str, config: TrainConfig) -> str | None:
    """Say beside which other setting one has no effect with its value; None: it has one, or that is not known."""
    if name in ("teacher_weight", "teacher_views", "temperature") and config.teacher is None:
        return "without --teacher"
    if name == "teacher_views" and config.augment == "none":
        return "with --augment none, where all views are alike"
    if name == "teacher_views" and _unaugmented(config):
        return f"with unaugmented_epochs {config.unaugmented_epochs:g}, where no epoch shows views"
    if name == "momentum" and config.optimizer in ADAPTIVE:
        return f"with the optimizer {config.optimizer}"
    if name in ("l1", "l2") and config.optimizer == "muon" and getattr(config, name):
        return "on kernels whose norms the optimizer muon keeps, and distorts them"
    if name == "flip" and config.flip and config.augment == "none":
        return "with --augment none, which changes no image"
    if name in ("head_first", "frozen_fraction") and getattr(config, name) and config.weights == "none":
        return "from scratch (as with --weights none), where no layers are pretrained"
    return None


def _unaugmented(config: TrainConfig) -> bool:
    """Return whether no epoch is augmented; where the epochs are not known yet, whether none can be."""
    if config.epochs is None:
        return config.unaugmented_epochs == 1
    return first_unaugmented(config.epochs, config.unaugmented_epochs) == 0
