"""Takes images out of the store that cannot be used: damaged ones, and those for which the disk had no room."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeclf.dataset.row_files import file_state, find_damaged, lock_unused, truncate_rows
from edgeclf.dataset.store_index import INDEX, RowArray, StoreIndex


def remove_damaged(index: StoreIndex, folder: Path, array: RowArray) -> None:
    """Compare the rows of a file that is not as it was left with their checksums, and forget the damaged ones."""
    with index.writing():
        current = next((a for a in index.arrays() if a.number == array.number), None)
        if current is None:
            return
        path = folder / current.file
        if path.is_file() and current.stamp == file_state(path):  # another process was adding rows
            return
        query = "SELECT row, checksum FROM rows WHERE array = ?"
        checksums = dict(index.execute(query, (current.number,)).fetchall())
        damaged, stamp = find_damaged(path, checksums, current.row_bytes)
        if stamp is None:
            index.execute("DELETE FROM rows WHERE array = ?", (current.number,))
            index.execute("DELETE FROM arrays WHERE id = ?", (current.number,))
            return
        query = "DELETE FROM rows WHERE array = ? AND row = ?"
        index.execute_many(query, ((current.number, row) for row in damaged))
        index.set_count(current, min(current.count, stamp[0] // current.row_bytes), stamp)


def remove_last(index: StoreIndex, folder: Path, array: RowArray | None, contents: Sequence[str]) -> None:
    """Remove the last rows of an array, those of `contents`, where no process has the file mapped.

    Raises:
        OSError: the file cannot be cut.
        sqlite3.Error: the index cannot be written.
    """
    if array is None:
        return
    path = folder / array.file
    with index.writing(), lock_unused(path) as unused:
        rows = [row for row, _ in index.rows_of(array, contents).values()]
        count = array.count - len(rows)
        if not unused or (rows and min(rows) != count):  # another process added rows meanwhile
            return
        index.execute("DELETE FROM rows WHERE array = ? AND row >= ?", (array.number, count))
        if count:
            index.set_count(array, count, truncate_rows(path, count * array.row_bytes))
        else:
            index.execute("DELETE FROM arrays WHERE id = ?", (array.number,))
            path.unlink(missing_ok=True)


def remove_index(folder: Path) -> None:
    """Remove an index that cannot be read; its row files leave when they are old."""
    for name in (INDEX, f"{INDEX}-journal"):
        (folder / name).unlink(missing_ok=True)
