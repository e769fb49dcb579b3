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
        if current is not None:
            forget_damaged(index, folder, current)


def forget_damaged(index: StoreIndex, folder: Path, array: RowArray) -> bool:
    """Forget the damaged rows of a file that is not as it was left, inside a transaction.

    Returns:
        Whether it was another one; what `array` says is out of date then.
    """
    path = folder / array.file
    if path.is_file() and array.stamp == file_state(path):  # another process was adding rows
        return False
    query = "SELECT row, checksum FROM rows WHERE array = ?"
    checksums = dict(index.execute(query, (array.number,)).fetchall())
    damaged, stamp = find_damaged(path, checksums, array.row_bytes)
    if stamp is None:
        index.execute("DELETE FROM rows WHERE array = ?", (array.number,))
        index.execute("DELETE FROM arrays WHERE id = ?", (array.number,))
        return True
    forget_rows(index, array, damaged)
    index.set_count(array, min(array.count, stamp[0] // array.row_bytes), stamp)
    return True


def forget_rows(index: StoreIndex, array: RowArray, rows: Sequence[int]) -> None:
    """Forget rows of an array by their numbers, inside a transaction; their images are decoded again."""
    query = "DELETE FROM rows WHERE array = ? AND row = ?"
    index.execute_many(query, ((array.number, row) for row in rows))


def remove_last(index: StoreIndex, folder: Path, array: RowArray, contents: Sequence[str]) -> None:
    """Remove the last rows of an array, those of `contents`, inside a transaction, where nobody has the file mapped.

    Raises:
        OSError: the file cannot be cut.
        sqlite3.Error: the index cannot be written.
    """
    path = folder / array.file
    with lock_unused(path) as unused:
        rows = [row.number for row in index.rows_of(array, contents).values()]
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
