"""Weights that lie in other files, and archives that unpack without bound, are refused before they are loaded."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_disk import small_file_system

h5py = pytest.importorskip("h5py")
from edgeclf.errors import ModelError, RunFailedError, UntrustedModelError  # noqa: E402
from edgeclf.keras_files import loading  # noqa: E402
from edgeclf.keras_files.containers import WEIGHTS, check_container  # noqa: E402

CONFIG = {"class_name": "Sequential", "config": {"layers": []}}


def external(file: Any, secret: Path) -> None:
    file.create_dataset("kernel", (4,), "u1", external=[(str(secret), 0, 4)])


def external_link(file: Any, secret: Path) -> None:
    file["kernel"] = h5py.ExternalLink(str(secret), "/kernel")


def symbolic_link(file: Any, secret: Path) -> None:
    file["kernel"] = h5py.SoftLink("/group/weights")


def virtual(file: Any, secret: Path) -> None:
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource(str(secret), "kernel", (4,))
    file.create_virtual_dataset("kernel", layout)


def hollow(file: Any, secret: Path) -> None:
    file.create_dataset("kernel", (1 << 32,), "f4", chunks=(1 << 20,))


def other_filter(file: Any, secret: Path) -> None:
    file.create_dataset("kernel", data=np.zeros(100), compression="lzf")


def references(file: Any, secret: Path) -> None:
    file.create_dataset("kernel", data=[file.ref], dtype=h5py.ref_dtype)


HARM: dict[str, Callable[[Any, Path], None]] = {
    "external storage": external,
    "external link": external_link,
    "symbolic link": symbolic_link,
    "virtual data set": virtual,
    "17,179,869,184 bytes": hollow,
    "HDF5 filter 32000": other_filter,
    "of type object": references,
}


def hdf5(place: Any, harm: Callable[[Any, Path], None] | None, secret: Path) -> None:
    with h5py.File(place, "w") as file:
        file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(CONFIG), "2.21.0"
        file.create_dataset("group/weights", data=np.arange(2, dtype=np.float32))
        file.create_dataset("group/names", data=["a", "b"])
        file["group/itself"] = file["group"]
        file.create_dataset("group/packed", data=np.arange(9.0), compression="gzip", shuffle=True, fletcher32=True)
        if harm is not None:
            harm(file["group"], secret)


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def keras_members(weights: bytes, **more: bytes) -> dict[str, bytes]:
    config, version = json.dumps(CONFIG).encode(), b'{"keras_version": "3.15.1"}'
    return {"metadata.json": version, "config.json": config, WEIGHTS: weights} | more


@pytest.mark.parametrize("words", HARM)
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_weights_that_are_not_plain_numbers_in_the_file_are_refused(words: str, suffix: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"key!")
    path = tmp_path / f"net{suffix}"
    if suffix == ".h5":
        hdf5(path, HARM[words], secret)
    else:
        stream = io.BytesIO()
        hdf5(stream, HARM[words], secret)
        archive(path, keras_members(stream.getvalue()))
    for load in (loading.load_network, loading.load_float_model):
        if load is loading.load_float_model and suffix == ".keras":
            continue  # Keras 3 is refused there before
        with pytest.raises(UntrustedModelError, match=rf"net{suffix} holds .*{words}.*--trust-model"):
            load(path)


def test_plain_containers_pass(tmp_path: Path) -> None:
    hdf5(tmp_path / "net.h5", None, tmp_path)
    assert check_container(tmp_path / "net.h5") == 2 + 2 + 9
    weights = (tmp_path / "net.h5").read_bytes()
    check_container(archive(tmp_path / "net.keras", keras_members(weights)))
    check_container(archive(tmp_path / "folder.keras", keras_members(weights, **{"assets/": b""})))


@pytest.mark.parametrize(
    ("member", "words"),
    [
        ("../../evil.py", "the member '../../evil.py'"),
        ("/etc/cron.d/evil", "the member '/etc/cron.d/evil'"),
        ("assets/vocabulary.txt", "the member 'assets/vocabulary.txt'"),
        ("other.weights.h5", "the member 'other.weights.h5'"),
    ],
)
def test_archives_hold_what_keras_writes_and_no_more(member: str, words: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "net.keras", keras_members(b"", **{member: b"x"}))
    with pytest.raises(UntrustedModelError, match=words):
        check_container(path)


def test_a_member_that_stands_there_twice_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "net.keras", keras_members(b""))
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr(WEIGHTS, b"others")
    with pytest.raises(UntrustedModelError, match="a member twice"):
        check_container(path)


def test_weights_that_unpack_to_very_much_are_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in keras_members(b"").items():
            if name != WEIGHTS:
                file.writestr(name, content)
        with file.open(WEIGHTS, "w") as stream:
            for _ in range(80):
                stream.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(UntrustedModelError, match=r"model.weights.h5 of 83,886,080 bytes unpacked"):
        loading.load_network(path)


def test_a_damaged_container_is_named(tmp_path: Path) -> None:
    hdf5(tmp_path / "net.h5", None, tmp_path)
    content = bytearray((tmp_path / "net.h5").read_bytes())
    path = archive(tmp_path / "net.keras", keras_members(bytes(content)))
    whole = bytearray(path.read_bytes())
    whole[whole.index(b"\x89HDF") + 600] ^= 0xFF
    path.write_bytes(whole)
    with pytest.raises(ModelError, match="is cut or damaged"):
        check_container(path)


def test_a_full_disk_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "net.keras", keras_members(np.random.default_rng(0).bytes(4 << 20)))
    with small_file_system(tmp_path / "small", "1m") as small:
        monkeypatch.setattr(tempfile, "tempdir", str(small))
        with pytest.raises(RunFailedError, match=r"small: cannot be written .*weights of net.keras, 4,194,304 bytes"):
            check_container(path)
