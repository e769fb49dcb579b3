"""The index of the image store: which file has which content, and in which row its image lies (SQLite)."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeclf.dataset.row_checksums import StoredRow
from edgeclf.dataset.row_files import Stamp, row_identity
from edgeclf.dataset.sources import FileStamp
from edgeclf.image.shape import InputShape

INDEX = "index.sqlite"
"""Name of the index in the folder of the store."""

_VERSION = 2
_BUSY_SECONDS = 600.0
_SCHEMA = """
CREATE TABLE sources (id INTEGER PRIMARY KEY, root BLOB NOT NULL UNIQUE, used INTEGER NOT NULL);
CREATE TABLE files (
    source INTEGER NOT NULL, key NOT NULL,
    size INTEGER NOT NULL, written INTEGER NOT NULL, changed INTEGER NOT NULL,
    inode INTEGER NOT NULL, device INTEGER NOT NULL,
    content BLOB NOT NULL, PRIMARY KEY (source, key)
) WITHOUT ROWID;
CREATE INDEX files_by_inode ON files (inode, device);
CREATE TABLE decoders (id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE);
CREATE TABLE facts (
    decoder INTEGER NOT NULL, content BLOB NOT NULL,
    height INTEGER NOT NULL, width INTEGER NOT NULL, header TEXT NOT NULL, reason TEXT,
    PRIMARY KEY (decoder, content)
) WITHOUT ROWID;
CREATE TABLE arrays (
    id INTEGER PRIMARY KEY AUTOINCREMENT, decoder INTEGER NOT NULL, height INTEGER NOT NULL, width INTEGER NOT NULL,
    file TEXT NOT NULL, count INTEGER NOT NULL, bytes INTEGER NOT NULL, written INTEGER NOT NULL,
    UNIQUE (decoder, height, width)
);
CREATE TABLE rows (
    array INTEGER NOT NULL, content BLOB NOT NULL, row INTEGER NOT NULL, checksum INTEGER NOT NULL,
    used INTEGER NOT NULL, PRIMARY KEY (array, content)
) WITHOUT ROWID;
"""


FileRow = tuple[str | bytes, int, int, int, int, bytes]
"""Key, the first four numbers of its `FileStamp`, and content hash of a file."""


@dataclass(frozen=True)
class RowArray:
    """One row file: all images of one decoder at one size.

    Attributes:
        number: in the index.
        file: name in the folder of the store.
        count: rows that are written and synced, some of which may have left.
        stamp: state of the file when the last row was added.
        height: of each image, pixels.
        width: of each image, pixels.
    """

    number: int
    file: str
    count: int
    stamp: Stamp
    height: int
    width: int

    @property
    def row_bytes(self) -> int:
        """Bytes of one image."""
        return self.height * self.width * 3

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """`(N, H, W, 3)`."""
        return self.count, self.height, self.width, 3


@dataclass(frozen=True)
class ImageFacts:
    """What is known of a content without decoding it again.

    Attributes:
        height: pixels before the resize, turned as EXIF says; 0 where unreadable.
        width: likewise.
        header: the image's header as JSON; empty where there is none.
        reason: why it cannot be decoded; None: it can.
    """

    height: int
    width: int
    header: str
    reason: str | None


class StoreIndex:
    """One process's connection to the index.

    Raises:
        sqlite3.DatabaseError: the file is no index of this version, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
        self.execute("PRAGMA temp_store = MEMORY")
        self.execute("PRAGMA cache_size = -32000")
        self.execute("PRAGMA page_size = 8192")  # of a new index
        # A rollback journal, since a write-ahead log needs shared memory and cannot be read from a read-only folder.
        self.execute("PRAGMA synchronous = FULL")
        if not self._version():
            with self.writing():
                if not self._version():
                    for statement in _SCHEMA.split(";"):
                        self.execute(statement)
                    self.execute(f"PRAGMA user_version = {_VERSION}")
        if self._version() != _VERSION:
            raise sqlite3.DatabaseError(f"expected an index of version {_VERSION}, got {self._version()}")

    def _version(self) -> int:
        return int(self.execute("PRAGMA user_version").fetchone()[0])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def execute(self, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        """Run one statement."""
        return self._connection.execute(statement, values)

    def execute_many(self, statement: str, values: Iterable[Sequence[object]]) -> None:
        """Run one statement for each of `values`."""
        self._connection.executemany(statement, values)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the right to write until the block ends: committed where it ends well, undone otherwise."""
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self.execute("ROLLBACK")
            raise

    def source_number(self, root: str) -> int | None:
        """Return the number of a source; None where none of its files is known."""
        found = self.execute("SELECT id FROM sources WHERE root = ?", (os.fsencode(root),)).fetchone()
        return None if found is None else int(found[0])

    def source_used(self, root: str) -> int:
        """Return when a source was last used, in seconds; 0 where it is not known."""
        found = self.execute("SELECT used FROM sources WHERE root = ?", (os.fsencode(root),)).fetchone()
        return 0 if found is None else int(found[0])

    def files_of(self, source: int, keys: Sequence[str] | None = None) -> dict[str, FileRow]:
        """Return the known files of a source, or those of `keys` alone, by key."""
        columns = "SELECT key, size, written, changed, inode, content FROM files WHERE source = ?"
        if keys is None:
            rows = self.execute(columns, (source,)).fetchall()
        else:
            rows = [
                row
                for key in keys
                for row in self.execute(f"{columns} AND key = ?", (source, _stored_key(key))).fetchall()
            ]
        return {row[0] if type(row[0]) is str else os.fsdecode(row[0]): row for row in rows}

    def contents_by_stamp(self, stamps: Iterable[FileStamp]) -> dict[FileStamp, str]:
        """Return the content of each file known under another path: the same inode, size and times."""
        self.execute("CREATE TEMP TABLE IF NOT EXISTS sought (inode INTEGER, device INTEGER)")
        self.execute_many("INSERT INTO sought VALUES (?, ?)", ((stamp[3], stamp[4]) for stamp in stamps))
        rows = self.execute(
            "SELECT size, written, changed, files.inode, files.device, content "
            "FROM sought JOIN files ON files.inode = sought.inode AND files.device = sought.device"
        ).fetchall()
        self.execute("DROP TABLE sought")
        return {row[:5]: row[5].hex() for row in rows}

    def find_array(self, decoder: str, shape: InputShape) -> RowArray | None:
        """Return the array of this decoder and shape, or None."""
        found = self.execute(
            "SELECT arrays.id, file, count, bytes, written, height, width "
            "FROM arrays JOIN decoders ON decoders.id = decoder WHERE identity = ? AND height = ? AND width = ?",
            (row_identity(decoder, shape), *shape.size),
        ).fetchone()
        return None if found is None else _array(found)

    def arrays(self) -> list[RowArray]:
        """Return all arrays."""
        found = self.execute("SELECT id, file, count, bytes, written, height, width FROM arrays ORDER BY id").fetchall()
        return [_array(row) for row in found]

    def rows_of(self, array: RowArray, contents: Sequence[str]) -> dict[str, StoredRow]:
        """Return the row of each of `contents` that has one."""
        if array.count <= 2 * len(contents):
            sought = set(contents)
            query = "SELECT content, row, used, checksum FROM rows WHERE array = ?"
            rows = self.execute(query, (array.number,)).fetchall()
            return {name: StoredRow(*row[1:]) for row in rows if (name := row[0].hex()) in sought}
        query = "SELECT row, used, checksum FROM rows WHERE array = ? AND content = ?"
        found = ((name, self.execute(query, (array.number, bytes.fromhex(name))).fetchone()) for name in contents)
        return {name: StoredRow(*row) for name, row in found if row is not None}

    def contents_of(self, array: RowArray) -> set[str]:
        """Return all contents that have a row."""
        rows = self.execute("SELECT content FROM rows WHERE array = ?", (array.number,)).fetchall()
        return {content.hex() for (content,) in rows}

    def reasons_of(self, decoder: str) -> dict[str, str]:
        """Return why each content that the decoder cannot decode has no row."""
        query = (
            "SELECT content, reason FROM facts "
            "WHERE decoder = (SELECT id FROM decoders WHERE identity = ?) AND reason IS NOT NULL"
        )
        return {content.hex(): reason for content, reason in self.execute(query, (decoder,)).fetchall()}

    def facts_of(self, decoder: str, contents: Iterable[str]) -> dict[str, ImageFacts]:
        """Return what is known of each of `contents`."""
        query = (
            "SELECT height, width, header, reason FROM facts "
            "WHERE decoder = (SELECT id FROM decoders WHERE identity = ?) AND content = ?"
        )
        found = ((name, self.execute(query, (decoder, bytes.fromhex(name))).fetchone()) for name in contents)
        return {name: ImageFacts(*row) for name, row in found if row is not None}

    def add_source(self, root: str, now: int) -> int:
        """Return the number of a source, new or not, as used now."""
        self.execute(
            "INSERT INTO sources (root, used) VALUES (?, ?) ON CONFLICT (root) DO UPDATE SET used = excluded.used",
            (os.fsencode(root), now),
        )
        return self.source_number(root) or 0

    def add_files(self, source: int, files: Iterable[tuple[str, FileStamp, str]]) -> None:
        """Remember key, stamp and content of files."""
        rows = ((source, _stored_key(key), *stamp, bytes.fromhex(content)) for key, stamp, content in files)
        self.execute_many("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def remove_files(self, source: int, keys: Iterable[str]) -> None:
        """Forget files that are gone."""
        self.execute_many(
            "DELETE FROM files WHERE source = ? AND key = ?", ((source, _stored_key(key)) for key in keys)
        )

    def add_decoder(self, identity: str) -> int:
        """Return the number of a decoder, new or not."""
        self.execute("INSERT OR IGNORE INTO decoders (identity) VALUES (?)", (identity,))
        return int(self.execute("SELECT id FROM decoders WHERE identity = ?", (identity,)).fetchone()[0])

    def add_facts(self, decoder: int, facts: dict[str, ImageFacts]) -> None:
        """Remember what is known of contents."""
        rows = ((decoder, bytes.fromhex(c), f.height, f.width, f.header, f.reason) for c, f in facts.items())
        self.execute_many("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?, ?)", rows)

    def add_array(self, decoder: int, height: int, width: int, file: str, stamp: Stamp, count: int = 0) -> None:
        """Add an array, or give the one of this decoder and size another file and number."""
        values = (decoder, height, width, file, count, *stamp)
        self.execute(
            "INSERT OR REPLACE INTO arrays (decoder, height, width, file, count, bytes, written) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            values,
        )

    def add_rows(self, array: RowArray, rows: Sequence[tuple[str, int]], stamp: Stamp, now: int) -> None:
        """Add (content, checksum) as the next rows of an array."""
        added = (
            (array.number, bytes.fromhex(content), array.count + number, checksum, now)
            for number, (content, checksum) in enumerate(rows)
        )
        self.execute_many("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?)", added)
        self.set_count(array, array.count + len(rows), stamp)

    def set_count(self, array: RowArray, count: int, stamp: Stamp) -> None:
        """Record how many rows an array has, and the state of its file."""
        self.execute("UPDATE arrays SET count = ?, bytes = ?, written = ? WHERE id = ?", (count, *stamp, array.number))

    def touch_rows(self, array: RowArray, contents: Iterable[str], now: int) -> None:
        """Record that rows are used now."""
        query = "UPDATE rows SET used = ? WHERE array = ? AND content = ?"
        self.execute_many(query, ((now, array.number, bytes.fromhex(content)) for content in contents))


def _stored_key(key: str) -> str | bytes:
    """Convert a path to what SQLite takes; one that is not UTF-8 is no text."""
    return key if key.isascii() else os.fsencode(key)


def _array(row: tuple[int, str, int, int, int, int, int]) -> RowArray:
    number, file, count, size, written, height, width = row
    return RowArray(number, file, count, (size, written), height, width)
