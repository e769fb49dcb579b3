"""systemd's notifications, sent to a real datagram socket that stands in for systemd."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeclf.streaming.supervision.notify import Notifier


class Manager:
    """The end that systemd holds."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)

    def received(self) -> list[str]:
        """All messages that wait; datagrams on one machine are there when `sendto` returns."""
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@edgeclf-test-{uuid.uuid4()}"
    made = Manager(address)
    yield made
    made.close()


def test_each_state_is_one_message(manager: Manager) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": manager.address})
    notifier.ready()
    notifier.status("cat 93 %,\n30 results/s")
    notifier.status("cat\x1b[2J \u202eflim.mp4")
    notifier.stopping()
    lost = "STATUS=cat\\x1b[2J \\u202eflim.mp4"
    assert manager.received() == ["READY=1", "STATUS=cat 93 %, 30 results/s", lost, "STOPPING=1"]


def test_without_a_watchdog_beats_are_not_sent(manager: Manager) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": manager.address})
    notifier.beat()
    assert manager.received() == []


def test_the_watchdog_is_fed_three_times_within_its_time(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "9000000"})
    sent_at = []
    for hundredth in range(901):
        now = 1000.0 + hundredth / 100
        notifier.beat()
        sent_at += [round(now - 1000, 2)] * manager.received().count("WATCHDOG=1")
    assert sent_at == [0.0, 3.0, 6.0, 9.0]


@pytest.mark.parametrize(
    ("pid", "fed"), [(None, True), ("own", True), ("1", False), ("nonsense", False)], ids=["none", "own", "init", "odd"]
)
def test_a_watchdog_of_another_process_is_not_fed(manager: Manager, pid: str | None, fed: bool) -> None:
    environment = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "30000000"}
    if pid is not None:
        environment["WATCHDOG_PID"] = str(os.getpid()) if pid == "own" else pid
    Notifier.from_environment(environment).beat()
    assert manager.received() == (["WATCHDOG=1"] if fed else [])


@pytest.mark.parametrize("microseconds", ["", "0", "-5", "soon", "1e6", "٣"])
def test_a_watchdog_time_that_is_none_is_no_watchdog(manager: Manager, microseconds: str) -> None:
    Notifier.from_environment({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": microseconds}).beat()
    assert manager.received() == []


@pytest.mark.parametrize(
    "address",
    [None, "", "/", "@", "vsock:2:1234", "relative/path", "/no/such/folder/socket", "/" + 200 * "x", "@a\0\ud800"],
)
def test_no_manager_is_no_trouble(address: str | None) -> None:
    notifier = Notifier.from_environment(
        {"WATCHDOG_USEC": "1000", **({} if address is None else {"NOTIFY_SOCKET": address})}
    )
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        notifier.ready()
        notifier.status("\ud800")
        notifier.beat()
        notifier.stopping()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_manager_that_reads_nothing_holds_nobody_up(manager: Manager) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": manager.address})
    for number in range(2000):  # far more than a datagram socket keeps: a blocking send would wait here for ever
        notifier.status(f"{number}")
    waiting = manager.received()
    assert 0 < len(waiting) < 2000
    notifier.ready()
    assert manager.received() == ["READY=1"]


def test_food_that_was_lost_is_sent_again_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    address = str(tmp_path / "late")
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "60000000"})
    notifier.beat()
    manager = Manager(address)
    now = 1001.0
    notifier.beat()
    assert manager.received() == ["WATCHDOG=1"]
    now = 1020.9
    notifier.beat()
    assert manager.received() == []
    manager.close()
