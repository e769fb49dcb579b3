"""What a run that grows from an earlier one has that is new, and how both do on photos that neither was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgeclf.dataset.known_images import KnownImages, collect_images
from edgeclf.dataset.types import Dataset
from edgeclf.measure.comparison import ModelPredictions, compare_models
from edgeclf.measure.formatting import counted, exact
from edgeclf.measure.paired_interval import difference_interval
from edgeclf.measure.report import ClassCost
from edgeclf.measure.statistics import discordant, mcnemar_p
from edgeclf.records import Record

Indices = npt.NDArray[np.int64]
KnownBy = Literal["record", "split rule"]
JUDGED_SPLITS = ("test", "validation")
_NAMED = 10


@dataclass(frozen=True)
class ClassGrowth(Record):
    """Photos of one class, those of equal content counted once.

    Attributes:
        before: that the earlier run had; where it did not record its photos, its number of files.
        now: that this run has.
        added: of those, that the earlier run did not have; None: it did not record its photos.
        removed: that the earlier run had, and this one does not; None likewise.
    """

    before: int
    now: int
    added: int | None
    removed: int | None


@dataclass(frozen=True)
class PairedTop1(Record):
    """Top-1 of the earlier network and of this one on the same images, as fractions; `difference`: this minus earlier.

    `difference_interval` is `measure.paired_interval`'s, 95 %; `p_value` that of McNemar's exact test.
    """

    images: int
    earlier_top1: float
    top1: float
    difference: float
    difference_interval: tuple[float, float]
    p_value: float


@dataclass(frozen=True)
class GrowthComparison(Record):
    """Both networks on the images of one split that neither was trained on.

    Attributes:
        split: `test`, or `validation`, whose images chose an epoch of this run, and mostly of the earlier one too.
        left_out: images of the split that one of the two was trained on.
        all: on all images that are left, also of classes that the earlier network does not know, where it cannot be
            right.
        known: on those of the classes that both know; None: there is none.
        per_class: class by class; `baseline_top1` is that of the earlier network. The p-values are corrected over the
            classes (Holm), and the intervals fit to them.
    """

    split: str
    left_out: int
    all: PairedTop1
    known: PairedTop1 | None
    per_class: tuple[ClassCost, ...]


@dataclass(frozen=True)
class GrowthReport(Record):
    """What is new against the run that this one grew from.

    Attributes:
        run: its folder.
        classes_added: that it does not know.
        classes_removed: that it knows, and this run does not.
        photos: by class.
        known_by: how it is known what the earlier run was trained on: by its `record` (`images.csv`), or, where it has
            none, by the `split rule`: an image lies in a split by its content alone.
        comparisons: a split each; empty until the training has ended, and where no image is left.
        left_out: by split, its images that one of the two was trained on, also where none is left to compare on.
    """

    run: str
    classes_added: tuple[str, ...]
    classes_removed: tuple[str, ...]
    photos: dict[str, ClassGrowth]
    known_by: KnownBy
    comparisons: tuple[GrowthComparison, ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)

    def describe(self) -> tuple[str, ...]:
        """Describe what is new, a line each."""
        photos, changes = self.photos, []
        counts = f"it had {_counts({name: one.before for name, one in photos.items()})}"
        if self.known_by == "record":
            added = {name: one.added or 0 for name, one in photos.items()}
            removed = {name: one.removed or 0 for name, one in photos.items()}
            if total := sum(added.values()):
                changes.append(f"{counted(total, 'new photo')} ({_counts(added)})")
            if total := sum(removed.values()):
                changes.append(f"{exact(total)} removed ({_counts(removed)})")
        else:
            changes.append(f"{counts}; now there are {_counts({name: one.now for name, one in photos.items()})}")
        lines = [f"grows from {self.run}: {'; '.join(changes) or 'the photos are the same'}"]
        names = (("new", self.classes_added), ("removed", self.classes_removed))
        shown = [f"{word} classes: {', '.join(classes)}" for word, classes in names if classes]
        if shown:
            lines.append("; ".join(shown))
        if self.known_by == "split rule":
            lines.append(
                f"{self.run} did not record its photos: what it was trained on is decided by the rule of the split, in "
                "which an image lies by its content"
            )
        return tuple(lines)


def find_growth(
    run: str, class_names: Sequence[str], counts: Mapping[str, int], known: KnownImages | None, dataset: Dataset
) -> GrowthReport:
    """Find what `dataset` has that an earlier run had not, and the other way round.

    Args:
        run: its folder.
        class_names: that it knows.
        counts: its images by class.
        known: which images it had; None: not recorded.
        dataset: of the new run.
    """
    here, photos = collect_images(dataset), {}
    for name in dict.fromkeys((*class_names, *dataset.class_names)):
        now = here.of_class(name)
        if known is None:
            photos[name] = ClassGrowth(counts.get(name, 0), len(now), None, None)
        else:
            before = known.of_class(name)
            photos[name] = ClassGrowth(len(before), len(now), len(now - before), len(before - now))
    return GrowthReport(
        run,
        tuple(name for name in dataset.class_names if name not in class_names),
        tuple(name for name in class_names if name not in dataset.class_names),
        photos,
        "split rule" if known is None else "record",
    )


def compare_networks(
    dataset: Dataset, split: str, rows: Indices, predictions: tuple[Indices, Indices], known: Sequence[str]
) -> GrowthComparison | None:
    """Compare the earlier network with the new one on some images of a split; None: there are none.

    Args:
        dataset: of the new run.
        split: the images are of it.
        rows: int64[n], of the split.
        predictions: int64[n] of the earlier and of the new network, into the data's classes; -1: of none of them.
        known: classes that the earlier network knows.
    """
    whole = dataset.splits[split]
    if not len(rows):
        return None
    images = whole.subset(rows)
    labels, (earlier, new) = images.labels, predictions
    names = tuple(dataset.class_names[n] for n in new.tolist())
    made = ModelPredictions("grown", "", images, tuple(dataset.class_names), new, names)
    (verdict,) = compare_models([made], earlier)
    before, after = earlier == labels, new == labels
    among = np.isin(labels, [n for n, name in enumerate(dataset.class_names) if name in known])
    shared = _pair(before[among], after[among]) if among.any() else None
    return GrowthComparison(split, len(whole) - len(rows), _pair(before, after), shared, verdict.comparison.per_class)


def _pair(before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]) -> PairedTop1:
    """Compute the paired figures of two networks, each bool[N]: right or wrong on the same images."""
    lost, gained = discordant(before, after)
    return PairedTop1(
        images=len(after),
        earlier_top1=float(before.mean()),
        top1=float(after.mean()),
        difference=(gained - lost) / len(after),
        difference_interval=difference_interval(lost, gained, len(after)),
        p_value=mcnemar_p(lost, gained),
    )


def _counts(found: Mapping[str, int]) -> str:
    shown = [f"{name} {exact(count)}" for name, count in found.items() if count]
    more = f" and {len(shown) - _NAMED} more classes" if len(shown) > _NAMED else ""
    return ", ".join(shown[:_NAMED]) + more
