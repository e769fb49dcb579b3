"""`live` and its page: the end of a video, notes, regions, labels of any kind, undo, rude viewers, closed streams."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from stranger_cases.case import Finding, case, run_command

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 12


def write_video(path: Path, frames: int = FRAMES, side: int = 64) -> Path:
    """Write a video of noise, of which a model of digits is unsure."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (side, side))
    random = np.random.default_rng(0)
    for _ in range(frames):
        small = random.integers(0, 256, (8, 8, 3), np.uint8)
        writer.write(cv2.resize(small, (side, side), interpolation=cv2.INTER_NEAREST))
    writer.release()
    return path


def collect(folder: Path, count: int = 4) -> Path:
    """Make a folder as `live --collect` leaves it."""
    from edgeclf.dataset.collected import HEADER, INDEX

    unsorted = folder / "seen" / "unsorted"
    unsorted.mkdir(parents=True)
    (unsorted / INDEX).write_text(HEADER + "\n")
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), np.uint8)
        cv2.imwrite(str(unsorted / f"20260105-07301{number}-000.jpg"), pixels)
    return folder / "seen"


class Log:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def task(self, description: str, total: int | None) -> contextlib.AbstractContextManager[Any]:
        from edgeclf.progress import SILENT

        return SILENT.task(description, total)

    def info(self, line: str) -> None:
        self.lines.append(line)

    warn = info


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            raise TimeoutError(f"not within {seconds:g} s")
        time.sleep(0.02)


def request(url: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {"Content-Type": "application/json"} if data else {})
    try:
        with urllib.request.urlopen(asked, timeout=20) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@case("live", "end of a video: page stays, frames are sorted, files are named")
def end_of_a_video(folder: Path) -> Finding:
    import edgeclf

    log, stop, early, ends = Log(), threading.Event(), [], []
    video = str(write_video(folder / "street.avi"))
    settings = {"camera": video, "every_frame": True, "window": False, "web": 0, "stay": True}
    files = {"record": str(folder / "seen.mkv"), "collect": str(folder / "seen")}

    def work() -> None:
        ends.append(edgeclf.live("digits", stop=stop, at_end=early.append, progress=log, **settings, **files))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        wait_for(lambda: any("has ended" in line for line in log.lines))
        page = next(line.removeprefix("page: ") for line in log.lines if line.startswith("page: "))
        source = json.loads(request(page + "api/state")[1])["source"]
        images = json.loads(request(page + "api/collected")[1])["images"]
        code, _ = request(page + "api/collected/label", {"names": [images[0]["name"]], "label": "3"})
    finally:
        stop.set()
        thread.join(20)
    summary = ends[0]
    found = (
        source["status"],
        code,
        summary.recording == files["record"] and Path(files["record"]).exists(),
        summary.collected.folder == files["collect"],
        summary.collected.waiting == len(images) - 1,
        summary.frames_classified,
    )
    expected = ("ended", 200, True, True, True, FRAMES)
    return Finding(str(expected), str(found), found == expected)


@case("live", "notes of a model whose input range is measured")
def notes(folder: Path) -> Finding:
    sys.path.insert(0, str(ROOT / "tests"))
    from linear_models import SIDE, write_float_model

    import edgeclf

    weights = np.random.default_rng(0).normal(size=(10, SIDE * SIDE * 3))
    model = write_float_model(folder / "foreign.tflite", weights, np.zeros(10))
    done = run_command(
        "live", model, "--camera", write_video(folder / "a.avi"), "--every-frame", "--no-window", "--json"
    )
    *results, last = [json.loads(line) for line in done.stdout.splitlines()]
    noted = next((one["notes"] for one in reversed(results) if "notes" in one), [])
    summary = last["summary"]["notes"]
    right = bool(summary) and noted == summary and all(note in done.stderr for note in summary)
    assert edgeclf.Classifier(model).input_range is None  # nothing in the file says it
    return Finding("in log, JSON lines and summary", "; ".join(summary) or "nothing", right)


@case("live", "region outside the picture")
def region(folder: Path) -> Finding:
    video = write_video(folder / "a.avi")
    found = []
    for roi in ("0.5,0.5,0.6,0.5", "60,0,10,10", "0,0,64,64"):
        done = run_command("live", "digits", "--camera", video, "--every-frame", "--no-window", "--quiet", "--roi", roi)
        found.append((done.code, "beyond the picture" in done.stderr))
    expected = [(2, True), (2, True), (0, False)]
    return Finding(str(expected), str(found), found == expected)


@case("collected", "labels with slashes, of 300 characters, with signs that FAT lacks")
def any_label(folder: Path) -> Finding:
    from edgeclf.dataset.auditing import audit
    from edgeclf.streaming.collection.collected import Collected

    labels = ["t-shirt/top", "x" * 300, 'a:b*c?"d"', "../up"]
    seen = collect(folder, len(labels))
    collected = Collected(seen, labels)
    for image, label in zip(collected.pending(9), labels, strict=True):
        collected.label(image.name, label)
    folders = [path.name for path in seen.iterdir() if path.name != "unsorted"]
    legal = all(not set(name) & set('"*/:<>?\\|') and len(name.encode()) <= 255 for name in folders)
    classes = audit(seen).classes
    right = legal and classes == tuple(sorted(labels)) and len(folders) == len(labels)
    return Finding(f"{len(labels)} classes by their names", f"{len(classes)}: {folders[0]}, …", right)


@case("collected", "sorted and deleted by mistake, seen after a restart")
def undo(folder: Path) -> Finding:
    from edgeclf.streaming.collection.collected import Collected

    seen = collect(folder)
    names = [image.name for image in Collected(seen, ()).pending(9)]
    before = {name: Collected(seen, ()).jpeg(name) for name in names}
    Collected(seen, ()).label(names[:2], "cat")
    Collected(seen, ()).discard(names[2:])
    again = Collected(seen, ())
    for decision in again.decisions(9):
        again.undo(decision.id)
    after = {image.name: again.jpeg(image.name) for image in again.pending(9)}
    counted = run_command("collected", seen, "--json").document
    found = after == before, counted["waiting"], counted["classes"]
    return Finding("(True, 4, {})", str(found), found == (True, 4, {}))


@case("page", "URL of 70 kB, and a viewer who leaves while posting")
def rude_viewers(folder: Path) -> Finding:
    from edgeclf.streaming.collection.collected import Collected
    from edgeclf.streaming.loop.state import LiveState
    from edgeclf.streaming.page.server import WebView
    from edgeclf.streaming.supervision.problems import Problems

    state = LiveState("digits", (), "0", Problems())
    view = WebView(state, host="127.0.0.1", port=0, collected=Collected(collect(folder), ()))
    view.start()
    try:
        with socket.create_connection(("127.0.0.1", view.port), timeout=20) as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(b"GET /?x=" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
            status = connection.recv(12).decode()
        with socket.create_connection(("127.0.0.1", view.port), timeout=20) as connection:
            head = b"POST /api/collected/a/label HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            connection.sendall(head + b"Content-Length: 20\r\n\r\n{")
        wait_for(lambda: request(view.url)[0] == 200)
        time.sleep(0.2)
        found = status.rpartition(" ")[2] in ("414", "431"), state.problems.ever()
    finally:
        view.close()
    return Finding("refused in a line; no problem", f"{status}; {found[1] or 'no problem'}", found == (True, {}))


@case("page", "token on a phone: the QR code, read by OpenCV")
def code(folder: Path) -> Finding:
    from edgeclf.streaming.page.qr_code import draw_code

    url = "http://192.168.178.20:8765/?token=" + "aB3_" * 11
    rows = draw_code(url)
    if rows is None:
        return Finding("no code without segno, and no error", "none", True)
    dark = {"█": (1, 1), "▀": (1, 0), "▄": (0, 1), " ": (0, 0)}
    modules = np.array([[dark[sign][half] for sign in row] for row in rows for half in (0, 1)], np.uint8)
    picture = np.pad(np.kron(1 - modules, np.ones((8, 8), np.uint8)) * 255, 32, constant_values=255)
    text = cv2.QRCodeDetector().detectAndDecode(picture.astype(np.uint8))[0]
    return Finding(url, text, text == url)


@case("streams", "closed stdout and stderr, a reader who leaves")
def closed_streams(folder: Path) -> Finding:
    command = f'set -o pipefail; edgeclf() {{ "{sys.executable}" -m edgeclf "$@"; }}; '
    lines = {
        "edgeclf verify digits >&-": (0, ""),
        "edgeclf inspect nothere 2>&-": (2, ""),
        "edgeclf inspect digits | true": (1, ""),
    }
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": folder}
    started = {line: subprocess.Popen(["bash", "-c", command + line], **pipes) for line in lines}
    found = {}
    for line, process in started.items():
        stdout, stderr = process.communicate(timeout=60)
        found[line] = process.returncode, stdout + ("Traceback" if "Traceback" in stderr else "")
    return Finding("0, 2, 1; no traceback", ", ".join(str(one[0]) for one in found.values()), found == lines)
