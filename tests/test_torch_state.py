"""State dicts of PyTorch, read without PyTorch: strides, and what is hostile, cut or of another kind."""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch_files as made
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeclf.errors import ModelError
from edgeclf.keras_files.torch_state import read_torch_state

NUMBERS = np.arange(24, dtype="<f4")


def read(content: bytes, folder: Path) -> dict[str, np.ndarray]:
    path = folder / "net.pth"
    path.write_bytes(content)
    return read_torch_state(path)


def one_tensor(
    offset: int = 0, size: tuple[int, ...] = (24,), strides: tuple[int, ...] = (1,), count: int = 24
) -> bytes:
    return made.file(made.table({"w": made.tensor(made.storage("1", count), offset, size, strides)}), {"1": NUMBERS})


def test_tensors_are_views_of_their_storages(tmp_path: Path) -> None:
    state = {
        "whole": made.tensor(made.storage("1", 24), 0, (2, 3, 4), (12, 4, 1)),
        "turned": made.tensor(made.storage("2", 24), 0, (4, 3, 2), (1, 4, 12)),
        "part": made.tensor(made.storage("3", 24), 5, (2, 2), (6, 2)),
        "count": made.tensor(made.storage("4", 1, "LongStorage"), 0, (), ()),
        "nothing": made.tensor(made.storage("5", 0), 0, (0, 3), (3, 1)),
    }
    storages = {key: NUMBERS for key in "123"} | {"4": np.array([7], "<i8"), "5": NUMBERS[:0]}
    # Versions of layers, which PyTorch keeps as an attribute of the ordered dict.
    found = read(made.file(made.table(state) + b"}" + made.text("_metadata") + b"}sb", storages), tmp_path)
    assert list(found) == list(state)
    np.testing.assert_array_equal(found["whole"], NUMBERS.reshape(2, 3, 4))
    np.testing.assert_array_equal(found["turned"], NUMBERS.reshape(2, 3, 4).transpose(2, 1, 0))
    np.testing.assert_array_equal(found["part"], [[5, 7], [11, 13]])
    assert found["count"].dtype == np.int64
    assert found["count"].shape == ()
    assert found["count"] == 7
    assert found["nothing"].shape == (0, 3)
    assert all(values.flags.c_contiguous and values.flags.owndata for values in found.values())
    assert "torch" not in sys.modules


@pytest.mark.parametrize(
    "values",
    [
        {"offset": 1},
        {"offset": -1, "size": (3,)},
        {"size": (25,)},
        {"size": (5, 5), "strides": (5, 1)},
        {"size": (2,), "strides": (24,)},
        {"size": (2,), "strides": (-1,), "offset": 23},
        {"size": (-1,)},
        {"size": (1 << 40, 1 << 40), "strides": (0, 0)},
        {"size": (24,), "strides": ()},
        {"size": (1,) * 9, "strides": (1,) * 9},
        {"size": (24,), "strides": (1 << 61,)},
        {"size": (1 << 63,), "strides": (0,)},
    ],
)
def test_views_beyond_their_storage_are_refused(tmp_path: Path, values: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(ModelError, match=r"net\.pth holds a tensor (that reaches beyond|whose offset)"):
        read(one_tensor(**values), tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [23, 25, 1 << 40, -1, 1 << 80])
def test_storages_of_another_size_than_declared_are_refused(tmp_path: Path, count: int) -> None:
    reasons = "expected a storage of|more than the file has|not understood"
    with pytest.raises(ModelError, match=reasons):
        read(one_tensor(count=count, size=(1,)), tmp_path)


class RunsACommand:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch ran",)


def nested(depth: int) -> bytes:
    """A tuple of a tuple of a tuple, used as a key: to hash it overflows the stack of a program."""
    return b"}" + made.EMPTY_TUPLE + b"\x85" * depth + made.NONE + b"s"


HOSTILE = {
    "command": pickle.dumps(RunsACommand(), 2)[2:-1],
    "command inside": made.table({"w": made.name("os", "system") + made.row(made.text("touch ran")) + made.CALL}),
    "builtins": made.name("builtins", "eval") + made.row(made.text("open('ran', 'w')")) + made.CALL,
    "attribute": made.name("torch._utils", "_rebuild_tensor_v2.__globals__"),
    "stack global": made.text("os") + made.text("system") + b"\x93",
    "new object": made.name("collections", "OrderedDict") + made.EMPTY_TUPLE + b"\x81",
    "extension": b"\x82\x01",
    "instance": b"(ios\nsystem\n",
    "call of a text": made.text("os.system") + made.row(made.text("touch ran")) + made.CALL,
    "call of what was called": made.name("torch", "FloatStorage") + made.EMPTY_TUPLE + made.CALL * 2,
    "deep key": nested(30_000),
    "deep value": made.EMPTY_TUPLE + b"\x85" * 30_000,
    "list in itself": b"]q\x00(h\x00e",
    "float": b"G" + bytes(8),
    "unknown memory": b"j" + struct.pack("<I", 1 << 31),
    "far memory": made.NONE + b"r" + struct.pack("<I", 0xFFFFFFFF),
    "long text": b"X" + struct.pack("<I", 0xFFFFFFFF),
    "no mark": b"t",
    "empty": b"",
    "two values": made.NONE * 2,
    "mark": b"(",
    "key without value": b"}(" + made.text("w") + b"u",
    "not a dict": b"](" + made.number(1) + b"e",
    "a number for a tensor": made.table({"w": made.number(1)}),
    "a number for a name": b"}" + made.number(1) + made.number(1) + b"s",
    "no storage": made.table({"w": made.tensor(made.NONE, 0, (1,), (1,))}),
    "half floats": made.table({"w": made.tensor(made.storage("1", 24, "HalfStorage"), 0, (1,), (1,))}),
    "a view of a storage": made.table(
        {
            "w": made.tensor(
                made.row(
                    made.text("storage"),
                    made.name("torch", "FloatStorage"),
                    made.text("1"),
                    made.text("cpu"),
                    made.number(24),
                    made.row(made.text("2"), made.number(0), made.number(24)),
                )
                + made.REFERENCE,
                0,
                (1,),
                (1,),
            )
        }
    ),
    "one storage of two sizes": made.table(
        {str(count): made.tensor(made.storage("1", count), 0, (1,), (1,)) for count in (24, 23)}
    ),
    "a storage that is not there": made.table({"w": made.tensor(made.storage("2", 24), 0, (1,), (1,))}),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_and_foreign_pickles_are_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError) as refused:
        read(made.file(HOSTILE[case], {"1": NUMBERS}), tmp_path)
    message = str(refused.value)
    assert message.startswith("net.pth ")
    assert "\n" not in message
    assert len(message) < 200
    assert [path.name for path in tmp_path.iterdir()] == ["net.pth"], "nothing ran"


def test_what_a_pickle_names_is_shown_harmlessly(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"names 'os sys\\\\x1b\[31m', which no list of tensors needs"):
        read(made.file(b"cos\nsys\x1b[31m\n", {}), tmp_path)


def test_many_views_of_one_storage_are_refused_before_memory_runs_out(tmp_path: Path) -> None:
    views = {str(k): made.tensor(made.storage("1", 10_000), 0, (10_000,), (1,)) for k in range(100)}
    with pytest.raises(ModelError, match="holds tensors that are larger together than the file"):
        read(made.file(made.table(views), {"1": np.zeros(10_000, "<f4")}), tmp_path)


def test_more_instructions_than_any_network_needs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has more than 200,000 instructions"):
        read(made.file((made.NONE + b"q\x00") * 120_000, {}), tmp_path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("archive/data.pkl", b"")
    with pytest.raises(ModelError, match=r"expected the format from before PyTorch 1\.6, got a zip archive"):
        read(archive.getvalue(), tmp_path)
    with pytest.raises(ModelError, match="is damaged"):
        read(b"", tmp_path)
    with pytest.raises(ModelError, match="is no file of PyTorch's format"):
        read(pickle.dumps(1, 2) * 5, tmp_path)
    with pytest.raises(ModelError, match="little-endian"):
        read(one_tensor().replace(made.TRUE, made.FALSE, 1), tmp_path)
    with pytest.raises(ModelError, match="goes on behind its last storage"):
        read(one_tensor() + b"\x00", tmp_path)
    with pytest.raises(ModelError, match="cannot be read"):
        read_torch_state(tmp_path / "missing.pth")


def test_a_cut_file_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    whole = one_tensor()
    assert len(read(whole, tmp_path)) == 1
    for length in range(len(whole)):
        with pytest.raises(ModelError):
            read(whole[:length], tmp_path)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, len(one_tensor()) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_file_is_refused_or_holds_tensors(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    content = bytearray(one_tensor(size=(4, 3), strides=(1, 4)))
    for place, value in changes:
        content[place % len(content)] = value
    try:
        found = read(bytes(content), tmp_path)
    except ModelError:
        return
    assert all(isinstance(name, str) and values.nbytes <= len(content) for name, values in found.items())
