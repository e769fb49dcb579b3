"""Content hashes of files, remembered with each file's size and times so that unchanged files are not read again."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from edgeclf.dataset.cache import cache_folder, read_facts, write_facts
from edgeclf.dataset.sources import Item, Listing
from edgeclf.progress import SILENT, Progress

# A file written this shortly before it was read may be written again without its size or times changing.
_SETTLED_NS = 2_000_000_000
_BATCH = 64

Given = TypeVar("Given")
Made = TypeVar("Made")


def content_hash(content: bytes | memoryview) -> str:
    """32 hexadecimal digits that stand for these bytes (BLAKE2b, 128 bits)."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def content_hashes(listing: Listing, progress: Progress = SILENT) -> tuple[list[str | None], dict[str, str]]:
    """The content hash of each item's file, None where it cannot be read, and the reasons for those by path."""
    if listing.pixels is not None:
        return list(listing.contents), {}
    index = cache_folder() / "contents" / f"{content_hash(listing.root.encode('utf-8', 'surrogateescape'))}.json"
    known: dict[str, list[object]] = read_facts(index).get("files") or {}
    hashes: list[str | None] = [None] * len(listing.items)
    changed: list[int] = []
    for number, item in enumerate(listing.items):
        entry = known.get(item.key)
        if entry is not None and entry[:3] == list(item.stamp):
            hashes[number] = str(entry[3])
        else:
            changed.append(number)
    reasons: dict[str, str] = {}
    if changed:
        started = time.time_ns()
        todo = [listing.items[number] for number in changed]
        with progress.task("Reading files", len(changed)) as task:
            for number, (digest, reason) in zip(changed, in_threads(_hash_file, todo), strict=True):
                hashes[number] = digest
                if digest is None:
                    reasons[listing.items[number].path] = reason
                task.advance()
        settled = {
            item.key: [*item.stamp, digest]
            for item, digest in zip(listing.items, hashes, strict=True)
            if digest is not None and max(item.stamp[1:]) < started - _SETTLED_NS
        }
        if settled:
            write_facts(index, {"files": settled})
    return hashes, reasons


def in_threads(work: Callable[[Given], Made], given: Sequence[Given], batch: int = _BATCH) -> Iterator[Made]:
    """`map(work, given)` on all cores, in order, in batches, and only a few batches ahead of the reader."""
    workers = _cores()
    starts = range(0, len(given), batch)

    def run(start: int) -> list[Made]:
        return [work(one) for one in given[start : start + batch]]

    with ThreadPoolExecutor(workers) as pool:
        ahead = [pool.submit(run, start) for start in starts[: 2 * workers]]
        try:
            for later in [*starts[2 * workers :], *([None] * len(ahead))]:
                done = ahead.pop(0).result()
                if later is not None:
                    ahead.append(pool.submit(run, later))
                yield from done
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _hash_file(item: Item) -> tuple[str | None, str]:
    try:
        with open(item.path, "rb") as stream:
            return content_hash(stream.read()), ""
    except OSError as error:
        return None, (error.strerror or str(error)).lower()
