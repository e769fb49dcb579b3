"""The settings that a search tries, declared once as data, and how a user narrows them or adds others."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgeclf.errors import InputError, UnknownNameError
from edgeclf.records import Record
from edgeclf.search import Choice, Range
from edgeclf.search.space import Value
from edgeclf.training.config import AUGMENT_LEVELS, QUICK, SHAPE, TrainConfig
from edgeclf.training.idle_settings import ADAPTIVE, describe_idle
from edgeclf.training.networks import find_network

Part = Choice | Range
Given = str | Sequence[Value] | Choice | Range
"""What a user gives for a setting: `1e-4..1e-2`, `96,128`, a list of values, or a part of a space."""


@dataclass(frozen=True)
class Dimension(Record):
    """A setting of `TrainConfig` that is searched unless the user sets it; None: not with such a start.

    Attributes:
        name: of the setting.
        scratch: what is tried from scratch.
        pretrained: what is tried from pretrained weights.
        quick: what is tried where only the classifier is fitted.
    """

    name: str
    scratch: Part | None = None
    pretrained: Part | None = None
    quick: Part | None = None


DIMENSIONS = (
    Dimension("learning_rate", Range(0.01, 0.5, log=True), Range(0.0005, 0.05, log=True)),
    Dimension("augment", Choice(AUGMENT_LEVELS), Choice(AUGMENT_LEVELS)),
    Dimension("weight_decay", Range(1e-5, 0.02, log=True), Range(1e-5, 0.02, log=True)),
    Dimension("dropout", Range(0.0, 0.5, step=0.1), Range(0.0, 0.5, step=0.1)),
    Dimension("label_smoothing", Range(0.0, 0.2, step=0.05), Range(0.0, 0.2, step=0.05)),
    Dimension("balance", quick=Choice(("none", "weights"))),
)
"""Rates and decays for `sgd`, around what `defaults` and `fine_tuning` choose."""
ADDED = (
    "epochs", "batch_size", "optimizer", "momentum", "l1", "l2", "warmup_epochs", "balance", "unaugmented_epochs",
    "flip", "fit", "first_layer_rate", "frozen_fraction", "norm_rates", "head_first", "batch_norm_momentum",
    "weight_average", "progressive", "teacher_weight", "teacher_views", "temperature",
)  # fmt: skip
"""Settings that are searched only where the user names values."""
LOGARITHMIC = ("learning_rate", "weight_decay", "l1", "l2", "first_layer_rate")
ADAPTIVE_FACTOR = 1 / 50
"""Learning rates of `adam` and `adamw` against those of `sgd`, as in the defaults."""
_MOST_VALUES = 100
_KINDS = {int: "whole numbers", float: "numbers", bool: "true or false", str: "names"}


def parse_space(given: Mapping[str, Given]) -> dict[str, Part]:
    """Convert what a user gives for settings, and check it against `TrainConfig`.

    Raises:
        UnknownNameError: a setting is none that can be searched.
        InputError: values do not fit it.
    """
    known = [*SHAPE, *(one.name for one in DIMENSIONS), *(name for name in ADDED if name not in _names())]
    found: dict[str, Part] = {}
    for key, value in given.items():
        name = key.strip().replace("-", "_")
        if name not in known:
            raise UnknownNameError("setting", name, known)
        part = _parse(name, value) if isinstance(value, str) else _make(name, value)
        if name in SHAPE and isinstance(part, Range):
            raise InputError(f"--space {name} takes single values, such as {name}={_EXAMPLES[name]}, got a range")
        _check(name, part)
        found[name] = part
    return found


def parse_pairs(pairs: Sequence[str]) -> dict[str, str]:
    """Split `KEY=VALUES` pairs.

    Raises:
        InputError: there is no «=», or a setting comes twice.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        key = key.strip().replace("-", "_")
        if not separator or not text.strip():
            raise InputError(f"--space takes SETTING=LOW..HIGH or SETTING=A,B,C, got {pair!r}")
        if key in found:
            raise InputError(f"--space {key} is given twice; name all its values at once")
        found[key] = text
    return found


def choose_parts(
    config: TrainConfig, narrowed: Mapping[str, Part], kinds: Sequence[str], named: frozenset[str] = frozenset()
) -> dict[str, Part]:
    """Return what is searched besides the shape: what is declared for these starts, or given, and not set already.

    Args:
        config: settings of the user; those that differ from their defaults are kept.
        narrowed: what the user gave instead of, or besides, what is declared.
        kinds: names of the starts: `scratch`, `pretrained`, `quick`.
        named: settings that the user gave one by one, also as what is their default; they are kept as well.

    Raises:
        InputError: a setting is both set and to be searched, or has no effect.
    """
    kept = config.list_given(named)
    for name in narrowed:
        if name in kept:
            raise InputError(f"{name} is set, and to be searched with --space; leave one of the two out")
        if name in ("model", "width") and config.weights not in ("auto", "none"):
            raise InputError(
                f"--space {name} has no effect with --weights {config.weights}, which is one network already"
            )
        if config.quick and name not in QUICK:
            raise InputError(f"--space {name} has no effect with --quick, which can search {', '.join(QUICK)}")
        # a network that nothing is known to start from begins as it would with --weights none
        base = config.replace(weights="none") if tuple(kinds) == ("scratch",) else config
        if reason := _describe_idle_part(name, narrowed[name], base, _list_optimizers(config, narrowed)):
            raise InputError(f"--space {name} has no effect {reason}")
    adaptive = _is_adaptive(config, narrowed, kept)
    parts: dict[str, Part] = {}
    for dimension in DIMENSIONS:
        if dimension.name in kept:
            continue
        declared = [part for kind in kinds if (part := getattr(dimension, kind)) is not None]
        if dimension.name == "learning_rate" and adaptive:
            declared = [_scale(part) for part in declared]
        if declared:
            parts[dimension.name] = _span(declared)
    return {**parts, **{name: part for name, part in narrowed.items() if name not in SHAPE}}


def _describe_idle_part(name: str, part: Part, config: TrainConfig, optimizers: Sequence[Any]) -> str | None:
    """Say beside which other setting no value that is searched has an effect, with any optimizer; None: one has."""
    values = part.values if isinstance(part, Choice) else (part.low, part.high)
    default, whole = getattr(type(config)(), name), _kind(name) is int
    # beside its default, which is none, a setting has no effect in any case
    searched: list[Any] = [int(value) if whole else value for value in values if value != default] or [default]
    reasons = [
        describe_idle(name, config.replace(**{"optimizer": optimizer, name: value}))
        for optimizer in optimizers
        for value in searched
    ]
    return reasons[0] if all(reasons) else None


def _list_optimizers(config: TrainConfig, narrowed: Mapping[str, Part]) -> tuple[Any, ...]:
    searched = narrowed.get("optimizer")
    return searched.values if isinstance(searched, Choice) else (config.optimizer,)


def _is_adaptive(config: TrainConfig, narrowed: Mapping[str, Part], kept: frozenset[str]) -> bool:
    """Return whether the learning rates that are tried are those of `adam` and `adamw`.

    Raises:
        InputError: optimizers of both kinds are searched, with the same learning rates.
    """
    found: dict[bool, list[str]] = {}
    for optimizer in _list_optimizers(config, narrowed):
        found.setdefault(optimizer in ADAPTIVE, []).append(optimizer or "sgd")
    if len(found) > 1 and "learning_rate" not in kept and "learning_rate" not in narrowed:
        raise InputError(
            f"--space optimizer has {' and '.join(found[False])} beside {' and '.join(found[True])}, whose learning "
            f"rates differ {1 / ADAPTIVE_FACTOR:g} times; search them one after the other, or name rates with --space "
            "learning_rate=LOW..HIGH"
        )
    return found.keys() == {True}


def _names() -> list[str]:
    return [dimension.name for dimension in DIMENSIONS]


def _parse(name: str, text: str) -> Part:
    kind = _kind(name)
    low, dots, high = text.partition("..")
    if dots:
        if kind not in (int, float):
            raise InputError(f"--space {name} takes {_KINDS[kind]} such as {name}=A,B, got the range {text!r}")
        bounds = [_convert(name, one, kind) for one in (low, high)]
        return _range(name, float(bounds[0]), float(bounds[1]), whole=kind is int)
    values = [_convert(name, one.strip(), kind) for one in text.split(",") if one.strip()]
    return Choice(tuple(dict.fromkeys(values)))


def _make(name: str, given: Sequence[Value] | Choice | Range) -> Part:
    if isinstance(given, (Choice, Range)):
        return given
    return Choice(tuple(dict.fromkeys(given)))


def _range(name: str, low: float, high: float, *, whole: bool) -> Range:
    log = name in LOGARITHMIC and low > 0
    return Range(low, high, log=log, whole=whole)


def _kind(name: str) -> type:
    """Return the type of a setting: the first of bool, int, float and str that its annotation has."""
    hint = typing.get_type_hints(TrainConfig)[name]
    members = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return next(kind for kind in (bool, int, float, str) if kind in members)


def _convert(name: str, text: str, kind: type) -> Value:
    try:
        if kind is bool:
            return {"true": True, "yes": True, "false": False, "no": False}[text.lower()]
        value: Value = kind(text)
    except (ValueError, KeyError):
        raise InputError(f"--space {name} takes {_KINDS[kind]}, got {text!r}") from None
    return value


def _check(name: str, part: Part) -> None:
    """Let `TrainConfig` refuse values, or ends of a range, that it does not take."""
    values = part.values if isinstance(part, Choice) else (part.low, part.high)
    if len(values) > _MOST_VALUES:
        raise InputError(f"--space {name} takes at most {_MOST_VALUES} values, got {len(values)}")
    kind = _kind(name)
    for value in values:
        fits = isinstance(value, bool) == (kind is bool) and isinstance(value, (kind, int) if kind is float else kind)
        if isinstance(part, Choice) and not fits:
            raise InputError(f"--space {name} takes {_KINDS[kind]}, got {value!r}")
        if isinstance(part, Range) and kind not in (int, float):
            raise InputError(f"--space {name} takes {_KINDS[kind]}, got a range")
        TrainConfig().replace(**{name: int(value) if kind is int else value})
        if name == "model":
            find_network(str(value))


def _scale(part: Part) -> Part:
    return Range(part.low * ADAPTIVE_FACTOR, part.high * ADAPTIVE_FACTOR, log=True) if isinstance(part, Range) else part


def _span(parts: Sequence[Part]) -> Part:
    """Join what is declared for several starts: ranges from the least to the most, values of both."""
    first = parts[0]
    if isinstance(first, Range):
        ranges = [part for part in parts if isinstance(part, Range)]
        low, high = min(part.low for part in ranges), max(part.high for part in ranges)
        return Range(low, high, log=first.log, step=first.step, whole=first.whole)
    choices = [part for part in parts if isinstance(part, Choice)]
    return Choice(tuple(dict.fromkeys(value for part in choices for value in part.values)))


_EXAMPLES = {"model": "resnet8,resnet20", "width": "0.25,0.5", "image_size": "96,128"}
