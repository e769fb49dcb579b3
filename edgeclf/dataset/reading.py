"""Reads the images of a source at one size: one read a file, one decode a content, and neither where both are known."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from edgeclf.dataset.cache import cache_folder, cache_limit
from edgeclf.dataset.contents import content_hash, map_in_threads
from edgeclf.dataset.image_store import Batch, ImageStore, StoredImages
from edgeclf.dataset.named import remove_named
from edgeclf.dataset.pixel_budget import PixelBudget
from edgeclf.dataset.sources import Listing
from edgeclf.dataset.store_index import ImageFacts
from edgeclf.dataset.store_repair import remove_index
from edgeclf.dataset.types import LoadReport
from edgeclf.errors import DataError, ImageError, OutputError, RunFailedError
from edgeclf.image.decoding import PREPROCESSING_VERSION, decode_bytes, fit_image
from edgeclf.image.files import read_content
from edgeclf.image.header import ImageHeader, read_header
from edgeclf.image.objects import draw_object
from edgeclf.image.point_files import check_point_readers, point_reader_identity
from edgeclf.image.shape import InputShape
from edgeclf.image.views import VIEWS_VERSION
from edgeclf.progress import SILENT, Progress
from edgeclf.versions import package_version

# Counts up when other facts are stored beside the images, or other files count as damaged.
_FACTS_VERSION = 2
_STORED_TOGETHER_BYTES = 32 << 20
_STORED_TOGETHER = 8192
_BATCH_BYTES = 2 << 20
_MOST_TRIES = 3


@dataclass(frozen=True)
class SourceImages:
    """The different images of a source at one size.

    Attributes:
        pixels: `uint8[M, H, W, 3]`, memory-mapped; holds images of other sources too. Views of an object lie one below
            the other: `uint8[M, views * H, W, 3]`.
        rows: row of each readable content.
        hashes: content hash of each item; None where its file cannot be read.
        unopened: why a file could not be read, by path.
        undecoded: why a content cannot be decoded, by content hash.
        facts: what is known of each readable content, where that was asked for.
        report: how much was read and decoded.
    """

    pixels: npt.NDArray[np.uint8]
    rows: Mapping[str, int]
    hashes: tuple[str | None, ...]
    unopened: Mapping[str, str]
    undecoded: Mapping[str, str]
    facts: Mapping[str, ImageFacts]
    report: LoadReport


@dataclass(frozen=True)
class _Read:
    """What a worker made of one item; `pixels` and `facts` are None where they are known or made by another one."""

    content: str | None = None
    pixels: npt.NDArray[np.uint8] | None = None
    facts: ImageFacts | None = None
    reason: str = ""
    storable: bool = True


def read_images(
    listing: Listing, shape: InputShape, progress: Progress = SILENT, *, facts: bool = False
) -> SourceImages:
    """Bring all different images of a listing to one size, decoding those that the store does not have.

    Args:
        listing: of the source.
        shape: size of the images, and how pictures come to it.
        progress: where a bar is shown while files are read.
        facts: whether to look up the facts about each content too.

    Raises:
        DataError: no file can be read.
        OutputError: the cache cannot be written.
        RunFailedError: the disk is full.
    """
    if shape.views:
        check_point_readers(item.path for item in listing.items)
    report = LoadReport(len(listing.items))
    folder = cache_folder() / "images"
    for _ in range(_MOST_TRIES):
        try:
            with ImageStore(folder) as store:
                load = _Load(store, listing, shape, report)
                if loaded := load.run(progress, facts):
                    return loaded
                report = load.report  # another process removed images of this load meanwhile
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            remove_index(folder)
    raise RunFailedError(f"{folder}: was removed while it was used; run the command again")


def decoder_identity(listing: Listing) -> str:
    """Return what decides, beside the content, about the pixels of an image before it is resized."""
    if listing.holds_objects:
        return f"{_FACTS_VERSION} objects {VIEWS_VERSION} {cv2.__version__} {point_reader_identity()}"
    shape = "" if listing.pixels is None else f" array {listing.pixels.shape[1:]}"
    heic = package_version("pillow-heif")
    return f"{_FACTS_VERSION} {PREPROCESSING_VERSION} {cv2.__version__} {heic}{shape}"


def stored_header(facts: ImageFacts) -> ImageHeader | None:
    """Return the header that was read with a content; None for an array of a named set."""
    return ImageHeader(*json.loads(facts.header)) if facts.header else None


class _Load:
    """One load of one source at one size."""

    def __init__(self, store: ImageStore, listing: Listing, shape: InputShape, report: LoadReport) -> None:
        self.report = report
        self._store, self._listing = store, listing
        self._view, self._shape = shape, shape.stored
        self._decoder = decoder_identity(listing)
        self._lock = threading.Lock()
        self._budget = PixelBudget()
        # Contents that need no decoding any more: stored, known to be damaged, or in the hands of a worker.
        self._done: set[str] = set()
        self._undecoded: dict[str, str] = {}
        self._unopened: dict[str, str] = {}

    def run(self, progress: Progress, facts: bool) -> SourceImages | None:
        """Return the images, or None where another process removed some of them meanwhile."""
        store, listing = self._store, self._listing
        files = None if listing.pixels is not None else store.known_files(listing)
        hashes: list[str | None] = list(listing.contents if files is None else files.contents)
        found = self._find(hashes)
        # More than once where a file has changed since it was listed: another one with its former content is read then.
        for _ in range(_MOST_TRIES):
            work = self._unfinished(hashes, found.rows)
            if not work:
                break
            del found  # what is mapped could not be removed
            if self._fill(work, hashes, progress):
                keep = {content for content in hashes if content is not None}
                store.remove_old(self._decoder, self._shape, keep)
            found = self._find(hashes)
        if files is not None:
            store.record_files(listing, files)
        if all(content is None for content in hashes):
            raise DataError(listing.describe_unreadable(self._unopened))
        if any(c is not None and c not in found.rows and c not in self._undecoded for c in hashes):
            return None
        known = store.facts(self._decoder, found.rows) if facts else {}
        return SourceImages(
            found.pixels, found.rows, tuple(hashes), self._unopened, self._undecoded, known, self.report
        )

    def _find(self, hashes: Sequence[str | None]) -> StoredImages:
        different = list(dict.fromkeys(content for content in hashes if content is not None))
        found = self._store.find(self._decoder, self._shape, different)
        if len(found.rows) < len(different):
            missing = (content for content in different if content not in found.rows)
            facts = self._store.facts(self._decoder, missing)
            self._undecoded |= {content: fact.reason for content, fact in facts.items() if fact.reason is not None}
        return found

    def _unfinished(self, hashes: Sequence[str | None], rows: Mapping[str, int]) -> list[int]:
        """Number the items that must be read: of unknown content, or the first with a content without an image."""
        sought: set[str] = set()
        numbers = []
        for number, content in enumerate(hashes):
            if content is None:
                if self._listing.items[number].path not in self._unopened:
                    numbers.append(number)
            elif content not in rows and content not in self._undecoded and content not in sought:
                sought.add(content)
                numbers.append(number)
        return numbers

    def _fill(self, work: list[int], hashes: list[str | None], progress: Progress) -> bool:
        """Read the items `work`, and store what is new; returns whether images were stored."""
        cache_limit()  # a wrong limit is refused before the work, not after it
        row_bytes = self._shape.height * self._shape.width * 3
        self._done, reasons = self._store.contents(self._decoder, self._shape)
        self._done |= reasons.keys()
        self._undecoded |= reasons
        added: list[str] = []
        batch, room = Batch(), max(1, _STORED_TOGETHER_BYTES // row_bytes)
        results = map_in_threads(self._read, work, batch=max(1, min(64, _BATCH_BYTES // row_bytes)))
        try:
            with progress.task("Reading images", len(work)) as task:
                for number, made in zip(work, results, strict=True):
                    self._collect(number, made, batch, hashes)
                    if len(batch.pixels) >= room or len(batch.files) + len(batch.facts) >= _STORED_TOGETHER:
                        added += batch.contents
                        self._add(batch, len(work) * row_bytes)
                        batch = Batch()
                    task.advance()
                self._add(batch, len(work) * row_bytes)
                added += batch.contents
        except RunFailedError:
            self._store.remove(self._decoder, self._shape, added)
            raise
        return bool(added)

    def _add(self, batch: Batch, size: int) -> None:
        if not batch.facts and not batch.files:
            return
        # The contents of known images' files only save reading them again: a cache that can only be read suffices here.
        needless = (OutputError, RunFailedError) if not batch.facts else ()
        with contextlib.suppress(*needless):
            self._store.add(self._listing, self._decoder, self._shape, batch, size)

    def _collect(self, number: int, made: _Read, batch: Batch, hashes: list[str | None]) -> None:
        """Put what a worker made of one item where it belongs."""
        item = self._listing.items[number]
        hashes[number] = made.content
        read = self._listing.pixels is None
        decoded = made.pixels is not None or bool(made.facts and made.facts.reason)
        self.report = replace(
            self.report,
            files_read=self.report.files_read + read,
            images_decoded=self.report.images_decoded + decoded,
        )
        if made.content is None:
            self._unopened[item.path] = made.reason
            return
        if read and self._listing.is_settled(item):
            batch.files.append((item.key, item.stamp, made.content))
        if made.facts is not None:
            if made.facts.reason is not None:
                self._undecoded[made.content] = made.facts.reason
            if made.storable:
                batch.facts[made.content] = made.facts
        if made.pixels is not None:
            batch.contents.append(made.content)
            batch.pixels.append(made.pixels)

    def _read(self, number: int) -> _Read:
        """Read one item, and decode it unless its content is done; runs in a worker."""
        if self._listing.pixels is not None:
            array = np.ascontiguousarray(self._listing.pixels[number])
            if content_hash(array.data.cast("B")) != self._listing.contents[number]:
                remove_named(self._listing.name)
                raise RunFailedError(
                    f"{self._listing.name}: its pixels in the cache had changed; run the command again"
                )
            facts = ImageFacts(array.shape[0], array.shape[1], "", None)
            return _Read(self._listing.contents[number], fit_image(array, self._shape), facts)
        item = self._listing.items[number]
        content = self._listing.prefetched.pop(number, b"")
        try:
            if not content or len(content) != item.stamp[0]:
                content = read_content(item.path)
        except ImageError as error:
            return _Read(reason=str(error))
        digest = content_hash(content)
        with self._lock:
            if digest in self._done:
                return _Read(digest)
            self._done.add(digest)
        stored_header = ""
        try:
            if self._view.views:
                pictures = draw_object(content, self._view)
                return _Read(digest, pictures, ImageFacts(0, 0, "", None))  # it has no size in pixels
            header = read_header(content)
            stored_header = json.dumps(astuple(header))
            with self._budget.take(header.height * header.width):
                image = decode_bytes(content, header)
                facts = ImageFacts(image.shape[0], image.shape[1], stored_header, None)
                return _Read(digest, fit_image(image, self._shape), facts)
        except ImageError as error:
            transient = isinstance(error.__cause__, MemoryError)
            return _Read(digest, facts=ImageFacts(0, 0, stored_header, str(error)), storable=not transient)
