"""The image store: every decoded image once, one row for each (content, decoder, size, fit).

FOLDER/index.sqlite      which file has which content, and where its image lies
FOLDER/96x96-….rows      uint8[N, 96, 96, 3], one image after the other

A row counts once its entry in the index is committed, which happens after its bytes are synced. So a process that is
killed leaves nothing that counts, and several processes may fill the store at once: each appends under the index's
lock. Damage to a row file shows in the checksums, which are compared whenever a load maps its rows, and before rows are
added to a file whose size or time is another; damaged rows are decoded again, and so is everything where the index
itself cannot be read.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeclf.dataset.cache import cache_folder, suggest_other_cache
from edgeclf.dataset.row_checksums import CheckedRows, StoredRow, row_checksums
from edgeclf.dataset.row_files import append_rows, map_rows, row_identity
from edgeclf.dataset.sources import FileStamp, Listing
from edgeclf.dataset.store_eviction import evict, new_file_name
from edgeclf.dataset.store_index import INDEX, ImageFacts, RowArray, StoreIndex
from edgeclf.dataset.store_repair import forget_damaged, forget_rows, remove_damaged, remove_index, remove_last
from edgeclf.errors import OutputError, RunFailedError
from edgeclf.image.shape import InputShape

_TOUCHED_EVERY_SECONDS = 86400
_FULL_BELOW_BYTES = 64 << 10
_MOST_TRIES = 10


@dataclass(frozen=True)
class StoredImages:
    """The images of one decoder at one size, as far as they are stored.

    Attributes:
        pixels: `uint8[M, H, W, 3]`, memory-mapped; may hold other images too.
        rows: row of each content asked for.
    """

    pixels: npt.NDArray[np.uint8]
    rows: Mapping[str, int]


@dataclass(frozen=True)
class KnownFiles:
    """What the index knows of the files of a source.

    Attributes:
        contents: content hash of each item; None: it has to be read.
        moved: key, stamp and content of files that were known under another path.
        gone: keys of files that are not there any more.
    """

    contents: tuple[str | None, ...]
    moved: tuple[tuple[str, FileStamp, str], ...]
    gone: frozenset[str]


@dataclass
class Batch:
    """Images and facts that are about to be stored together."""

    contents: list[str] = field(default_factory=list)
    pixels: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    facts: dict[str, ImageFacts] = field(default_factory=dict)
    files: list[tuple[str, FileStamp, str]] = field(default_factory=list)

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels."""
        return sum(image.nbytes for image in self.pixels)


class ImageStore:
    """One process's view of the store; a context manager.

    Args:
        folder: where the store lies; None: `images` in the cache folder.

    Raises:
        OutputError: the folder cannot be made or written.
        RunFailedError: the disk is full.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder() / "images"
        self._checked = CheckedRows()
        with self._explained():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._index = self._open_index()

    def __enter__(self) -> ImageStore:
        return self

    def __exit__(self, *_: object) -> None:
        self._index.close()

    def known_files(self, listing: Listing, numbers: Sequence[int] | None = None) -> KnownFiles:
        """Look up the content of each item whose file is known unchanged.

        A file is unchanged where size, both times and inode are those that it was read with, under its own path or,
        on the same device, under another.

        Args:
            listing: of the source.
            numbers: of the items to look up; None: all.
        """
        items = listing.items if numbers is None else [listing.items[number] for number in numbers]
        with self._explained():
            source = self._index.source_number(listing.root)
            keys = None if numbers is None else [item.key for item in items]
            known = {} if source is None else self._index.files_of(source, keys)
            # The device is left out: its number may change when it is mounted again.
            found = [known.get(item.key) for item in items]
            contents = [
                row[5].hex() if row is not None and row[1:5] == item.stamp[:4] else None
                for item, row in zip(items, found, strict=True)
            ]
            missing = [number for number, content in enumerate(contents) if content is None]
            if not missing and len(known) == len(items):
                return KnownFiles(tuple(contents), (), frozenset())
            elsewhere = self._index.contents_by_stamp([items[number].stamp for number in missing])
        moved = []
        for number in missing:
            item = items[number]
            if content := elsewhere.get(item.stamp):
                contents[number] = content
                moved.append((item.key, item.stamp, content))
        return KnownFiles(tuple(contents), tuple(moved), frozenset(known.keys() - {item.key for item in items}))

    def find(self, decoder: str, shape: InputShape, contents: Sequence[str]) -> StoredImages:
        """Map the stored images of a decoder at one size, and note that those of `contents` are used."""
        empty = np.empty((0, *shape.size, 3), np.uint8)
        with self._explained():
            for _ in range(_MOST_TRIES):
                array = self._index.find_array(decoder, shape)
                if array is None:
                    return StoredImages(empty, {})
                try:
                    pixels, stamp = map_rows(self.folder / array.file, array.shape)
                except (FileNotFoundError, ValueError):
                    pixels, stamp = empty, (-1, -1)
                # Under the file's lock: what the index says from here on stays true.
                if self._index.find_array(decoder, shape) != array:
                    continue
                if stamp != array.stamp:
                    remove_damaged(self._index, self.folder, array)
                    continue
                found = self._index.rows_of(array, contents)
                if changed := self._checked.find_changed(array.number, pixels, found.values()):
                    with self._index.writing():
                        forget_rows(self._index, array, changed)
                    continue
                self._touch(array, found)
                return StoredImages(pixels, {content: row.number for content, row in found.items()})
        raise RunFailedError(f"{self.folder}: other processes keep changing the cache; run the command again")

    def contents(self, decoder: str, shape: InputShape) -> tuple[set[str], dict[str, str]]:
        """Return all contents that have an image, and the reasons for those that cannot be decoded."""
        with self._explained():
            array = self._index.find_array(decoder, shape)
            return (set() if array is None else self._index.contents_of(array)), self._index.reasons_of(decoder)

    def facts(self, decoder: str, contents: Iterable[str]) -> dict[str, ImageFacts]:
        """Return what is known of contents that this decoder has seen."""
        with self._explained():
            return self._index.facts_of(decoder, contents)

    def remove_old(self, decoder: str, shape: InputShape, keep: Collection[str]) -> None:
        """Remove images that were not used for long or are over the size limit, but not those of `keep` at this size.

        Those that any process has mapped stay at every size.
        """
        with self._explained():
            array = self._index.find_array(decoder, shape)
            evict(self._index, self.folder, None if array is None else array.number, keep)

    def add(self, listing: Listing, decoder: str, shape: InputShape, batch: Batch, size: int) -> None:
        """Store images, facts and files together: all of them, or after an error none.

        Args:
            listing: of the source that the files belong to.
            decoder: identity of what decoded the images.
            shape: size of the images, and how pictures came to it.
            batch: what to store; images that another process stored meanwhile are left out.
            size: bytes that all images of this load take, for the message about a full disk.
        """
        now = int(time.time())
        with self._explained(size), self._index.writing():
            self._index.add_facts(self._index.add_decoder(decoder), batch.facts)
            if batch.pixels:
                array = self._undamaged_array(decoder, shape) or self._new_array(decoder, shape)
                present = self._index.rows_of(array, batch.contents) if array.count else {}
                new = [pair for pair in zip(batch.contents, batch.pixels, strict=True) if pair[0] not in present]
                if new:
                    pixels = np.stack([image for _, image in new])
                    rows = list(zip((content for content, _ in new), row_checksums(pixels), strict=True))
                    stamp = append_rows(self.folder / array.file, array.count * array.row_bytes, pixels)
                    self._index.add_rows(array, rows, stamp, now)
            if batch.files:
                self._index.add_files(self._index.add_source(listing.root, now), batch.files)

    def remove(self, decoder: str, shape: InputShape, contents: Sequence[str]) -> None:
        """Remove the last rows again, those of `contents`, where nobody uses them: the disk is full."""
        with contextlib.suppress(OSError, sqlite3.Error), self._index.writing():
            if array := self._index.find_array(decoder, shape):
                remove_last(self._index, self.folder, array, contents)

    def record_files(self, listing: Listing, known: KnownFiles) -> None:
        """Remember files that were found under a new path, forget those that are gone, note that the source is used.

        This only saves work later, so a cache that cannot be written is no error.
        """
        now = int(time.time())
        with contextlib.suppress(sqlite3.OperationalError):
            source = self._index.source_number(listing.root)
            if source is None and not known.moved:
                return
            if known.moved or known.gone or self._index.source_used(listing.root) < now - _TOUCHED_EVERY_SECONDS:
                with self._index.writing():
                    number = self._index.add_source(listing.root, now)
                    self._index.add_files(number, known.moved)
                    self._index.remove_files(number, known.gone)

    def _undamaged_array(self, decoder: str, shape: InputShape) -> RowArray | None:
        """Find an array to add rows to, inside a transaction; what is damaged in it is forgotten first.

        Adding rows makes the state of the file a known one, which must not hide damage to the rows before.
        """
        array = self._index.find_array(decoder, shape)
        if array is None or not forget_damaged(self._index, self.folder, array):
            return array
        return self._index.find_array(decoder, shape)

    def _new_array(self, decoder: str, shape: InputShape) -> RowArray:
        file = new_file_name(*shape.size)
        (self.folder / file).touch()
        number = self._index.add_decoder(row_identity(decoder, shape))
        self._index.add_array(number, *shape.size, file, (0, 0))
        array = self._index.find_array(decoder, shape)
        assert array is not None
        return array

    def _touch(self, array: RowArray, found: Mapping[str, StoredRow]) -> None:
        now = int(time.time())
        stale = [content for content, row in found.items() if row.used < now - _TOUCHED_EVERY_SECONDS]
        if stale:
            # A cache that can only be read suffices here.
            with contextlib.suppress(sqlite3.OperationalError), self._index.writing():
                self._index.touch_rows(array, stale, now)

    def _open_index(self) -> StoreIndex:
        path = self.folder / INDEX
        try:
            return StoreIndex(path)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            remove_index(self.folder)
            return StoreIndex(path)

    @contextlib.contextmanager
    def _explained(self, size: int | None = None) -> Iterator[None]:
        """Turn errors of the disk and of SQLite into one line each; a damaged index passes."""
        try:
            with suggest_other_cache(self.folder, size):
                yield
        except sqlite3.OperationalError as error:
            text = str(error)
            if "full" in text or shutil.disk_usage(_existing(self.folder)).free < _FULL_BELOW_BYTES:
                need = "" if size is None else f" (the decoded images take {size / 1e6:,.0f} MB)"
                remedy = "free some space or set EDGECLF_CACHE to a folder that has room"
                raise RunFailedError(f"{self.folder}: the disk is full{need}; {remedy}") from error
            if "locked" in text:
                raise RunFailedError(f"{self.folder}: another process keeps the cache locked; end it") from error
            remedy = "set EDGECLF_CACHE to a folder that can be"
            raise OutputError(f"{self.folder}: the cache cannot be written ({text}); {remedy}") from error


def _existing(folder: Path) -> Path:
    return folder if folder.is_dir() else Path(os.sep)
