"""Shows what was fitted on validation images of a model: for `inspect` and `compress`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgeclf.measure.formatting import counted, exact, interval, percent, size

if TYPE_CHECKING:
    from edgeclf.artifact.fitted_probabilities import FittedProbabilities

_BYTES_A_VALUE = 2


def describe_probabilities(fitted: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Describe temperature, threshold and check of features, a name and a text each; nothing where there are none.

    Args:
        fitted: `FittedProbabilities` as plain values.
    """
    if fitted is None:
        return []
    before, after = percent(fitted["calibration_error_before"]), percent(fitted["calibration_error"])
    error = f"temperature {fitted['temperature']:.3g}: calibration error {before} before, {after} after"
    found = [
        ("probabilities", f"{error} ({fitted['bins']} bins, {counted(fitted['images'], 'validation image')})"),
        ("unknown", f"below a probability of {percent(fitted['threshold'], 1)}{_features(fitted['features'])}"),
    ]
    if fitted["precision"] is not None:
        bounds = interval(fitted["precision_interval"])
        refused = f"{percent(fitted['refused'])} of known images refused, at most {percent(fitted['refused_bound'])}"
        shown = f"{percent(fitted['precision'])} of {exact(fitted['shown'])} named images are right ({bounds})"
        found.append(("promised", f"{shown}; {refused} with 95 % confidence"))
    return found + [("", note) for note in fitted["notes"]]


def describe_fit(fitted: FittedProbabilities | None) -> tuple[str, ...]:
    """Describe in a line what was fitted for a model that was just made; nothing where nothing was."""
    if fitted is None:
        return ()
    before, after = percent(fitted.calibration_error_before, 1), percent(fitted.calibration_error, 1)
    shown = f"calibration error {before} before temperature {fitted.temperature:.2g}, {after} after"
    refused = f"at most {percent(fitted.refused_bound, 1)} of known photos are called unknown"
    right = (
        "" if fitted.precision_interval is None else f", {percent(fitted.precision_interval[0], 1)} of the rest right"
    )
    return (f"{shown}; {refused}{right}, at least (95 % confidence, {counted(fitted.images, 'validation image')})",)


def _features(space: Mapping[str, Any] | None) -> str:
    if space is None:
        return "; features are not checked"
    values = (space["centers"] + space["directions"]) * space["dimensions"]
    means = counted(space["centers"], "mean")
    return f", or where the features are far from {means} of known images ({size(values * _BYTES_A_VALUE)})"
