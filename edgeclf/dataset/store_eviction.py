"""What leaves the image store: images that were not used for a month, and the least recently used over the size limit.

Only files that nobody has mapped are touched, in this process or another. Rows leave a file by copying the others into
a new one.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Collection
from pathlib import Path

from edgeclf.dataset.cache import KEPT_DAYS, cache_limit, remove_leftovers
from edgeclf.dataset.row_files import copy_rows, lock_unused
from edgeclf.dataset.store_index import RowArray, StoreIndex

_KEPT_SECONDS = KEPT_DAYS * 86400
_ORPHANED_AFTER_SECONDS = 60.0
# Once over the limit, somewhat more leaves, so that the next photo does not copy the files again.
_ROOM = 0.1
# A file is copied to get rid of unused rows when they are at least this fraction of it.
_WORTH_COPYING = 0.25

_Kept = Collection[tuple[int | None, str]]


def evict(index: StoreIndex, folder: Path, array_in_use: int | None, keep: Collection[str]) -> None:
    """Remove old entries, and over the limit the least recently used.

    Args:
        index: of the store.
        folder: of the store.
        array_in_use: number of the array whose images are about to be used; None: of none.
        keep: contents of those images.

    Raises:
        InputError: `$EDGECLF_CACHE_GB` is not a number.
    """
    if _orphans(index, folder):
        with index.writing():  # nobody else is about to name one of them now
            for orphan in _orphans(index, folder):
                orphan.unlink(missing_ok=True)
    for former in (folder, folder.parent / "contents"):  # arrays and hashes of earlier versions
        remove_leftovers(former)
    now = int(time.time())
    before = now - _KEPT_SECONDS
    excess = sum(array.count * array.row_bytes for array in index.arrays()) - cache_limit()
    oldest = index.execute("SELECT MIN(used) FROM (SELECT used FROM rows UNION ALL SELECT used FROM sources)")
    first = oldest.fetchone()[0]
    if excess <= 0 and (first is None or first >= before):
        return
    outdated: list[Path] = []
    with contextlib.ExitStack() as locks:
        with index.writing():
            free = [a for a in index.arrays() if locks.enter_context(lock_unused(folder / a.file))]
            kept = {(array_in_use, content) for content in keep}
            for array in free:
                _remove_unused(index, array, before, kept)
            if excess > 0:
                over = excess + int(_ROOM * cache_limit()) - _unused_bytes(index, free)
                _remove_least_recent(index, free, over, kept)
            for array in free:
                outdated += _repack(index, folder, array, excess > 0)
            _remove_old_sources(index, before)
        for path in outdated:
            path.unlink(missing_ok=True)


def _count(index: StoreIndex, array: RowArray) -> int:
    return int(index.execute("SELECT COUNT(*) FROM rows WHERE array = ?", (array.number,)).fetchone()[0])


def _unused_bytes(index: StoreIndex, arrays: list[RowArray]) -> int:
    return sum((array.count - _count(index, array)) * array.row_bytes for array in arrays)


def _remove_unused(index: StoreIndex, array: RowArray, before: int, kept: _Kept) -> None:
    rows = index.execute("SELECT content FROM rows WHERE array = ? AND used < ?", (array.number, before)).fetchall()
    _remove(index, [(array.number, content) for (content,) in rows if (array.number, content.hex()) not in kept])


def _remove_least_recent(index: StoreIndex, arrays: list[RowArray], excess: int, kept: _Kept) -> None:
    """Remove rows until `excess` bytes are free, as far as they may be removed."""
    sizes = {array.number: array.row_bytes for array in arrays}
    chosen = []
    for number, content in index.execute("SELECT array, content FROM rows ORDER BY used").fetchall():
        if excess <= 0:
            break
        if number in sizes and (number, content.hex()) not in kept:
            chosen.append((number, content))
            excess -= sizes[number]
    _remove(index, chosen)


def _remove(index: StoreIndex, rows: list[tuple[int, bytes]]) -> None:
    index.execute_many("DELETE FROM rows WHERE array = ? AND content = ?", rows)


def _repack(index: StoreIndex, folder: Path, array: RowArray, at_once: bool) -> list[Path]:
    """Copy the remaining rows into a new file where that is worth it; gives the files that can go."""
    rows = index.execute("SELECT row FROM rows WHERE array = ? ORDER BY row", (array.number,)).fetchall()
    unused = array.count - len(rows)
    if not unused or not (at_once or unused >= _WORTH_COPYING * array.count):
        return []
    decoder = index.execute("SELECT decoder FROM arrays WHERE id = ?", (array.number,)).fetchone()[0]
    if not rows:
        index.execute("DELETE FROM arrays WHERE id = ?", (array.number,))
        return [folder / array.file]
    file = new_file_name(array.height, array.width)
    try:
        stamp = copy_rows(folder / array.file, folder / file, (row for (row,) in rows), array.row_bytes)
    except OSError:  # no room for a copy: the rows stay where they are
        return []
    index.add_array(decoder, array.height, array.width, file, stamp, len(rows))
    index.execute(
        "INSERT INTO rows SELECT (SELECT id FROM arrays WHERE file = ?), content, "
        "ROW_NUMBER() OVER (ORDER BY row) - 1, checksum, used FROM rows WHERE array = ?",
        (file, array.number),
    )
    index.execute("DELETE FROM rows WHERE array = ?", (array.number,))
    return [folder / array.file]


def _remove_old_sources(index: StoreIndex, before: int) -> None:
    """Forget files of sources that were not loaded for long, and facts about contents that nothing names any more."""
    index.execute("DELETE FROM files WHERE source IN (SELECT id FROM sources WHERE used < ?)", (before,))
    index.execute("DELETE FROM sources WHERE used < ?", (before,))
    index.execute("DELETE FROM facts WHERE content NOT IN (SELECT content FROM rows UNION SELECT content FROM files)")


def _orphans(index: StoreIndex, folder: Path) -> list[Path]:
    """Row files that the index does not name: of a writer that was killed, or of an index that was made again."""
    named = {array.file for array in index.arrays()}
    found = []
    for path in folder.glob("*.rows"):
        with contextlib.suppress(OSError):
            if path.name not in named and time.time() - path.stat().st_mtime > _ORPHANED_AFTER_SECONDS:
                found.append(path)
    return found


def new_file_name(height: int, width: int) -> str:
    """Return a name that no row file had before."""
    return f"{height}x{width}-{uuid.uuid4().hex[:12]}.rows"
