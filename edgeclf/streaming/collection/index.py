"""The index of collected images: what is known about each, a line of JSON an image, appended to while it is read."""

from __future__ import annotations

import contextlib
import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edgeclf.dataset.collected import INDEX
from edgeclf.records import Record


@dataclass(frozen=True)
class Entry(Record):
    """A line of the index.

    Attributes:
        name: of the file, without `.jpg`.
        time: of the capture, ISO 8601 with time zone.
        reason: why it was kept.
        frame: number of the captured frame.
        label: smoothed label at that time.
        raw_label: the frame's own best class.
        raw_probability: its probability in this frame alone.
        scores: the best classes by smoothed probability.
        glimpse: base64 of `uint8[12, 12, 3]`.
    """

    name: str
    time: str
    reason: str
    frame: int
    label: str
    raw_label: str
    raw_probability: float
    scores: dict[str, float]
    glimpse: str


class IndexReader:
    """Reads an index again and again while another process writes it; only what was appended since is parsed.

    Args:
        folder: `DIR/unsorted`.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / INDEX
        self._read, self._last = 0, b""
        self._entries: dict[str, Entry] = {}

    def entries(self) -> dict[str, Entry]:
        """Return what is known of each image, by its name, oldest first; of a line that is still written, nothing.

        Raises:
            OSError: there is an index, and it cannot be read.
        """
        try:
            with open(self._path, "rb") as stream:
                self._read_on(stream)
        except FileNotFoundError:
            self._forget()
        return self._entries

    def _read_on(self, stream: BinaryIO) -> None:
        stream.seek(self._read - len(self._last))
        if stream.read(len(self._last)) != self._last:  # it was written anew
            self._forget()
            stream.seek(0)
        for line in stream:
            if not line.endswith(b"\n"):
                break
            self._read, self._last = self._read + len(line), line
            self._entries.update(_parse(line))

    def _forget(self) -> None:
        self._read, self._last, self._entries = 0, b"", {}


def read_index(folder: Path) -> list[Entry]:
    """Read all readable lines once, oldest first; a line that a power cut tore is left out."""
    return list(IndexReader(folder).entries().values())


def _parse(line: bytes) -> dict[str, Entry]:
    with contextlib.suppress(ValueError, TypeError):  # not JSON, or of another version
        entry = Entry.from_json(line.decode("utf-8", "replace"))
        if is_name(entry.name):
            return {entry.name: entry}
    return {}


def adopt(path: Path) -> Entry:
    """Make the entry of an image without a line in the index, as after the index was lost."""
    moment = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.timezone.utc)
    return Entry(path.stem, moment.isoformat(timespec="milliseconds"), "found", 0, "", "", 0.0, {}, "")


def is_name(name: str) -> bool:
    """Return whether an image may be called so: nothing hidden, and nothing that leads to another folder."""
    return bool(name) and name[0] != "." and not any(c in name for c in "/\\\0")
