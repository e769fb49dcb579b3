"""Finds labels that are probably wrong, by confident learning (Northcutt et al., 2021, arXiv:1911.00068).

The rule is short, and written here: cleanlab, its authors' package, would bring pandas along for these few lines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

CLEARLY = 20
"""How many times as probable as the label another class must be for an image to be doubted whatever the estimate is."""
_SMALLEST = 1e-12


@dataclass(frozen=True)
class LabelDoubts:
    """What out-of-fold probabilities say of labels.

    Attributes:
        order: int64[M], images whose label is doubted, the most doubtful first.
        suggested: int64[N], the most probable class other than the label.
        loss: float64[N], cross-entropy of the label in nats.
        chances: float64[N, K], the probabilities.
        joint: int64[K, K], the confident joint: images by label (a row) and by the class that they are confidently of.
        estimated: number of wrong labels by the joint, scaled to the images of each class.
    """

    order: Integers
    suggested: Integers
    loss: Floats
    chances: Floats
    joint: Integers
    estimated: float


def doubt_labels(probabilities: npt.NDArray[np.floating], labels: Integers) -> LabelDoubts:
    """Estimate how many labels of each class are wrong, and doubt as many of those that are least probable.

    An image is confidently of a class where the class's probability is at least the mean that images with that label
    have; of several such classes the most probable one counts. The fraction off the diagonal is that of wrong labels.
    Of each class as many images are doubted, of those whose best class is another, by the lowest probability of the
    label: «prune by class» in section 3.2 of the paper. Of few images that estimate is coarse, so those are doubted,
    too, whose best class is `CLEARLY` times as probable as their label.

    Args:
        probabilities: float[N, K], each from a classifier that has not seen the image.
        labels: int64[N].
    """
    chances = np.asarray(probabilities, np.float64)
    rows, classes = np.arange(len(chances)), chances.shape[1]
    own = chances[rows, labels]
    sizes = np.bincount(labels, minlength=classes)
    thresholds = np.where(sizes > 0, np.bincount(labels, own, classes) / np.maximum(sizes, 1), np.inf)
    confident = np.where(chances >= thresholds, chances, -1.0)
    sure = confident.max(axis=1) >= 0
    joint = np.zeros((classes, classes), np.int64)
    np.add.at(joint, (labels[sure], confident.argmax(axis=1)[sure]), 1)
    totals = joint.sum(axis=1)
    wrong = sizes * np.where(totals > 0, 1 - np.diag(joint) / np.maximum(totals, 1), 0.0)
    others = chances.copy()
    others[rows, labels] = -1.0
    suggested = others.argmax(axis=1).astype(np.int64)
    best = chances[rows, suggested]
    doubted = []
    for label in range(classes):
        members = np.flatnonzero((labels == label) & (best > own))
        members = members[np.argsort(own[members], kind="stable")]
        clear = CLEARLY * own[members] <= best[members]
        doubted.append(members[(np.arange(len(members)) < round(wrong[label])) | clear])
    order = np.concatenate(doubted)
    return LabelDoubts(
        order=order[np.argsort(own[order], kind="stable")],
        suggested=suggested,
        loss=-np.log(np.maximum(own, _SMALLEST)),
        chances=chances,
        joint=joint,
        estimated=float(wrong.sum()),
    )
