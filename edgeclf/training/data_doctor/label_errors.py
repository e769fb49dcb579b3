"""Finds labels that are probably wrong, by confident learning (Northcutt et al., 2021, arXiv:1911.00068).

The rule is short, and written here: cleanlab, its authors' package, would bring pandas along for these few lines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_SMALLEST = 1e-12


@dataclass(frozen=True)
class LabelDoubts:
    """What out-of-fold probabilities say of labels.

    Attributes:
        order: int64[M], images whose label is doubted, the most doubtful first.
        suggested: int64[N], the class that an image is confidently of; -1: none, or that of its label.
        margin: float64[N], probability of the label less that of the best other class.
        loss: float64[N], cross-entropy of the label in nats.
        chances: float64[N, K], the probabilities.
        joint: int64[K, K], the confident joint: images by label (a row) and by the class that they are confidently of.
        estimated: number of wrong labels by the joint, scaled to the images of each class.
    """

    order: Integers
    suggested: Integers
    margin: Floats
    loss: Floats
    chances: Floats
    joint: Integers
    estimated: float


def doubt_labels(probabilities: npt.NDArray[np.floating], labels: Integers) -> LabelDoubts:
    """Find the images that are confidently of another class than their label, and order them by the margin.

    An image is confidently of a class where the class's probability is at least the mean that images with that label
    have; of several such classes the most probable one counts. Those off the diagonal are doubted, ordered by the
    normalized margin (section 3.2 and appendix of the paper).

    Args:
        probabilities: float[N, K], each from a classifier that has not seen the image.
        labels: int64[N]; classes without an image are left out of everything.
    """
    chances = np.asarray(probabilities, np.float64)
    count, classes = chances.shape
    rows = np.arange(count)
    own = chances[rows, labels]
    thresholds = np.full(classes, np.inf)
    present = np.unique(labels)
    thresholds[present] = [own[labels == label].mean() for label in present]
    confident = np.where(chances >= thresholds, chances, -1.0)
    confidently = np.where(confident.max(axis=1) >= 0, confident.argmax(axis=1), -1)
    others = chances.copy()
    others[rows, labels] = -1.0
    margin = own - others.max(axis=1)
    doubted = np.flatnonzero((confidently >= 0) & (confidently != labels))
    joint = np.zeros((classes, classes), np.int64)
    np.add.at(joint, (labels[confidently >= 0], confidently[confidently >= 0]), 1)
    totals, diagonal = joint.sum(axis=1), np.diag(joint)
    sizes = np.bincount(labels, minlength=classes)
    wrong = sizes * np.where(totals > 0, (totals - diagonal) / np.maximum(totals, 1), 0.0)
    return LabelDoubts(
        order=doubted[np.argsort(margin[doubted], kind="stable")],
        suggested=np.where((confidently >= 0) & (confidently != labels), confidently, -1).astype(np.int64),
        margin=margin,
        loss=-np.log(np.maximum(own, _SMALLEST)),
        chances=chances,
        joint=joint,
        estimated=float(wrong.sum()),
    )
