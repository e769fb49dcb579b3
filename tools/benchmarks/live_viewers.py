"""Do viewers, and strangers, slow the live loop?

    python tools/benchmarks/live_viewers.py [--model cifar10] [--rounds 7] [--seconds 8] [--viewers 10]

The loop runs on a replay of 640x480 pictures and serves its page; it takes turns between nobody watching, ten browsers
watching (each with the picture and the events; one of them reads 1 kB/s), and strangers: 1,000 idle connections beside
requests of garbage. They run in a process of their own, so that the loop pays for serving them and for nothing else,
apart from the processor cores that they share with it here.

camera    a 30 frames/s replay, like a camera's. The cost must stay below 5 % of the results, or exit status 1.
flat out  frames as fast as the loop takes them, which no camera gives: what serving costs where no core is free.

Cost: the median over the rounds of 1 - results a second with / without, taken turn by turn.
Prints a table, and with --report FILE writes all figures as JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import selectors
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from edgeclf import Classifier
from edgeclf.streaming.camera.capture import Capture
from edgeclf.streaming.camera.sources.replay import ReplaySource
from edgeclf.streaming.loop.loop import Loop
from edgeclf.streaming.loop.result import Result
from edgeclf.streaming.loop.settings import LiveSettings
from edgeclf.streaming.loop.state import LiveState
from edgeclf.streaming.page.server import WebView
from edgeclf.streaming.supervision.problems import Problems

RATE = 30.0
MOST_COST = 0.05
IDLE = 1000
SLOW_BYTES_PER_SECOND = 1000
REOPEN_SECONDS = 5.0
GARBAGE = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    b"GET /" + b"a" * 40_000,
    b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"POST /api/state HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\n" + b"a" * 10_000,
    b"GET /api/state HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"\r\n" * 1000,
)


class Ages:
    """Counts results and keeps how old they were."""

    def __init__(self) -> None:
        self.ages: list[float] = []

    def take(self, result: Result, picture: object) -> None:
        self.ages.append(result.frame_age_ms)

    def close(self) -> None:
        pass


def pictures(count: int = 64) -> list[np.ndarray]:
    """uint8[480, 640, 3] each: soft colors, fine grain and a disc that moves, some 40 kB as JPEG."""
    random = np.random.default_rng(0)
    soft = cv2.resize(random.integers(40, 215, (12, 16, 3), np.uint8), (640, 480), interpolation=cv2.INTER_CUBIC)
    made = []
    for number in range(count):
        grain = random.integers(0, 9, soft.shape, np.uint8)
        made.append(cv2.circle(cv2.add(soft, grain), (40 + number * 9 % 560, 240), 60, (40, 60, 220), -1))
    return made


@contextlib.contextmanager
def running(model: str, flat_out: bool) -> Iterator[tuple[WebView, Ages, LiveState]]:
    """A loop that serves its page."""
    frames, classifier, ages = pictures(), Classifier(model), Ages()
    source = ReplaySource(frames, rate=RATE, flat_out=flat_out, loop_count=10**7)
    capture = Capture(lambda: source, every_frame=flat_out)
    state = LiveState("benchmark", classifier.labels, source.name, Problems())
    loop = Loop(capture, classifier, state, LiveSettings(every_frame=flat_out), outputs=[ages])
    view = WebView(state, host="127.0.0.1", port=0)
    view.start()
    stop = threading.Event()
    thread = threading.Thread(target=loop.run, args=(stop,), name="edgeclf loop", daemon=True)
    thread.start()
    while state.latest() is None:
        time.sleep(0.01)
    try:
        yield view, ages, state
    finally:
        stop.set()
        thread.join()
        capture.close()
        view.close()


@contextlib.contextmanager
def guests(kind: str, port: int, viewers: int) -> Iterator[None]:
    """A process that runs `kind` until the block ends; what it saw is passed on to stderr."""
    if kind == "nobody":
        yield
        return
    command = [sys.executable, __file__, "--guests", kind, "--port", str(port), "--viewers", str(viewers)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        if process.stdout.readline() != "here\n":
            raise SystemExit(f"the {kind} did not come")
        yield
    finally:
        process.stdin.close()
        print(f"    {kind}: {process.stdout.read().strip()}", file=sys.stderr)
        process.wait()


def measure(model: str, flat_out: bool, options: argparse.Namespace) -> dict:
    """Results a second and frame ages with each kind of guests, taking turns."""
    kinds = ["nobody", "viewers", "strangers"]
    rates: dict[str, list[float]] = {kind: [] for kind in kinds}
    ages: dict[str, list[float]] = {kind: [] for kind in kinds}
    busy: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    with running(model, flat_out) as (view, taken, state):
        time.sleep(1.0)
        before = resources()
        for turn in range(options.rounds):
            for kind in kinds if turn % 2 == 0 else kinds[::-1]:
                with guests(kind, view.port, options.viewers):
                    first, began, spent = len(taken.ages), time.perf_counter(), thread_seconds()
                    time.sleep(options.seconds)
                    last, seconds = len(taken.ages), time.perf_counter() - began
                    shares = {name: (used - spent.get(name, 0)) / seconds for name, used in thread_seconds().items()}
                rates[kind].append((last - first) / seconds)
                busy[kind].append(shares)
                ages[kind] += taken.ages[first:last]
                print(f"  round {turn + 1}: {kind:10} {rates[kind][-1]:8.1f} results/s", file=sys.stderr)
                taken.ages.clear()
        time.sleep(1.0)
        after = resources()
        troubles = state.problems.ever()
    told: dict = {"resources": {"before": before, "after": after}, "problems": troubles}
    for kind in kinds:
        told[kind] = {
            "results_per_second": round(statistics.median(rates[kind]), 2),
            "frame_age_ms": {
                "median": round(float(np.median(ages[kind])), 3),
                "p95": round(float(np.quantile(ages[kind], 0.95)), 3),
                "max": round(max(ages[kind]), 3),
            },
            "cores": {
                name: round(statistics.median(shares.get(name, 0.0) for shares in busy[kind]), 3)
                for name in ("edgeclf loop", "edgeclf web", "edgeclf web pictures_0")
            },
            "rounds": [round(rate, 2) for rate in rates[kind]],
        }
        costs = [1 - rate / alone for rate, alone in zip(rates[kind], rates["nobody"], strict=True)]
        told[kind]["cost"] = round(statistics.median(costs), 4)
    return told


def thread_seconds() -> dict[str, float]:
    """Processor seconds that each Python thread has used."""
    told = {}
    for thread in threading.enumerate():
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/self/task/{thread.native_id}/stat").read_text().rpartition(")")[2].split()
            told[thread.name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return told


def resources() -> dict[str, int]:
    """Anonymous memory, threads and descriptors of this process."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "rss_anon_kb": int(fields["RssAnon"].split()[0]),
        "threads": int(fields["Threads"]),
        "descriptors": len(os.listdir("/proc/self/fd")),
    }


class Reader:
    """Reads what one connection sends, at full speed or at so many bytes a second."""

    def __init__(self, port: int, path: str, bytes_per_second: int | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        self.path, self.bytes_per_second = path, bytes_per_second
        self.marks = self.count = 0
        self.due = time.monotonic()

    def read(self) -> None:
        if self.bytes_per_second is not None:
            if time.monotonic() < self.due:
                return
            self.due += 0.1
        piece = self.socket.recv(self.bytes_per_second // 10 if self.bytes_per_second else 1 << 18)
        if not piece:
            raise SystemExit(f"{self.path} ended")
        self.count += len(piece)
        self.marks += piece.count(b"X-Sequence: " if "mjpg" in self.path else b"data: ")


def watch(port: int, viewers: int) -> None:
    """Browsers: each with picture and events; the last one is slow. Tells how much the others saw."""
    readers = [Reader(port, "/stream.mjpg") for _ in range(viewers - 1)]
    readers += [Reader(port, "/api/events") for _ in range(viewers)]
    slow = Reader(port, "/stream.mjpg", SLOW_BYTES_PER_SECOND)
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        for reader in readers:
            reader.socket.setblocking(False)
            selector.register(reader.socket, selectors.EVENT_READ, reader)
        print("here", flush=True)
        began = time.monotonic()
        while True:
            for key, _ in selector.select(0.05):
                if key.data is None:
                    seconds = time.monotonic() - began
                    shown = [reader.marks / seconds for reader in readers[: viewers - 1]]
                    heard = [reader.marks / seconds for reader in readers[viewers - 1 :]]
                    print(
                        f"pictures/s {min(shown):.1f} to {max(shown):.1f}, events/s {min(heard):.1f} to "
                        f"{max(heard):.1f}, the slow one {slow.count / seconds:.0f} bytes/s"
                    )
                    return
                key.data.read()
            slow.read()


def pester(port: int) -> None:
    """Strangers: idle connections, opened anew some seconds after they were closed, and garbage, again and again."""
    idle: list[socket.socket] = []
    requests = reopened = 0
    looked = time.monotonic()
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    while not over.is_set():
        if time.monotonic() - looked > REOPEN_SECONDS:
            looked = time.monotonic()
            for one in [one for one in idle if has_ended(one)]:
                idle.remove(one)
                one.close()
                reopened += 1
        while len(idle) < IDLE:
            idle.append(socket.create_connection(("127.0.0.1", port)))
        if requests == 0:
            print("here", flush=True)
        for garbage in GARBAGE:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
                connection.sendall(garbage)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
            requests += 1
        over.wait(0.1)
    print(f"{requests} requests of garbage, {len(idle)} idle connections, {reopened} opened anew")


def has_ended(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="cifar10")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--viewers", type=int, default=10)
    parser.add_argument("--report", type=Path)
    parser.add_argument("--guests", choices=["viewers", "strangers"], help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    if options.guests == "viewers":
        watch(options.port, options.viewers)
        return 0
    if options.guests == "strangers":
        pester(options.port)
        return 0
    told = {}
    for name, flat_out in (("camera", False), ("flat out", True)):
        print(name, file=sys.stderr)
        told[name] = measure(options.model, flat_out, options)
    title = f"{'load':9} {'who':10} {'results/s':>10} {'cost':>7} {'age median':>11} {'p95':>9} {'max':>9}"
    print(f"{title}   of a core: loop, server, encoder")
    for name, figures in told.items():
        for kind in ("nobody", "viewers", "strangers"):
            row = figures[kind]
            age = row["frame_age_ms"]
            print(
                f"{name:9} {kind:10} {row['results_per_second']:10.1f} {row['cost']:7.1%} "
                f"{age['median']:8.2f} ms {age['p95']:6.2f} ms {age['max']:6.1f} ms   "
                + " ".join(f"{share:6.1%}" for share in row["cores"].values())
            )
        print(f"{name:9} before {figures['resources']['before']}, after {figures['resources']['after']}")
    if options.report:
        options.report.write_text(json.dumps(told, indent=1) + "\n")
    return 0 if max(told["camera"][kind]["cost"] for kind in ("viewers", "strangers")) < MOST_COST else 1


if __name__ == "__main__":
    sys.exit(main())
