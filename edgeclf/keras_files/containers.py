"""Refuses Keras files whose container reads other files or unpacks without bound, before its weights are loaded.

HDF5 may keep a data set's numbers in any other file (external storage, external links, virtual data sets), and reads
them as if they were its own. Keras writes plain data sets of numbers, so those are what is allowed.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from edgeclf.errors import EdgeclfError, ModelError, RunFailedError
from edgeclf.keras_files.reading import READING_ERRORS, reason
from edgeclf.keras_files.trust import refusal

WEIGHTS = "model.weights.h5"
MEMBERS = frozenset({"metadata.json", "config.json", WEIGHTS})
"""What Keras writes into an archive for an image classifier; folders for assets stay empty."""
LARGEST_WEIGHTS = 1 << 33
"""Bytes of all weights, unpacked."""
MOST_UNPACKED = 200
"""Times that weights may be larger unpacked than packed; those of real networks hardly shrink."""
SMALL_WEIGHTS = 1 << 26
"""Bytes below which the ratio does not matter."""
MOST_OBJECTS = 100_000
_READ_OTHERS = "read other files"
_FILL_MEMORY = "fill the memory"
_FILTERS = frozenset({1, 2, 3})
"""HDF5's numbers of the filters deflate, shuffle and checksum: others are loaded from libraries."""
_NUMBERS = "fiub"
"""numpy's letters of data types that weights have."""


def check_container(path: Path) -> int:
    """Check the zip archive or HDF5 file of a network; return how many numbers it holds.

    Args:
        path: a `.keras` or `.h5` file, of one kind (`read_configuration`).

    Raises:
        UntrustedModelError: it could read other files, or unpack to very much.
        ModelError: it is damaged.
        RunFailedError: there is no room to unpack its weights, which are checked before they are loaded.
    """
    try:
        if zipfile.is_zipfile(path):
            return _check_archive(path)
        with path.open("rb") as stream:
            return _check_hdf5(stream, path.name)
    except EdgeclfError:
        raise
    except READING_ERRORS as error:
        raise ModelError(f"{path}: is cut or damaged ({reason(error)}); copy it again") from error


def check_members(archive: zipfile.ZipFile, file: str) -> None:
    """Check the names and sizes of an archive's members; nothing is unpacked.

    Args:
        archive: a `.keras` file.
        file: its name, for the message.

    Raises:
        UntrustedModelError: one is not what Keras writes, stands there twice, or unpacks to very much.
    """
    members = archive.infolist()
    for member in members[:MOST_OBJECTS]:
        if member.filename not in MEMBERS and not (member.is_dir() and member.filename == "assets/"):
            raise refusal(file, f"the member {member.filename[:100]!r}", "write files elsewhere")
        limit = max(SMALL_WEIGHTS, MOST_UNPACKED * member.compress_size)
        if member.file_size > min(LARGEST_WEIGHTS, limit):
            raise refusal(file, f"{member.filename} of {member.file_size:,} bytes unpacked", _FILL_MEMORY)
    if len({member.filename for member in members}) != len(members):
        raise refusal(file, "a member twice", "be another than the one that was checked")


def _check_archive(path: Path) -> int:
    with zipfile.ZipFile(path) as archive:
        check_members(archive, path.name)
        with archive.open(WEIGHTS) as packed, tempfile.TemporaryFile() as stream:
            while chunk := packed.read(1 << 20):
                try:
                    stream.write(chunk)
                    stream.flush()
                except OSError as error:
                    size, folder = archive.getinfo(WEIGHTS).file_size, tempfile.gettempdir()
                    raise RunFailedError(
                        f"{folder}: cannot be written ({(error.strerror or str(error)).lower()}); the weights of "
                        f"{path.name}, {size:,} bytes, are unpacked there to be checked (TMPDIR names another folder)"
                    ) from error
            return _check_hdf5(stream, path.name)


def _check_hdf5(stream: IO[bytes], file: str) -> int:
    import h5py

    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    total = values = 0
    with h5py.File(stream, "r") as content:
        for number, data in enumerate(_data_sets(content, file)):
            if number >= MOST_OBJECTS:
                raise refusal(file, f"more than {MOST_OBJECTS:,} data sets", _FILL_MEMORY)
            _check_storage(data, file)
            total += data.nbytes
            values += data.size or 0
            if total > min(LARGEST_WEIGHTS, max(SMALL_WEIGHTS, MOST_UNPACKED * size)):
                raise refusal(file, f"weights of {total:,} bytes in {size:,}", _FILL_MEMORY)
    return values


def _data_sets(content: Any, file: str) -> Iterator[Any]:
    """Walk the data sets of an HDF5 file without following a link out of it."""
    import h5py

    seen = set()
    waiting = [content]
    while waiting:
        group = waiting.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:
            continue
        seen.add(address)
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise refusal(file, f"the {_words(link)} {name[:100]!r}", _READ_OTHERS)
            item = group[name]
            if isinstance(item, h5py.Group):
                waiting.append(item)
            elif isinstance(item, h5py.Dataset):
                yield item
        if len(seen) > MOST_OBJECTS:
            raise refusal(file, f"more than {MOST_OBJECTS:,} groups", _FILL_MEMORY)


def _check_storage(data: Any, file: str) -> None:
    import h5py

    name = data.name[:100]
    settings = data.id.get_create_plist()
    if settings.get_external_count():
        raise refusal(file, f"the data set {name!r} with external storage", _READ_OTHERS)
    if settings.get_layout() not in (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED):
        raise refusal(file, f"the virtual data set {name!r}", _READ_OTHERS)
    filters = {settings.get_filter(index)[0] for index in range(settings.get_nfilters())}
    if filters - _FILTERS:
        raise refusal(file, f"the data set {name!r} with the HDF5 filter {min(filters - _FILTERS)}", "load a library")
    if data.dtype.kind not in _NUMBERS and h5py.check_string_dtype(data.dtype) is None:
        raise refusal(file, f"the data set {name!r} of type {data.dtype}", _READ_OTHERS)


def _words(link: Any) -> str:
    return {"ExternalLink": "external link", "SoftLink": "symbolic link"}.get(type(link).__name__, "link")
