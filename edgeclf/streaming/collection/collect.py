"""Collect frames worth a label, for training again: those that the model is unsure of, and a random sample."""

from __future__ import annotations

import base64
import dataclasses
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edgeclf.artifact.locate import check_path
from edgeclf.artifact.none_class import UNKNOWN, find_none_classes
from edgeclf.dataset.near_duplicates import GLIMPSE_SIDE, glimpse, unmoved
from edgeclf.errors import InputError, RunFailedError, one_line
from edgeclf.paths import expand_home
from edgeclf.records import Record
from edgeclf.streaming.camera.frame import Pixels
from edgeclf.streaming.collection.index import Entry
from edgeclf.streaming.collection.unsorted import REMEMBERED, UnsortedImages
from edgeclf.streaming.loop.geometry import Picture
from edgeclf.streaming.loop.result import Result
from edgeclf.streaming.loop.settings import COLLECT_QUOTA_BYTES
from edgeclf.streaming.supervision.background import Background
from edgeclf.streaming.supervision.problems import Problems

_PART = "collect"
_LOOK_EVERY = 0.5
_KEEP_EVERY = 2.0
_RANDOM_EVERY = 60.0
_AT_ONCE_AN_HOUR = 30
_LATER_EVERY = 12.0
_QUALITY = 95


@dataclass(frozen=True)
class CollectionRule(Record):
    """Which frames are kept.

    Args:
        unsure_below: bound for the best probability; with two classes, of which one always has half, at least 0.75.
        margin_below: bound for the difference between the two best.
        random_fraction: probability that a frame is kept although the model is sure.

    Raises:
        InputError: a number is not between 0 and 1.
    """

    unsure_below: float = 0.5
    margin_below: float = 0.2
    random_fraction: float = 0.001

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not 0 <= value <= 1:
                raise InputError(f"{field.name} must be between 0 and 1, got {value}")


class Collector:
    """Keeps frames in `DIR/unsorted` for labelling: the region that the network looks at, turned.

    A frame is kept where the model is unsure (`unsure`: the frame's best probability is low; `close`: the two best
    classes lie close together; `changing`: the frame's own label differs from that of the frame before), and now and
    then at random, at most once a minute. Frames that show nothing new against the last 500 are left out. At most one
    in 2 seconds is kept, and after 30 within an hour one in 12 seconds, so that a bad night does not push out all else.

    Args:
        folder: DIR; classes sorted by hand or on the page lie beside `unsorted` and are never touched.
        problems: gets failures, as `collect`.
        labels: class names of the model; scores are kept under these, `none` included: a folder to sort frames into.
        quota_bytes: that unsorted images may take; beyond it the oldest of them are deleted.
        rule: which frames are kept.
        seed: of the random sample.
        paced: frames come when they are due; else a recording is classified as fast as it can be (see
            `Frame.moment`).

    Attributes:
        folder: DIR.
        kept: how many frames this run has kept.

    Raises:
        InputError: another process collects into `folder`, it is an empty text, or the quota is below 1 byte.
        OutputError: `folder` cannot be written.
    """

    def __init__(
        self,
        folder: Path | str,
        problems: Problems,
        *,
        labels: Sequence[str],
        quota_bytes: int = COLLECT_QUOTA_BYTES,
        rule: CollectionRule = CollectionRule(),
        seed: int | None = None,
        paced: bool = True,
    ) -> None:
        if quota_bytes < 1:
            raise InputError(f"the quota must be at least 1 byte, got {quota_bytes}")
        unsure_below = rule.unsure_below
        self._unsure_below = max(unsure_below, 0.75) if unsure_below and len(labels) == 2 else unsure_below
        self._rule, self._paced = rule, paced
        self._none = next(iter(find_none_classes(labels)), None)
        self._random = random.Random(seed)
        self._raw_label: str | None = None
        self._next_look = self._next_random = float("-inf")
        self._offered = self._done = 0
        self._recent: deque[float] = deque(maxlen=_AT_ONCE_AN_HOUR)
        self.folder, self.kept = expand_home(check_path(folder, "a folder (--collect)")), 0
        self._images = UnsortedImages(self.folder, quota_bytes)
        known = [view for entry in self._images.newest() if (view := _read_glimpse(entry)) is not None]
        self._seen = deque(known, maxlen=REMEMBERED)
        self._background = Background(_PART, self._keep, problems, capacity=4)

    def take(self, result: Result, picture: Picture) -> None:
        """Offer a result that is worth keeping to the thread that saves; takes a microsecond where it is not."""
        if not result.raw_probability > 0:  # the model computed no numbers for it, and no class can be suggested
            return
        captured = self._seconds(picture)
        reason = self._reason(result, captured)
        self._raw_label = result.raw_label
        if reason is None or captured < self._next_look:
            return
        self._next_look = captured + _LOOK_EVERY
        if reason == "random":
            self._next_random = captured + _RANDOM_EVERY
        self._offered += 1
        self._background.offer((picture, result, reason))

    @property
    def busy(self) -> bool:
        """Return whether frames wait to be looked at."""
        return self._offered > self._done + self._background.dropped

    def close(self) -> None:
        """Save what waits."""
        if self._background.close(2.0):
            self._images.close()

    def _seconds(self, picture: Picture) -> float:
        return picture.frame.moment(paced=self._paced)

    def _reason(self, result: Result, captured: float) -> str | None:
        if result.raw_probability < self._unsure_below:
            return "unsure"
        top = result.top
        # `top` is smoothed, so after each change of the scene two classes pass by each other; it is the frame that
        # counts, whose two best can lie this close only where the first has little more than half
        undecided = result.raw_probability < (1 + self._rule.margin_below) / 2
        if undecided and len(top) > 1 and top[0].probability - top[1].probability < self._rule.margin_below:
            return "close"
        if self._raw_label is not None and result.raw_label != self._raw_label:
            return "changing"
        if self._random.random() < self._rule.random_fraction and captured >= self._next_random:
            return "random"
        return None

    def _keep(self, item: tuple[Picture, Result, str]) -> None:
        try:
            self._look(*item)
        except cv2.error as error:
            raise RunFailedError(one_line(error)) from error
        finally:
            self._done += 1

    def _look(self, picture: Picture, result: Result, reason: str) -> None:
        self._images.require_room()  # first of all, or a duplicate would look as if the disk had room again
        pixels = picture.region()
        view = glimpse(pixels)
        if self._seen and unmoved(view, np.stack(self._seen)):
            return
        entry = Entry(
            self._images.free_name(picture.frame.time),
            result.time,
            reason,
            result.frame,
            result.label,
            result.raw_label,
            round(result.raw_probability, 4),
            self._scores(result),
            base64.b64encode(view.tobytes()).decode(),
        )
        self._images.add(entry, encode_jpeg(pixels))
        self._seen.append(view)
        captured = self._seconds(picture)
        self.kept += 1
        self._recent.append(captured)
        busy = len(self._recent) == _AT_ONCE_AN_HOUR and captured - self._recent[0] < 3600
        self._next_look = captured + (_LATER_EVERY if busy else _KEEP_EVERY)

    def _scores(self, result: Result) -> dict[str, float]:
        """Return the best classes, smoothed; where the frame's own best class is another one, that alone."""
        if result.top and result.top[0].label != result.raw_label:
            return {self._name_class(result.raw_label): round(result.raw_probability, 4)}
        return {self._name_class(score.label): round(score.probability, 4) for score in result.top}

    def _name_class(self, shown: str) -> str:
        """Return the class whose folder a frame is sorted into, by what is shown for it."""
        return self._none if shown == UNKNOWN and self._none is not None else shown


def encode_jpeg(pixels: Pixels) -> bytes:
    """Encode uint8[H, W, 3] BGR as JPEG with full colour resolution, so that training sees what the network saw."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    if hasattr(cv2, "IMWRITE_JPEG_SAMPLING_FACTOR"):
        settings += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    done, content = cv2.imencode(".jpg", pixels, settings)
    if not done:
        raise RunFailedError(f"a picture of {pixels.shape[1]} x {pixels.shape[0]} pixels cannot be saved as JPEG")
    return content.tobytes()


def _read_glimpse(entry: Entry) -> Pixels | None:
    try:
        content = base64.b64decode(entry.glimpse, validate=True)
    except ValueError:
        return None
    if len(content) != GLIMPSE_SIDE * GLIMPSE_SIDE * 3:
        return None
    return np.frombuffer(content, np.uint8).reshape(GLIMPSE_SIDE, GLIMPSE_SIDE, 3)
