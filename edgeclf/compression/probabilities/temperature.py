"""Fits one temperature to logits."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

LOWEST, HIGHEST = 0.02, 50.0
"""Temperatures that are looked at."""
_GOLDEN = (math.sqrt(5) - 1) / 2
_STEPS = 40

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.int64]


def mean_nll(logits: Floats, labels: Labels, temperature: float) -> float:
    """Compute the mean negative log-likelihood, in nats, of the right classes.

    Args:
        logits: float[N, C], or float[N, 1]: that of the second of two classes.
        labels: int64[N].
        temperature: what logits are divided by.
    """
    scaled = np.asarray(logits, np.float64) / temperature
    if scaled.shape[-1] == 1:
        scaled = np.concatenate([np.zeros_like(scaled), scaled], axis=-1)
    peaks = scaled.max(axis=-1)
    sums = peaks + np.log(np.exp(scaled - peaks[:, None]).sum(axis=-1))
    return float((sums - scaled[np.arange(len(labels)), labels]).mean())


def fit_temperature(logits: Floats, labels: Labels) -> float:
    """Find the temperature of the smallest mean negative log-likelihood; 1 where none is better.

    That is convex in the inverse of the temperature, so that a golden-section search finds the only minimum.

    Args:
        logits: float[N, C], or float[N, 1].
        labels: int64[N].

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017, arXiv:1706.04599.
    """
    low, high = 1 / HIGHEST, 1 / LOWEST
    # in logarithms of the inverse: still one valley, and every scale is searched alike
    a, b = math.log(low), math.log(high)
    c, d = b - _GOLDEN * (b - a), a + _GOLDEN * (b - a)

    def loss(place: float) -> float:
        return mean_nll(logits, labels, math.exp(-place))

    at_c, at_d = loss(c), loss(d)
    for _ in range(_STEPS):
        if at_c <= at_d:
            b, d, at_d = d, c, at_c
            c = b - _GOLDEN * (b - a)
            at_c = loss(c)
        else:
            a, c, at_c = c, d, at_d
            d = a + _GOLDEN * (b - a)
            at_d = loss(d)
    found = math.exp(-(a + b) / 2)
    return round(found, 6) if mean_nll(logits, labels, found) < mean_nll(logits, labels, 1.0) else 1.0
