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


def mean_nll(logits: Floats, labels: Labels, temperature: float, smoothing: float = 0.0) -> float:
    """Compute the mean negative log-likelihood, in nats, of the right classes.

    Args:
        logits: float[N, C], or float[N, 1]: that of the second of two classes.
        labels: int64[N].
        temperature: what logits are divided by.
        smoothing: probability that the targets give to the other classes together.
    """
    scaled = np.asarray(logits, np.float64) / temperature
    if scaled.shape[-1] == 1:
        scaled = np.concatenate([np.zeros_like(scaled), scaled], axis=-1)
    peaks = scaled.max(axis=-1)
    sums = peaks + np.log(np.exp(scaled - peaks[:, None]).sum(axis=-1))
    right = scaled[np.arange(len(labels)), labels]
    others = (scaled.sum(axis=-1) - right) / max(1, scaled.shape[-1] - 1)
    return float((sums - (1 - smoothing) * right - smoothing * others).mean())


def fit_temperature(logits: Floats, labels: Labels) -> float:
    """Find the temperature of the smallest mean negative log-likelihood; 1 where none is better.

    That is convex in the inverse of the temperature, so that a golden-section search finds the only minimum. The
    targets leave 1 in N + 2 to the wrong classes, as Platt's do: where all of a few labels are right, the likelihood
    alone would make every prediction certain.

    Args:
        logits: float[N, C], or float[N, 1].
        labels: int64[N].

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017, arXiv:1706.04599; Platt, "Probabilistic
    outputs for support vector machines", 1999, section 2.2.
    """
    low, high, smoothing = 1 / HIGHEST, 1 / LOWEST, 1 / (len(labels) + 2)
    # in logarithms of the inverse: still one valley, and every scale is searched alike
    a, b = math.log(low), math.log(high)
    c, d = b - _GOLDEN * (b - a), a + _GOLDEN * (b - a)

    def loss(place: float) -> float:
        return mean_nll(logits, labels, math.exp(-place), smoothing)

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
    better = mean_nll(logits, labels, found, smoothing) < mean_nll(logits, labels, 1.0, smoothing)
    return round(found, 6) if better else 1.0
