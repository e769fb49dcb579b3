"""Reads who saved a Keras file, and what network it holds, before it is handed to a loader."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from edgeclf.errors import ModelError
from edgeclf.keras_files.reading import READING_ERRORS, reason

_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"
LARGEST_JSON = 1 << 26
"""Bytes of a configuration; an archive of a few kB may unpack to gigabytes."""


def read_configuration(path: Path) -> tuple[str, dict[str, Any]]:
    """Read who saved a Keras file (`tf-keras` or `Keras 3`), and its `model_config`; nothing in the file is run.

    Raises:
        ModelError: there is no such file, or it is damaged.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ModelError(f"{path}: is no file")
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
    except OSError as error:
        why = "no such file or folder" if not path.exists() else (error.strerror or str(error)).lower()
        raise ModelError(f"{path}: cannot be read ({why})") from error
    if not start:
        raise ModelError(f"{path}: the file is empty")
    _check_one_kind(path, start)
    try:
        if start.startswith(_ZIP):
            version, config = _zip_configuration(path)
        elif start == _HDF5:
            version, config = _hdf5_configuration(path)
        else:
            raise ModelError(f"{path}: neither a .keras nor an .h5 file (it starts with {start[:4]!r})")
    except ModelError:
        raise
    except READING_ERRORS as error:
        raise ModelError(f"{path}: is cut or damaged ({reason(error)}); copy it again") from error
    if not isinstance(config, dict):
        raise ModelError(f"{path}: holds weights alone, without the network; save the whole model")
    return ("Keras 3" if version.split(".")[0] not in ("", "1", "2") else "tf-keras"), config


def _check_one_kind(path: Path, start: bytes) -> None:
    """Refuse a file that is a zip archive and HDF5 at once: what is checked must be what the loaders will open.

    The loaders take the archive where the name ends in `.keras` and there is one, else HDF5 wherever in the file it
    begins.
    """
    if start.startswith(_ZIP) and not path.name.endswith(".keras"):
        raise ModelError(f"{path}: is a zip archive by its content; a name that ends in .keras was expected, rename it")
    if start == _HDF5 and zipfile.is_zipfile(path):
        raise ModelError(
            f"{path}: holds HDF5 and a zip archive in one file; a file of one kind was expected, do not use it"
        )


def _zip_configuration(path: Path) -> tuple[str, Any]:
    with zipfile.ZipFile(path) as archive:
        version = _json_in(archive, "metadata.json").get("keras_version", "")
        return str(version), _json_in(archive, "config.json")


def _json_in(archive: zipfile.ZipFile, name: str) -> Any:
    size = archive.getinfo(name).file_size
    if size > LARGEST_JSON:
        raise ValueError(f"{name} has {size:,} bytes, expected at most {LARGEST_JSON:,}")
    return json.loads(archive.read(name))


def _hdf5_configuration(path: Path) -> tuple[str, Any]:
    import h5py

    with h5py.File(path, "r") as file:
        text, version = file.attrs.get("model_config"), file.attrs.get("keras_version", "")
        version = version.decode() if isinstance(version, bytes) else str(version)
        return version, None if text is None else json.loads(text)
