"""Turns raw outputs into probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def dequantize(raw: npt.NDArray[Any], scale: float, zero_point: int) -> npt.NDArray[np.float32]:
    """Compute the real values of a tensor: `(raw - zero_point) * scale`; the values themselves where `scale` is 0."""
    if scale <= 0:
        return raw.astype(np.float32)
    # 8-bit numbers are widened first: 5 - 128 does not fit into uint8
    return np.asarray((raw.astype(np.int32) - zero_point) * np.float32(scale), np.float32)


def to_probabilities(values: npt.NDArray[np.float32], scores: str) -> npt.NDArray[np.float32]:
    """Compute probabilities `float32[..., C]` from real outputs.

    Args:
        values: real outputs `float32[..., C]`, or `float32[..., 1]`: the score of the second of two classes.
        scores: what they are: `probabilities`, `log probabilities` or `logits`.
    """
    if values.shape[-1] == 1:
        if scores == "logits":
            # softmax over 0 and the logit is the sigmoid, without overflow
            return to_probabilities(np.concatenate([np.zeros_like(values), values], axis=-1), scores)
        second = np.clip(np.exp(values) if scores == "log probabilities" else values, 0, 1)
        return np.concatenate([1 - second, second], axis=-1)
    if scores == "probabilities":
        return values
    if scores == "log probabilities":
        return np.exp(values)
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


def share_ties(values: npt.NDArray[np.float32], raw: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Replace values by their mean among the classes that tie in another output: both [..., C]."""
    if values.ndim > 1:
        rows = zip(values.reshape(-1, values.shape[-1]), raw.reshape(-1, raw.shape[-1]), strict=True)
        shared = [share_ties(row, other) for row, other in rows]
        return np.stack(shared).reshape(values.shape) if shared else values
    _, places, counts = np.unique(raw, return_inverse=True, return_counts=True)
    sums = np.bincount(places.reshape(-1), weights=values)
    return np.asarray((sums / counts)[places.reshape(-1)], np.float32)
