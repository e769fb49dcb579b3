"""Lists folders, each once, and decides by their names which files and folders are data."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeclf.dataset.collected import is_unsorted
from edgeclf.dataset.sources import display, reason_to_pass_over
from edgeclf.dataset.types import OddFile
from edgeclf.errors import DataError
from edgeclf.image.decoding import IMAGE_SUFFIXES
from edgeclf.image.folder_names import is_data_folder


@dataclass(frozen=True)
class Entries:
    """What lies directly in a folder, each sorted by name.

    Attributes:
        files: everything that is no folder, links that lead nowhere included.
        folders: folders whose names may be those of data.
        passed_over: folders of systems and programs, hidden ones among them.
        unsorted: folders of collected images that have no class yet.
        suffixes: endings of names of the files that count as images.
    """

    files: tuple[os.DirEntry[str], ...]
    folders: tuple[os.DirEntry[str], ...]
    passed_over: tuple[os.DirEntry[str], ...]
    unsorted: tuple[os.DirEntry[str], ...]
    suffixes: Collection[str] = IMAGE_SUFFIXES

    @property
    def images(self) -> list[os.DirEntry[str]]:
        """Those files that are images by their names."""
        return [file for file in self.files if reason_to_pass_over(file.name, self.suffixes) is None]

    @property
    def odd(self) -> list[OddFile]:
        """The folders that are passed over, with the reason."""
        return [OddFile(display(folder.path), _reason(folder.name)) for folder in self.passed_over]


class FolderTree:
    """Lists the folders of a source, each once.

    Args:
        suffixes: endings of names of the files that count as images.
    """

    def __init__(self, suffixes: Collection[str] = IMAGE_SUFFIXES) -> None:
        self.suffixes = suffixes
        self._known: dict[str, Entries] = {}

    def entries(self, folder: str) -> Entries:
        """List what lies directly in `folder`.

        Raises:
            DataError: it cannot be listed.
        """
        if folder not in self._known:
            self._known[folder] = _list(folder, self.suffixes)
        return self._known[folder]

    def walk(self, top: os.DirEntry[str], odd: list[OddFile]) -> Iterator[os.DirEntry[str]]:
        """Find image files in `top` and below, sorted; a link that leads back up is not followed twice.

        Args:
            top: the folder.
            odd: gets what is passed over, and folders below `top` that cannot be listed.
        """
        above = {_identify(str(folder)) for folder in Path(os.path.abspath(top.path)).parents}
        seen: set[tuple[int, int]] = set()
        pending = [top]
        while pending:
            current = pending.pop()
            try:
                identity = _identify(current.path)
            except OSError as error:
                why = (error.strerror or str(error)).lower()
                odd.append(OddFile(display(current.path), f"cannot be read ({why}); passed over"))
                continue
            if identity in seen or identity in above:
                which = "that was read already" if identity in seen else "above it"
                odd.append(OddFile(display(current.path), f"link to a folder {which}; passed over"))
                continue
            seen.add(identity)
            try:
                found = self._known.pop(current.path, None) or _list(current.path, self.suffixes)
            except DataError as error:
                odd.append(OddFile(display(current.path), f"{str(error).rpartition(': ')[2]}; passed over"))
                continue
            for file in found.files:
                if reason := reason_to_pass_over(file.name, self.suffixes):
                    odd.append(OddFile(display(file.path), reason))
                else:
                    yield file
            odd.extend(found.odd)
            pending.extend(sorted((*found.folders, *found.unsorted), key=lambda entry: entry.name, reverse=True))


def _identify(folder: str) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def describe_strays(files: Sequence[os.DirEntry[str]]) -> list[OddFile]:
    """Describe files that lie where only folders are expected."""
    return [
        OddFile(display(f.path), reason_to_pass_over(f.name) or "outside any class folder; passed over") for f in files
    ]


def fold_name(entry: os.DirEntry[str]) -> str:
    """Return the name of a folder as it is compared with others: composed, without case."""
    return unicodedata.normalize("NFC", entry.name).casefold()


def _reason(name: str) -> str:
    return f"{'hidden' if name.startswith('.') else 'system'} folder; passed over"


def _list(folder: str, suffixes: Collection[str]) -> Entries:
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{display(folder)}: cannot be listed ({(error.strerror or str(error)).lower()})") from error
    files: list[os.DirEntry[str]] = []
    folders: list[os.DirEntry[str]] = []
    for entry in found:
        (folders if _is_folder(entry) else files).append(entry)
    unsorted = [entry for entry in folders if is_unsorted(entry.path)]
    data = [entry for entry in folders if entry not in unsorted and is_data_folder(entry.name)]
    others = [entry for entry in folders if entry not in unsorted and not is_data_folder(entry.name)]
    return Entries(tuple(files), tuple(data), tuple(others), tuple(unsorted), suffixes)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
