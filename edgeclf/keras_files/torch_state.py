"""Reads the tensors in a file that PyTorch wrote (`torch.save` of a state dict), without PyTorch.

Read is the format from before PyTorch 1.6: a number that marks it, a protocol number, facts on the machine, the state
dict, and the keys of the storages, a pickle each (see `pickle_values`), then the storages: a count and as many numbers.
A tensor is a view of a storage: offset, size and strides, in numbers and not in bytes. Every field is checked against
the bytes that are there.

Source: `torch/serialization.py`, `_legacy_load`, and `torch/_utils.py`, `_rebuild_tensor_v2`, in PyTorch.
"""

from __future__ import annotations

import io
import math
import stat
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.errors import ModelError
from edgeclf.keras_files.pickle_values import Call, Name, PickleReader, Reference

LARGEST = 1_000_000_000
"""Bytes of a file."""
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_REBUILD = "torch._utils _rebuild_tensor_v2"
_NUMBERS: dict[str, np.dtype[Any]] = {"torch FloatStorage": np.dtype("<f4"), "torch LongStorage": np.dtype("<i8")}
_NAMES = frozenset({"collections OrderedDict", _REBUILD, *_NUMBERS})
_MOST_AXES = 8

Array = npt.NDArray[Any]


def read_torch_state(path: Path) -> dict[str, Array]:
    """Read a state dict of `float32` and `int64` tensors.

    Returns:
        the tensors by name, in the order of the file; copies, contiguous.

    Raises:
        ModelError: the file cannot be read, is of another format, is damaged, or holds something else than tensors.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ModelError(f"{path.name}: expected a file, got a folder, a pipe or a device")
        if (size := status.st_size) > LARGEST:
            raise ModelError(f"{path.name}: expected at most {LARGEST:,} bytes, got {size:,}")
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({(error.strerror or str(error)).lower()})") from error
    if content.startswith(b"PK"):
        raise ModelError(f"{path.name}: expected the format from before PyTorch 1.6, got a zip archive")
    return _StateReader(path.name, content).read()


class _StateReader:
    """Reads one file.

    Args:
        name: of the file, for messages.
        content: of the file.
    """

    def __init__(self, name: str, content: bytes) -> None:
        self._name = name
        self._content = content
        self._stream = io.BytesIO(content)
        self._pickles = PickleReader(name, _NAMES)
        self._declared: dict[str, tuple[np.dtype[Any], int]] = {}
        self._bytes = 0

    def read(self) -> dict[str, Array]:
        """Read the whole file."""
        if self._unpickle() != _MAGIC or self._unpickle() != _PROTOCOL:
            raise self._refuse("is no file of PyTorch's format from before version 1.6")
        machine = self._unpickle()
        if not isinstance(machine, dict) or machine.get("little_endian") is not True:
            raise self._refuse("was not written by a little-endian machine")
        state = self._unpickle()
        if not isinstance(state, dict):
            raise self._refuse(f"holds {_describe(state)}, expected a dict of tensors")
        views = {name: self._check_view(name, value) for name, value in state.items()}
        storages = self._read_storages(self._unpickle())
        return {name: self._view(storages, *view) for name, view in views.items()}

    def _unpickle(self) -> Any:
        return self._pickles.read(self._stream)

    def _check_view(self, name: object, value: object) -> tuple[str, int, tuple[int, ...], tuple[int, ...]]:
        """Return key, offset, size and strides of a tensor, and remember the storage that it declares."""
        if not isinstance(name, str):
            raise self._refuse(f"names a tensor by {_describe(name)}, expected a text")
        if not isinstance(value, Call) or value.function != Name(_REBUILD) or len(value.arguments) != 6:
            raise self._refuse(f"holds {_describe(value)} where a tensor is expected")
        reference, offset, size, strides = value.arguments[:4]
        key, count = self._check_storage(reference)
        if not _is_count(offset) or not _are_counts(size) or not _are_counts(strides) or len(size) != len(strides):
            raise self._refuse("holds a tensor whose offset, size or strides are no counts")
        elements = math.prod(size)
        last = offset + sum((extent - 1) * stride for extent, stride in zip(size, strides, strict=True))
        if len(size) > _MOST_AXES or elements > count or (elements and last >= count):
            raise self._refuse(f"holds a tensor that reaches beyond its storage of {count:,} numbers")
        self._bytes += elements * self._declared[key][0].itemsize
        if self._bytes > len(self._content):
            raise self._refuse("holds tensors that are larger together than the file")
        return key, offset, size, strides

    def _check_storage(self, reference: object) -> tuple[str, int]:
        identity = reference.identity if isinstance(reference, Reference) else None
        if not isinstance(identity, tuple) or len(identity) != 6 or identity[0] != "storage" or identity[5] is not None:
            raise self._refuse("holds a tensor without a storage of its own")
        kind, key, _, count = identity[1:5]
        dtype: np.dtype[Any] | None = _NUMBERS.get(kind.text) if isinstance(kind, Name) else None
        if dtype is None or not isinstance(key, str) or not _is_count(count):
            raise self._refuse("holds a storage whose kind, key or size is not understood")
        if count * dtype.itemsize > len(self._content):
            raise self._refuse(f"declares a storage of {count:,} numbers, more than the file has")
        if self._declared.setdefault(key, (dtype, count)) != (dtype, count):
            raise self._refuse("declares a storage twice, of different kind or size")
        return key, count

    def _read_storages(self, keys: object) -> dict[str, Array]:
        """Read the storages, which lie one behind the other up to the end of the file."""
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise self._refuse("has no list of storages")
        if len(keys) != len(self._declared) or set(keys) != set(self._declared):
            raise self._refuse("lists other storages than its tensors have")
        found = {}
        for key in keys:
            dtype, count = self._declared[key]
            written = int.from_bytes(self._stream.read(8), "little")
            place, length = self._stream.tell(), count * dtype.itemsize
            if written != count or place + length > len(self._content):
                raise self._refuse(f"is cut or damaged: expected a storage of {count:,} numbers")
            found[key] = np.frombuffer(self._content, dtype, count, place)
            self._stream.seek(place + length)
        if self._stream.tell() != len(self._content):
            raise self._refuse("is damaged: it goes on behind its last storage")
        return found

    def _view(
        self, storages: dict[str, Array], key: str, offset: int, size: tuple[int, ...], strides: tuple[int, ...]
    ) -> Array:
        numbers = storages[key][offset:]
        steps = tuple(stride * numbers.itemsize for stride in strides)
        return np.array(np.lib.stride_tricks.as_strided(numbers, size, steps, writeable=False), order="C")

    def _refuse(self, reason: str) -> ModelError:
        return ModelError(f"{self._name} {reason}")


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _are_counts(value: object) -> bool:
    return isinstance(value, tuple) and all(map(_is_count, value))


def _describe(value: object) -> str:
    return f"a call of {value.function.text}" if isinstance(value, Call) else f"a {type(value).__name__}"
