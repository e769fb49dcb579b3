"""What a classifier returns for one image, and when it calls an image unknown."""

from __future__ import annotations

from dataclasses import dataclass

from edgeclf.artifact.fitted_probabilities import FittedProbabilities
from edgeclf.errors import InputError
from edgeclf.records import Record


@dataclass(frozen=True)
class LabelScore(Record):
    """One class and its probability; the label is the index of one without a name, `unknown` of the class `none`."""

    label: str
    index: int
    probability: float


@dataclass(frozen=True)
class Prediction(Record):
    """The best classes of one image.

    Attributes:
        labels: the best classes, best first, also of an image that is unknown.
        label: of the best class; `unknown` where the model's threshold or its check of features refuses the image.
        novelty: how far its features lie from those of known images, 1 at the limit; None: the file has no such check.
    """

    labels: tuple[LabelScore, ...]
    label: str = ""
    novelty: float | None = None


@dataclass(frozen=True)
class UnknownRule:
    """When an image is unknown: it is too far from all that is known, or its best class is not probable enough.

    Attributes:
        threshold: probability from which on the best class is named; None: the model has none of its own.
        checks_features: whether the distance of features counts.
        fitted: whether the threshold is that of the file.
    """

    threshold: float | None = None
    checks_features: bool = False
    fitted: bool = False

    def refuses(self, probability: float, novelty: float | None) -> bool:
        """Return whether an image with such a best class, and as far from known ones, is unknown."""
        return self.is_novel(novelty) or (self.threshold is not None and not probability >= self.threshold)

    def is_novel(self, novelty: float | None, margin: float = 0.0) -> bool:
        """Return whether features are farther than the limit, or than `1 + margin` times the limit."""
        return self.checks_features and novelty is not None and not novelty <= 1 + margin


NO_RULE = UnknownRule()
"""Of a model that has none: nothing is unknown."""


def choose_rule(given: float | None, fitted: FittedProbabilities | None) -> UnknownRule:
    """Choose when images are unknown: the user's threshold before that of the file; 0 names a class always.

    Raises:
        InputError: the threshold is no probability.
    """
    if given is not None and not 0 <= given <= 1:
        raise InputError(f"threshold must be between 0 and 1, got {given:g}")
    if given == 0 or (given is None and fitted is None):
        return UnknownRule(threshold=None if given is None else 0.0)
    checks = fitted is not None and fitted.features is not None
    if given is not None or fitted is None:
        return UnknownRule(given, checks)
    return UnknownRule(fitted.threshold, checks, fitted=True)


def check_top(top: int) -> int:
    """Return how many classes to show, after checking it.

    Raises:
        InputError: it is below 1.
    """
    if top < 1:
        raise InputError(f"top must be 1 or more, got {top}; it is how many classes to return at most")
    return top
