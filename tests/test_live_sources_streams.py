"""Streams from the network, on loopback, and GStreamer pipelines."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from live_cards import Picture, all_shots, card, first_shot, read_on, write_video
from live_servers import MjpegServer
from presence import need

from edgeclf.errors import InputError
from edgeclf.streaming.camera.source import EndOfSourceError, Source, SourceError
from edgeclf.streaming.camera.sources.gstreamer import make_gstreamer_source
from edgeclf.streaming.camera.sources.registry import choose_source

SLOW_PIPELINE = "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=1/1000"
"""Its first frame comes at once, its second after a quarter of an hour."""


@pytest.fixture
def gst() -> None:
    need(shutil.which("gst-launch-1.0") is not None, "gst-launch-1.0 (apt: gstreamer1.0-tools, -plugins-base, -good)")


def children() -> set[int]:
    """Pipelines that this process has started."""
    listed = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return {int(number) for path in listed for number in path.read_text().split()}


def gone(process: int, seconds: float = 10.0) -> bool:
    """Whether a process is, or soon will be, no more."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":  # its new parent may be slow to notice
            return True
    return False


# MJPEG over HTTP


def test_mjpeg_gives_the_pictures_that_were_sent() -> None:
    with MjpegServer([card("red"), card("blue")]) as server:
        source = choose_source(server.address)
        source.open()
        try:
            shots = [source.read() for _ in range(6)]
        finally:
            source.close()
    sent = [cv2.imdecode(np.frombuffer(part, np.uint8), cv2.IMREAD_COLOR).astype(int) for part in server.parts]
    # FFmpeg and OpenCV decode JPEG with other roundings, and scale colours of half the size otherwise.
    for number, shot in enumerate(shots):
        first = 0 if shots[0].pixels[0, 0, 2] > 128 else 1
        assert np.abs(shot.pixels.astype(int) - sent[(number + first) % 2]).mean() < 3


def test_a_stream_that_hangs_up_ends_and_opens_again() -> None:
    with MjpegServer([card("red")]) as server:
        source = choose_source(server.address)
        assert source.endless
        source.open()
        source.read()
        server.hang_up.set()
        with pytest.raises((EndOfSourceError, SourceError)):
            read_on(source)
        source.close()
        server.hang_up.clear()
        assert first_shot(source).pixels.shape == (48, 64, 3)
        assert server.viewers >= 2


@pytest.mark.slow
def test_a_stream_that_falls_silent_is_told() -> None:
    with MjpegServer([card("red")]) as server:
        source = choose_source(server.address)
        source.open()
        source.read()
        server.paused.set()
        with pytest.raises(SourceError, match="no data for 4 s"):
            read_on(source)
        source.close()


def test_closing_a_silent_stream_does_not_wait() -> None:
    with MjpegServer([card("red")]) as server:
        source = choose_source(server.address)
        source.open()
        source.read()
        server.paused.set()
        errors: list[Exception] = []

        def read() -> None:
            try:
                while True:
                    source.read()
            except (SourceError, EndOfSourceError) as error:
                errors.append(error)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        source.close()
        server.hang_up.set()
        server._stopping.set()
        thread.join(20)
        assert str(errors[0]) == "was closed"


def test_nobody_listens(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        source = choose_source(f"rtsp://me:secret@127.0.0.1:{taken.getsockname()[1]}/stream?pass=secret")
        with pytest.raises(SourceError, match="cannot be opened: nothing listens there") as raised:
            source.open()
    assert "secret" not in str(raised.value) + source.name
    assert capfd.readouterr().err == ""


# GStreamer in a child process


@pytest.mark.parametrize(("width", "height"), [(64, 48), (30, 21), (33, 7), (1, 1)])
def test_a_pipeline_gives_its_pictures_bit_for_bit(gst: None, width: int, height: int) -> None:
    # Rows of 30, 33 and 1 pixels are padded on their way.
    shape = f"video/x-raw,format=RGB,width={width},height={height}"
    pixels = first_shot(
        make_gstreamer_source(f"videotestsrc is-live=true pattern=red ! {shape} ! appsink drop=true", in_opencv=False)
    ).pixels
    assert np.array_equal(pixels, np.full((height, width, 3), (0, 0, 255), np.uint8))


def test_a_pipeline_through_the_camera_option(gst: None) -> None:
    source = choose_source("videotestsrc is-live=true pattern=blue ! video/x-raw,format=RGB,width=20,height=10")
    assert source.endless
    assert source.name == "videotestsrc is-live=true pattern=blue ! video/x-raw,form..."
    assert np.array_equal(first_shot(source).pixels, np.full((10, 20, 3), (255, 0, 0), np.uint8))


def test_a_pipeline_that_ends(gst: None, tmp_path: Path) -> None:
    pictures: list[Picture] = [np.full((48, 64, 3), 8 * number, np.uint8) for number in range(30)]
    path = write_video(tmp_path / "film.avi", pictures, codec="MJPG")
    pipeline = f"filesrc location='{path}' ! avidemux ! jpegdec"
    source = choose_source(pipeline, every_frame=True)
    assert not source.endless
    shots = all_shots(source)
    assert [round(shot.pixels.mean() / 8) for shot in shots] == list(range(30))
    began = time.monotonic()
    assert len(all_shots(choose_source(pipeline))) <= 30
    assert time.monotonic() - began >= 29 / 25 - 0.1  # as long as the film is


@pytest.mark.parametrize(
    ("pipeline", "kind", "words"),
    [
        ("nosuchsrc ! videoconvert", InputError, 'cannot make this pipeline: no element "nosuchsrc"'),
        ("videotestsrc ! fakesink", InputError, "cannot make this pipeline: could not link fakesink0"),
        ("videotestsrc pattern='red ! videoconvert", InputError, "quotes are not closed"),
        ("filesrc location=/nonexistent ! decodebin", InputError, "filesrc0: Resource not found"),
        ("tcpclientsrc host=127.0.0.1 port=1 ! jpegdec", SourceError, "Could not open resource"),
    ],
)
def test_a_bad_pipeline_is_told_in_the_words_of_gstreamer(
    gst: None, pipeline: str, kind: type[Exception], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(kind) as raised:
        make_gstreamer_source(pipeline, in_opencv=False).open()
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
    assert capfd.readouterr().err == ""


def test_a_pipeline_whose_size_is_lost_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # gst-launch sometimes sends frames and never says how large they are.
    program = tmp_path / "gst-launch-1.0"
    program.write_text(
        f"#!{sys.executable}\n"
        "import os, pathlib, sys\n"
        f"runs = pathlib.Path({str(tmp_path / 'runs')!r})\n"
        "runs.write_text(runs.read_text() + 'x' if runs.exists() else 'x')\n"
        "if len(runs.read_text()) == 2:\n"
        "    print(':edgeclf_bgr.GstPad:src: caps = video/x-raw, width=(int)4, height=(int)2', flush=True)\n"
        "while True:\n"
        "    os.write(int(sys.argv[-1].partition('=')[2]), bytes(24))\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert first_shot(make_gstreamer_source("camera ! x", in_opencv=False)).pixels.shape == (2, 4, 3)
    assert (tmp_path / "runs").read_text() == "xx"


def test_passwords_of_a_pipeline_are_not_shown(gst: None) -> None:
    pipeline = 'rtspsrc location=rtsp://me:secret1@127.0.0.1:1/x user-pw=secret2 user-id="secret 3" ! nosuchelement'
    source = choose_source(pipeline)
    with pytest.raises(InputError) as raised:
        source.open()
    assert "secret" not in source.name + str(raised.value)
    with pytest.raises(InputError) as raised:
        choose_source(f"{pipeline} ! '")
    assert "secret" not in str(raised.value)


def test_gstreamer_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(InputError, match="needs gst-launch-1.0, which is not installed; run: sudo apt install"):
        make_gstreamer_source("videotestsrc ! videoconvert", in_opencv=False)


def test_closing_ends_the_child_and_the_read(gst: None) -> None:
    before = children()
    source = choose_source(SLOW_PIPELINE)
    source.open()
    source.read()
    (child,) = children() - before
    ended: list[Exception] = []

    def read() -> None:
        try:
            source.read()
        except (SourceError, EndOfSourceError) as error:
            ended.append(error)

    # The child must not depend on the thread that opened it here, which is the one that goes on.
    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    source.close()
    thread.join(10)
    assert str(ended[0]) == "was closed"
    assert gone(child)


def test_a_pipeline_leaves_nothing_open(gst: None) -> None:
    source = choose_source("videotestsrc is-live=true ! video/x-raw,width=64,height=48")
    first_shot(source)
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(5):
        first_shot(source)
    assert len(set(os.listdir("/proc/self/fd"))) <= len(before) + 1


def test_the_child_does_not_outlive_a_process_that_is_killed(gst: None) -> None:
    need(shutil.which("setpriv") is not None, "setpriv (apt: util-linux)")
    program = (
        "import os, pathlib, sys\n"
        "from edgeclf.streaming.camera.sources.registry import choose_source\n"
        "source = choose_source(sys.argv[1]); source.open(); source.read()\n"
        "print(pathlib.Path(f'/proc/self/task/{os.getpid()}/children').read_text(), flush=True)\n"
        "source.read()\n"
    )
    command = [sys.executable, "-c", program, SLOW_PIPELINE]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert not gone(child, 0.1)
    finally:
        watchdog.cancel()
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert gone(child)


def test_pictures_that_change_their_size(gst: None, tmp_path: Path) -> None:
    for number in range(40):
        picture = card("red", 48, 64) if number < 20 else card("red", 96, 128)
        cv2.imwrite(str(tmp_path / f"{number:02d}.png"), picture)
    source: Source = choose_source(
        f"multifilesrc location={tmp_path}/%02d.png caps=image/png,framerate=50/1 ! pngdec", every_frame=True
    )
    source.open()
    try:
        assert np.array_equal(source.read().pixels, card("red"))
        with pytest.raises(SourceError, match="the size of its pictures has changed"):
            read_on(source)
    finally:
        source.close()


# GStreamer inside OpenCV


def test_opencv_runs_the_pipeline_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    class Capture:
        def open(self, place: str, backend: int, settings: list[int]) -> bool:
            asked.append((place, backend))
            return "nosuch" not in place

        def grab(self) -> bool:
            return True

        def retrieve(self) -> tuple[bool, Picture]:
            return True, card("blue")

        def isOpened(self) -> bool:
            return True

        def release(self) -> None:
            pass

    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  Video I/O:\n    GStreamer:   YES (1.22.0)\n")
    source = choose_source("libcamerasrc ! video/x-raw,width=640 ! appsink sync=false")
    assert np.array_equal(first_shot(source).pixels, card("blue"))
    place = "libcamerasrc ! video/x-raw,width=640 ! videoconvert ! video/x-raw,format=BGR ! appsink"
    assert asked == [(f"{place} max-buffers=1 drop=true sync=false", cv2.CAP_GSTREAMER)]
    with pytest.raises(SourceError, match="does not run; try it on its own: gst-launch-1.0 PIPELINE"):
        choose_source("nosuch ! videoconvert").open()
