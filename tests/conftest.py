"""Fixtures shared by all tests: the data beside the checkout, and a cache folder of the tests' own."""

from __future__ import annotations

import os
import signal
import tarfile
from pathlib import Path

import pytest
from presence import refuse

from edgeclf.measure.machine import ONEDNN_VARIABLE, processor_flags
from edgeclf.training.starts import PackagedWeights

# TensorFlow's own rule, stated before it is imported: what the commands ask for in one test would decide what the other
# tests of the process compute with
_USUAL = {"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"}
os.environ.setdefault(ONEDNN_VARIABLE, str(int(not _USUAL.isdisjoint(processor_flags()))))
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_configure() -> None:
    """Give Ctrl-C its meaning back, which a shell takes from what it starts in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with slow tests first, so that two workers, each with a file at a time, end at about the same time."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real data; a test that asks for it skips on a user's machine and fails in CI without it."""
    if not SHARED.is_dir():
        refuse(f"{SHARED} is missing")
    return SHARED


@pytest.fixture(scope="session")
def test_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that only this test session uses."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(test_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECLF_CACHE", str(test_cache))


@pytest.fixture(autouse=True)
def _no_installed_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the packages with weights that this machine may have: what is chosen must not depend on it."""
    monkeypatch.setattr(PackagedWeights, "find", lambda start: None)


@pytest.fixture(scope="session")
def cifar_folder(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class-balanced piece of CIFAR-10 as JPEG files: `train` with 100 and `test` with 50 images a class."""
    return _unpack(shared_data / "cifar10-jpeg.tar.xz", tmp_path_factory.mktemp("cifar"), {"train": 100, "test": 50})


@pytest.fixture(scope="session")
def clothing_folder(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A piece of the clothing photos: at most 12 a class and split."""
    limits = {"train": 12, "validation": 6, "test": 6}
    return _unpack(shared_data / "clothing.tar", tmp_path_factory.mktemp("clothing"), limits)


def _unpack(archive: Path, target: Path, limits: dict[str, int]) -> Path:
    taken: dict[str, int] = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            folder = os.path.dirname(member.name).removeprefix("./")
            split = folder.split("/")[0]
            if not member.isfile() or split not in limits or taken.get(folder, 0) >= limits[split]:
                continue
            taken[folder] = taken.get(folder, 0) + 1
            tar.extract(member, target, filter="data")
    return target
