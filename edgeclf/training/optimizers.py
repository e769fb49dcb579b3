"""The optimizers, with a rate of its own for each layer and a moving average of the weights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from edgeclf.training.muon import ANGLE, turn
from edgeclf.training.schedule import WarmupCosine

HEAD_FACTOR = 4.0
"""What the steps of a classifier that begins anew are multiplied by, where those of convolutions go by their norm."""
_NORMS = (0.05, 20.0)
_CONVOLUTIONS = (tf_keras.layers.Conv2D, tf_keras.layers.DepthwiseConv2D)
_KERNELS = (*_CONVOLUTIONS, tf_keras.layers.Dense)


@dataclass(frozen=True)
class OptimizerSettings:
    """How an optimizer is built.

    Args:
        name: `sgd` (Nesterov momentum), `muon` (see there; `sgd` for all but `turned`), `adam` or `adamw`.
        momentum: of `sgd` and `muon`.
        weight_decay: decoupled (Loshchilov and Hutter, 2019); spares biases and the scales of batch normalization.
        average: decay a step of the moving average of the weights (Polyak and Juditsky, 1992); 0: none.
        factors: by name of a variable, what its steps are multiplied by; 1 where it is not named.
        turned: names of the kernels that `muon` turns.
    """

    name: str = "sgd"
    momentum: float = 0.9
    weight_decay: float = 0.0
    average: float = 0.0
    factors: Mapping[str, float] = field(default_factory=dict)
    turned: frozenset[str] = frozenset()


def build_optimizer(schedule: WarmupCosine | float, settings: OptimizerSettings) -> tf_keras.optimizers.Optimizer:
    """Build an optimizer with a schedule, or a rate to be set."""
    shared = {
        # AdamW wants a number, the others take none for zero.
        "weight_decay": settings.weight_decay if settings.name == "adamw" else settings.weight_decay or None,
        "use_ema": settings.average > 0,
        "ema_momentum": settings.average,
    }
    unshrunk = ["bias", "gamma", "beta"]
    if settings.name == "sgd":
        made: Any = _SGD(schedule, momentum=settings.momentum, nesterov=True, **shared)
    elif settings.name == "muon":
        made = _Muon(schedule, momentum=settings.momentum, nesterov=True, **shared)
        made.turned = settings.turned
        unshrunk += [f"^{re.escape(name.removesuffix(':0'))}(/replica_[0-9]+)?(:|$)" for name in settings.turned]
    else:
        made = {"adam": _Adam, "adamw": _AdamW}[settings.name](schedule, **shared)
    made.factors = dict(settings.factors)
    if settings.weight_decay:
        made.exclude_from_weight_decay(var_names=unshrunk)
    return made


def average_weights(model: tf_keras.Model) -> list[npt.NDArray[Any]]:
    """Return the weights of a network, with the averages of its optimizer where it keeps them.

    Statistics of batch normalization are averages already.
    """
    optimizer = model.optimizer
    if not optimizer.use_ema:
        values: list[npt.NDArray[Any]] = model.get_weights()
        return values
    averages = dict(
        zip(
            (id(variable) for variable in model.trainable_variables),
            optimizer._model_variables_moving_average,
            strict=True,
        )
    )
    return [np.asarray(averages.get(id(variable), variable)) for variable in model.weights]


def layer_factors(model: tf_keras.Model, first: float, *, by_norm: bool = False) -> dict[str, float]:
    """Compute by what the steps of each variable are multiplied.

    With `first` below 1 early layers change less than late ones: the factors rise geometrically with the depth, from
    `first` at the first layer with weights to 1 at the classifier (Howard and Ruder, 2018, arXiv:1801.06146, section
    3.2). With `by_norm`, each convolution changes in proportion to itself: where batch normalization follows, the
    direction of a filter alone matters, and a step turns it by the gradient over its squared norm (van Laarhoven, 2017,
    arXiv:1706.05350), which in pretrained networks differs tenfold from layer to layer.

    Args:
        model: whose layers lie in the order of computation.
        first: of the first layer, above 0 and up to 1.
        by_norm: multiply the steps of each convolution without bias by the mean squared norm of its filters, and those
            of the classifier by `HEAD_FACTOR`.

    Returns:
        by name of the variable.
    """
    if first == 1 and not by_norm:
        return {}
    last = max(1, sum(isinstance(layer, _KERNELS) and layer.trainable for layer in model.layers) - 1)
    factors, depth = {}, -1
    for layer in model.layers:
        # What follows a convolution, such as its batch normalization, has its rate.
        depth += isinstance(layer, _KERNELS) and layer.trainable
        factor = first ** (1 - max(depth, 0) / last)
        for variable in layer.trainable_variables:
            factors[variable.name] = factor
        if by_norm and isinstance(layer, _CONVOLUTIONS) and layer.trainable and not layer.use_bias:
            factors[layer.trainable_variables[0].name] *= _squared_norm(layer)
    if by_norm:
        for variable in model.layers[-1].trainable_variables:
            factors[variable.name] *= HEAD_FACTOR
    return factors


def _squared_norm(layer: Any) -> float:
    """Return the mean squared norm of the filters of a convolution, within `_NORMS`."""
    kernel = np.asarray(layer.get_weights()[0], np.float64)
    axes = (0, 1) if isinstance(layer, tf_keras.layers.DepthwiseConv2D) else (0, 1, 2)
    return float(np.clip(np.square(kernel).sum(axis=axes).mean(), *_NORMS))


_REPLICA = re.compile(r"/replica_\d+(?=:\d+$)")
"""What TensorFlow adds to the name of a variable for its copies on further devices."""


class _Steps:
    """Multiplies the steps of an optimizer of tf-keras, averages weights from the first step on, and leaves the
    averages where they are."""

    factors: Mapping[str, float] = {}
    ema_momentum: Any
    iterations: Any

    def update_step(self, gradient: Any, variable: Any) -> None:
        factor = self.factors.get(_REPLICA.sub("", variable.name), 1.0)
        if factor == 1:
            super().update_step(gradient, variable)  # type: ignore[misc]
            return
        before = tf.identity(variable)
        super().update_step(gradient, variable)  # type: ignore[misc]
        variable.assign(before + factor * (variable - before))

    def _update_model_variables_moving_average(self, var_list: Sequence[Any]) -> None:
        """Average no more steps than there were: with the whole decay the first weights would stay for long."""
        whole, steps = self.ema_momentum, tf.cast(self.iterations, tf.float32)
        # as in tf.train.ExponentialMovingAverage
        self.ema_momentum = tf.minimum(whole, (1 + steps) / (10 + steps))
        try:
            super()._update_model_variables_moving_average(var_list)  # type: ignore[misc]
        finally:
            self.ema_momentum = whole

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        """Do nothing: `fit`, of which there is one an epoch, would put the averages in place of the weights."""


class _SGD(_Steps, tf_keras.optimizers.SGD):  # type: ignore[misc]
    pass


class _Muon(_SGD):
    turned: frozenset[str] = frozenset()

    def update_step(self, gradient: Any, variable: Any) -> None:
        name = _REPLICA.sub("", variable.name)
        if name not in self.turned:
            super().update_step(gradient, variable)
            return
        kept = self.momentums[self._index_dict[self._var_key(variable)]]
        kept.assign(self.momentum * kept + gradient)
        angle = ANGLE * self.factors.get(name, 1.0) * self.learning_rate
        variable.assign(turn(variable, gradient + self.momentum * kept, angle))


class _Adam(_Steps, tf_keras.optimizers.Adam):  # type: ignore[misc]
    pass


class _AdamW(_Steps, tf_keras.optimizers.AdamW):  # type: ignore[misc]
    pass
