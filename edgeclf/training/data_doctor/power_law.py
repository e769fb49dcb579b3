"""Fits how the error falls with the number of photos, and forecasts it: `error = a * photos ** -b + c`.

The form is that of Hestness et al., 2017, arXiv:1712.00409. A few points do not decide whether the error has a floor
`c`, so a forecast is the mean of the fit with one and of the fit without, and its interval covers both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_EXPONENTS = np.linspace(0.05, 1.0, 39)
LEVEL = 0.95


@dataclass(frozen=True)
class PowerLaw:
    """Curves fitted to the same points, one a draw.

    Attributes:
        scale: float64[n], `a`.
        exponent: float64[n], `b`.
        floor: float64[n], `c`.
    """

    scale: Floats
    exponent: Floats
    floor: Floats

    def error(self, photos: float) -> Floats:
        """Return the error float64[n] at a number of photos, a fraction."""
        return np.clip(self.scale * photos**-self.exponent + self.floor, 0, 1)


def fit_power_law(photos: Floats, errors: Floats, images: int, *, with_floor: bool) -> PowerLaw:
    """Fit the curve by least squares, each point weighted by its binomial variance; none of the numbers is negative.

    Args:
        photos: float64[m], training photos of each point.
        errors: float64[n, m], fractions: a row a draw.
        images: that each error was measured on.
        with_floor: False: `c` is 0.
    """
    smoothed = (errors * images + 1) / (images + 2)
    weights = images / (smoothed * (1 - smoothed))
    best: tuple[Floats, Floats, Floats, Floats] | None = None
    for exponent in _EXPONENTS:
        x = photos[None] ** -exponent
        total, wx, wy = weights.sum(axis=1), (weights * x).sum(axis=1), (weights * errors).sum(axis=1)
        wxx, wxy = (weights * x * x).sum(axis=1), (weights * x * errors).sum(axis=1)
        scale = wxy / wxx
        floor = np.zeros_like(scale)
        if with_floor:
            free = (total * wxy - wx * wy) / np.maximum(total * wxx - wx * wx, 1e-300)
            rest = (wy - free * wx) / total
            scale = np.where(free < 0, 0.0, np.where(rest < 0, scale, free))
            floor = np.where(free < 0, wy / total, np.maximum(rest, 0.0))
        residual = (weights * (errors - scale[:, None] * x - floor[:, None]) ** 2).sum(axis=1)
        if best is None:
            best = residual, scale, np.full_like(scale, exponent), floor
        else:
            better = residual < best[0]
            made = (residual, scale, np.full_like(scale, exponent), floor)
            best = tuple(np.where(better, new, old) for new, old in zip(made, best, strict=True))  # type: ignore[assignment]
    assert best is not None
    return PowerLaw(*best[1:])


@dataclass(frozen=True)
class Forecast:
    """What is expected of the error at a number of photos.

    Attributes:
        error: fraction.
        interval: 95 %, of the mean error; of the fits alone, not of another draw of photos.
        gain: by how much it is lower than at the number of photos there is now, a fraction.
        gain_interval: 95 %.
    """

    error: float
    interval: tuple[float, float]
    gain: float
    gain_interval: tuple[float, float]


def forecast(photos: Floats, draws: Floats, images: int, now: float, then: float) -> Forecast:
    """Forecast the error at `then` photos from a learning curve.

    Args:
        photos: float64[m], training photos of each point.
        draws: float64[1 + n, m]: the errors that were measured, and those of bootstrap draws of the images.
        images: that each error was measured on.
        now: number of photos there is.
        then: number of photos that is asked about.
    """
    fits = [fit_power_law(photos, draws, images, with_floor=floor) for floor in (False, True)]
    at, before = (np.stack([fit.error(count) for fit in fits]) for count in (then, now))
    gains = before - at
    return Forecast(float(at[:, 0].mean()), _interval(at), float(gains[:, 0].mean()), _interval(gains))


def _interval(values: Floats) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
