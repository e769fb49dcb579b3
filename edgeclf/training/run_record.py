"""The record of a run, `run.json`, and the report in it."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeclf.artifact.none_class import find_none_classes
from edgeclf.artifact.run_folder import PRETRAINING, RunFolder
from edgeclf.atomic import check_writable
from edgeclf.dataset.known_images import write_images
from edgeclf.dataset.types import Dataset
from edgeclf.errors import DataError
from edgeclf.image.shape import STRETCH, ImageSize
from edgeclf.image.views import describe_views
from edgeclf.paths import is_utf8
from edgeclf.records import Record
from edgeclf.training.budget.choice import NetworkChoice
from edgeclf.training.config import TrainConfig
from edgeclf.training.evaluation import SplitMetrics
from edgeclf.training.growth import GrowthReport
from edgeclf.training.kernels import name_kernels
from edgeclf.training.pretraining.config import PretrainConfig
from edgeclf.versions import package_version

PACKAGES = (
    "edgeclf",
    "tensorflow",
    "tf-keras",
    "tensorflow-model-optimization",
    "numpy",
    "opencv-python",
    "ai-edge-litert",
)

ORDER = "order"
"""Key of the record of the data that holds in which order the training images are drawn from."""


@dataclass(frozen=True)
class TrainReport(Record):
    """Result of a run.

    Args:
        run: the run folder.
        model: name of the network.
        parameters: weights and biases, batch normalization included.
        image_size: side of the square input, pixels, or height and width.
        seconds: time spent training, in all sessions of the run.
        epochs: whole epochs done.
        kept_epoch: the epoch whose network was kept: the latest that validation cannot distinguish from the best;
            0: none came near the classifier on frozen features, which was.
        device: what it was trained on.
        metrics: by split; `test` is None where the data have none. Those of `validation` are optimistic, because its
            images chose the epoch.
        notes: remarks and warnings, one sentence each.
        in_training: by split, how many of its images were seen in training, too: to learn from, or to choose the epoch.
        started_from: name of the weights that it started from; empty: scratch, or not recorded.
        elapsed_seconds: from the call to the report by the clock, in the last session; None: not recorded.
        choice: of network, width and input size by a budget; None: there was none.
        growth: what is new against the run that it grew from, and how both do on photos that neither was trained on;
            None: it grew from none.
        ended: local time at which the run was finished, ISO 8601 with its zone; None: not recorded.
        fit: how pictures of another shape come to the input: `stretch`, `crop` or `pad`.
    """

    run: str
    model: str
    parameters: int
    image_size: ImageSize
    seconds: float
    epochs: int
    kept_epoch: int
    device: str
    metrics: dict[str, SplitMetrics | None]
    notes: tuple[str, ...]
    in_training: dict[str, int] = field(default_factory=dict)
    started_from: str = ""
    elapsed_seconds: float | None = None
    ended: str | None = None
    choice: NetworkChoice | None = None
    fit: str = STRETCH
    growth: GrowthReport | None = None


def check_photos(earlier: Mapping[str, Any] | None, dataset: Dataset, path: Path) -> None:
    """Refuse to go on with a run on other photos than it began with, or on the same in another order.

    Args:
        earlier: the record of the run that is resumed; None: a run begins.
        dataset: that was loaded.
        path: of the run folder.

    Raises:
        DataError: they are others, or come in another order, which another training would follow from.
    """
    if earlier is None:
        return
    data = earlier.get("data", {})
    if data.get("fingerprint") == dataset.fingerprint:
        if data.get(ORDER) in (None, digest_order(dataset)):  # None: an earlier version began it
            return
        raise DataError(
            f"{path}: the photos are those that the run began with, in another order: files were renamed, or rows of "
            "the manifest moved; undo that, or start again with --overwrite"
        )
    if data.get("source") not in (None, locate(dataset)):
        raise DataError(
            f"{path}: the run began with the photos of {data['source']}, and those of {locate(dataset)} are others; "
            "name its own, or begin another run with another --out"
        )
    raise DataError(f"{path}: the photos have changed since the run began; start again with --overwrite")


@dataclass(frozen=True)
class RunRecord:
    """What `run.json` is written from.

    Args:
        folder: the run folder.
        config: complete.
        dataset: to train on.
        start: identity of what the network starts from.
        choice: of network, width and input size by a budget; None: there was none.
    """

    folder: RunFolder
    config: TrainConfig
    dataset: Dataset
    start: Mapping[str, Any]
    choice: NetworkChoice | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the network that is trained; none where it learns without labels."""
        return () if isinstance(self.config, PretrainConfig) else self.dataset.class_names

    def begin(self, earlier: Mapping[str, Any] | None) -> None:
        """Write `run.json` and `labels.txt` of a run that begins, in place of what an earlier one left.

        Args:
            earlier: the record of the run that is resumed, which stays as it is; None: a run begins.

        Raises:
            OutputError: the folder cannot be written.
        """
        if earlier is None:
            self.folder.begin(self.class_names, self._content(None))
            write_images(self.folder, self.dataset)
            return
        check_writable(self.folder.path)
        self.folder.clear(everything=False)

    def finish(self, report: Record) -> None:
        """Write `run.json` of the finished run."""
        self.folder.write_record(self._content(report))

    def _content(self, report: Record | None) -> dict[str, Any]:
        dataset = self.dataset
        reported = report.to_dict() if report else {}
        return {
            "name": self.folder.path.resolve().name,
            "finished": report is not None,
            "edgeclf_version": package_version("edgeclf"),
            "config": self.config.to_dict(),
            "seed": self.config.seed,
            "data": {
                "name": dataset.name,
                "source": locate(dataset),
                "fingerprint": dataset.fingerprint,
                ORDER: digest_order(dataset),
                "split_seed": dataset.split_seed,
                "class_names": list(self.class_names),
                "none_classes": list(find_none_classes(self.class_names)),
                "splits": dataset.split_sizes(),
                "unreadable": [u.to_dict() for u in dataset.unreadable],
                "in_training": count_in_training(dataset),
                "notes": list(dataset.notes),
                **({"views": describe_views(dataset.shape)} if dataset.shape.views else {}),
            },
            "parameters": reported.get("parameters"),
            "seconds": reported.get("seconds"),
            "metrics": reported.get("metrics"),
            "metrics_note": (
                describe_optimism(dataset, self.config, report.growth) if isinstance(report, TrainReport) else None
            ),
            "kernels": name_kernels(),
            "versions": {"python": platform.python_version()} | {name: package_version(name) for name in PACKAGES},
            "report": report.to_dict() if report else None,
            "start": {**self.start, "path": _locate_start(self.config)},
            "choice": self.choice.to_dict() if self.choice else None,
        } | ({PRETRAINING: self.config.method} if isinstance(self.config, PretrainConfig) else {})


def digest_order(dataset: Dataset) -> str:
    """Return 32 hexadecimal digits over contents and labels of the training images in their order, which steps draw by.

    The same whether views of objects are images of their own or not.
    """
    train, digest = dataset.splits["train"], hashlib.blake2b(digest_size=16)
    for content, label in zip(train.hashes[:: train.views], train.labels[:: train.views].tolist(), strict=True):
        digest.update(f"{content} {label}\n".encode())
    return digest.hexdigest()


def locate(dataset: Dataset) -> str:
    """Return what names the data from any folder: an absolute path, or the name of a named set."""
    # a path that is not UTF-8 cannot stand in a record
    return dataset.root if dataset.root and is_utf8(dataset.root) else dataset.source


def _locate_start(config: TrainConfig) -> str | None:
    """Return the absolute path of what a run starts from, not that of a link; None: it starts from no file or run."""
    named = config.from_run or config.weights
    if named in ("auto", "none"):
        return None
    path = Path(named).resolve()
    return str(path) if path.exists() and is_utf8(str(path)) else None


def describe_optimism(
    dataset: Dataset, config: TrainConfig | PretrainConfig, growth: GrowthReport | None = None
) -> str:
    """Describe why validation figures are optimistic, and whether those on test are not.

    Args:
        dataset: that was trained on.
        config: of the training.
        growth: what a run that grew from another one found, which may have trained on test images; None: it did not.
    """
    chosen = "the penalty of the classifier" if getattr(config, "quick", False) else "the epoch"
    text = f"validation top-1 is measured on the images that chose {chosen}, so it is optimistic"
    seen = dataset.count_in_training("test") if "test" in dataset.splits else 0
    # not known where the two could not be compared
    unseen = growth is None or growth.left_out.get("test") == 0
    clean = "test" in dataset.splits and not seen and unseen
    return f"{text}; the test split is not" if clean else text


def count_in_training(dataset: Dataset) -> dict[str, int]:
    """Count by split how many of its images were seen in training, too."""
    return {name: dataset.count_in_training(name) for name in dataset.splits if name != "train"}
