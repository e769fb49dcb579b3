"""USB cameras, and CSI cameras on a Raspberry Pi, against stand-ins for their drivers."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import live_picamera2
import numpy as np
import pytest
from live_cards import card, first_shot
from live_v4l2 import MJPG, UsbCamera, plugged_in

from edgeclf.errors import InputError
from edgeclf.streaming.camera.source import SourceError
from edgeclf.streaming.camera.sources.registry import choose_source

DEVICE = "/dev/null"
"""A device that exists everywhere, may be opened, and is no camera."""


@pytest.fixture
def usb(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[UsbCamera]]:
    """A USB camera that sees a red card."""

    camera_type = plugged_in(card("red", 480, 640))
    monkeypatch.setattr(cv2, "VideoCapture", camera_type)
    monkeypatch.setenv("PATH", "/nonexistent")
    yield camera_type
    assert not any(camera.is_open for camera in camera_type.opened), "a camera was left open"
    assert not any(camera.released_inside for camera in camera_type.opened), "released while a call was inside"


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, object]]:
    """A board with picamera2, whose camera sees a blue card."""
    (tmp_path / "board").mkdir()
    (tmp_path / "board" / "picamera2.py").write_text("from live_picamera2 import Picamera2\n")
    monkeypatch.syspath_prepend(tmp_path / "board")
    monkeypatch.delitem(sys.modules, "picamera2", raising=False)
    rgb = np.ascontiguousarray(card("blue")[..., ::-1])
    for key, value in {"pixels": rgb, "cameras": 1, "failure": None, "dislodged": False}.items():
        monkeypatch.setitem(live_picamera2.SCENE, key, value)
    yield live_picamera2.SCENE
    sys.modules.pop("picamera2", None)
    left = len(live_picamera2.OPEN)
    live_picamera2.OPEN.clear()
    assert not left, "a camera was left open"


# USB


def test_a_usb_camera_is_asked_for_mjpg_then_size_then_rate(usb: type[UsbCamera]) -> None:
    source = choose_source(DEVICE, size=(1280, 720), rate=60)
    source.open()
    (camera,) = usb.opened
    assert camera.settings[cv2.CAP_PROP_FOURCC] == MJPG
    assert camera.get(cv2.CAP_PROP_FPS) == 60
    before = time.monotonic()
    shots = [source.read() for _ in range(3)]
    source.close()
    assert [shot.pixels.shape for shot in shots] == [(720, 1280, 3)] * 3
    assert shots[0].captured <= before <= shots[1].captured <= shots[2].captured <= time.monotonic()


def test_a_usb_camera_has_a_usual_size_and_full_rate(usb: type[UsbCamera]) -> None:
    assert first_shot(choose_source(DEVICE)).pixels.shape == (480, 640, 3)
    assert usb.opened[0].get(cv2.CAP_PROP_FPS) == 30


def test_a_gray_camera_gives_three_channels(usb: type[UsbCamera]) -> None:
    usb.gray = True
    pixels = first_shot(choose_source(DEVICE)).pixels
    assert pixels.shape == (480, 640, 3)
    assert np.array_equal(pixels[..., 0], pixels[..., 2])


@pytest.mark.parametrize(
    ("opens", "line"),
    [(False, "cannot be opened as a camera; does another program use it?"), (True, "opens, but gives no frames")],
)
def test_a_camera_without_frames_and_without_libcamera(usb: type[UsbCamera], opens: bool, line: str) -> None:
    usb.opens, usb.scene = opens, None
    with pytest.raises(SourceError) as raised:
        choose_source(DEVICE).open()
    assert str(raised.value) == line


def test_a_camera_that_is_unplugged(usb: type[UsbCamera]) -> None:
    source = choose_source(DEVICE)
    source.open()
    source.read()
    usb.scene = None
    with pytest.raises(SourceError, match="gives no more frames"):
        source.read()
    source.close()
    usb.scene = card("red", 480, 640)  # plugged in again: the same source opens again
    assert first_shot(source).pixels.shape == (480, 640, 3)


def test_a_camera_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"/dev/video93: no such camera; (cameras here: |no camera is connected)"):
        choose_source("93").open()


def test_a_device_that_is_no_camera(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SourceError, match="cannot be opened as a camera"):
        choose_source(DEVICE).open()
    assert capfd.readouterr().err == ""


def test_a_camera_that_may_not_be_opened(usb: type[UsbCamera], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match=r"permission denied; run: sudo usermod -aG video \$USER"):
        choose_source(DEVICE).open()


def test_closing_a_camera_that_hangs_does_not_wait_and_does_not_crash(usb: type[UsbCamera]) -> None:
    source = choose_source(DEVICE)
    source.open()
    source.read()
    usb.still.clear()
    lines: list[str] = []

    def read() -> None:
        try:
            source.read()
        except SourceError as error:
            lines.append(str(error))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not usb.opened[0].inside and time.monotonic() < deadline:
        pass
    source.close()
    assert usb.opened[0].is_open  # the driver still has it
    usb.still.set()
    thread.join(10)
    assert lines == ["was closed"]
    assert not usb.opened[0].is_open


# CSI


def test_a_csi_camera_gives_blue_for_blue(board: dict[str, object]) -> None:
    before = time.monotonic()
    shot = first_shot(choose_source("picamera2", size=(64, 48), rate=15))
    assert np.array_equal(shot.pixels, card("blue"))
    assert shot.captured == pytest.approx(time.monotonic() - 0.02, abs=5)
    assert shot.captured < time.monotonic() - 0.019  # when the sensor saw it, not when it was fetched
    assert shot.captured >= before - 0.021


def test_a_csi_camera_is_asked_for_size_and_rate(board: dict[str, object]) -> None:
    source = choose_source("picamera2:0", size=(1280, 960), rate=15)
    source.open()
    (camera,) = live_picamera2.OPEN
    source.close()
    assert camera.configuration == {
        "main": {"format": "RGB888", "size": (1280, 960)},
        "controls": {"FrameRate": 15},
    }


def test_a_csi_camera_that_is_not_there(board: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"sees no camera 3 \(it sees 0 \(imx700\)\)"):
        choose_source("picamera2:3").open()


def test_a_csi_camera_in_use_says_so_and_is_free_afterwards(board: dict[str, object]) -> None:
    first, second = choose_source("picamera2"), choose_source("picamera2")
    first.open()
    with pytest.raises(SourceError, match="libcamera: Failed to acquire camera: Device or resource busy"):
        second.open()
    first.close()
    assert first_shot(second).pixels.shape == (480, 640, 3)


def test_a_csi_camera_that_fails_is_closed(board: dict[str, object]) -> None:
    source = choose_source("picamera2")
    source.open()
    board["failure"] = RuntimeError("Camera frontend\nhas timed out")
    with pytest.raises(SourceError, match="^libcamera: Camera frontend has timed out$"):
        source.read()
    source.close()
    with pytest.raises(SourceError, match="was closed"):
        source.read()


def test_a_csi_camera_whose_cable_slips_is_free_again(board: dict[str, object]) -> None:
    source = choose_source("picamera2")
    source.open()
    board["dislodged"] = True
    with pytest.raises(SourceError, match="gives no frame within 3 s; is its cable in"):
        source.read()
    source.close()
    board["dislodged"] = False
    assert first_shot(choose_source("picamera2")).pixels.shape == (480, 640, 3)


def test_without_picamera2_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "picamera2", raising=False)
    with pytest.raises(InputError, match="sudo apt install python3-picamera2.*--system-site-packages"):
        choose_source("picamera2").open()


def test_a_picamera2_that_does_not_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "picamera2.py").write_text("raise ValueError('numpy.dtype size changed,\\nmay indicate')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "picamera2", raising=False)
    with pytest.raises(InputError, match="cannot be imported .numpy.dtype size changed, may indicate.") as raised:
        choose_source("picamera2").open()
    assert "\n" not in str(raised.value)


# a CSI camera behind a V4L2 node


def test_picamera2_takes_over_where_the_node_gives_nothing(usb: type[UsbCamera], board: dict[str, object]) -> None:
    usb.scene = None
    lines: list[str] = []
    shot = first_shot(choose_source(DEVICE, size=(64, 48), log=lines.append))
    assert np.array_equal(shot.pixels, card("blue"))
    assert lines == [f"{DEVICE}: opens, but gives no frames; trying picamera2"]
    assert not usb.opened[0].is_open


def test_a_usb_camera_that_fails_is_not_replaced_by_a_csi_camera(
    usb: type[UsbCamera], board: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeclf.streaming.camera.sources.usb_camera.is_usb", lambda node: True)
    usb.scene = None
    with pytest.raises(SourceError, match="opens, but gives no frames"):
        choose_source(DEVICE).open()


def test_a_number_is_that_of_the_csi_camera_too(
    usb: type[UsbCamera], board: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    usb.scene = None
    board["cameras"] = 2
    monkeypatch.setattr(os.path, "realpath", lambda path, **_: DEVICE if path == "/dev/video1" else path)
    source = choose_source("1")
    source.open()
    assert live_picamera2.OPEN[0].camera_num == 1
    source.close()


def test_the_node_is_used_where_it_gives_frames(usb: type[UsbCamera], board: dict[str, object]) -> None:
    pixels = first_shot(choose_source(DEVICE)).pixels
    assert pixels[0, 0, 2] > 200  # the USB camera's card is red
    assert not live_picamera2.OPEN


def test_libcamera_without_picamera2_says_what_to_install(
    usb: type[UsbCamera], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rpicam-hello").write_text("#!/bin/sh\n")
    (tmp_path / "rpicam-hello").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    usb.scene = None
    with pytest.raises(
        InputError, match="gives no frames; for a CSI camera run: sudo apt install python3-picamera2.*--system-site"
    ):
        choose_source(DEVICE).open()
