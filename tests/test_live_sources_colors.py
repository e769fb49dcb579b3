"""A red and a blue card through every kind of source: the label is that of `predict`, and no bit is lost on the way."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import live_picamera2
import numpy as np
import pytest
from live_cards import LABEL_OF, card, first_shot, label_of_file, label_of_frame, red_or_blue, write_video
from live_servers import MjpegServer, rtsp_available, rtsp_server
from live_v4l2 import plugged_in
from presence import need

from edgeclf.inference.classifier import Classifier
from edgeclf.streaming.camera.frame import Shot
from edgeclf.streaming.camera.source import Source
from edgeclf.streaming.camera.sources.recording import write_recording
from edgeclf.streaming.camera.sources.registry import choose_source
from edgeclf.streaming.camera.sources.replay import ReplaySource

Opener = Callable[[str, Path, pytest.MonkeyPatch], contextlib.AbstractContextManager[Source]]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    return red_or_blue(tmp_path_factory.mktemp("model"))


@contextlib.contextmanager
def lossless_video(color: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    yield choose_source(str(write_video(folder / "film.mkv", [card(color)] * 3)))


@contextlib.contextmanager
def mjpg_video(color: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    yield choose_source(str(write_video(folder / "film.avi", [card(color)] * 3, codec="MJPG")))


@contextlib.contextmanager
def mp4_video(color: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    yield choose_source(str(write_video(folder / "film.mp4", [card(color)] * 3, codec="mp4v")))


@contextlib.contextmanager
def png_folder(color: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    cv2.imwrite(str(folder / "card.png"), card(color))
    yield choose_source(str(folder))


@contextlib.contextmanager
def jpeg_image(color: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    cv2.imwrite(str(folder / "card.jpg"), card(color))
    yield choose_source(str(folder / "card.jpg"))


@contextlib.contextmanager
def replay(color: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    yield ReplaySource([card(color)])


@contextlib.contextmanager
def recording(color: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    write_recording(folder / "session", [Shot(card(color), 0.0)])
    yield choose_source(str(folder / "session"))


@contextlib.contextmanager
def usb_camera(color: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    monkeypatch.setattr(cv2, "VideoCapture", plugged_in(card(color)))
    yield choose_source("/dev/null", size=(64, 48))


@contextlib.contextmanager
def csi_camera(color: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    (folder / "picamera2.py").write_text("from live_picamera2 import Picamera2\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "picamera2", raising=False)
    monkeypatch.setitem(live_picamera2.SCENE, "pixels", np.ascontiguousarray(card(color)[..., ::-1]))
    yield choose_source("picamera2", size=(64, 48))
    sys.modules.pop("picamera2", None)


@contextlib.contextmanager
def mjpeg_over_http(color: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    with MjpegServer([card(color)]) as server:
        yield choose_source(server.address)


@contextlib.contextmanager
def rtsp(color: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    need(rtsp_available(), "GStreamer's RTSP server (apt: python3-gi gir1.2-gst-rtsp-server-1.0)")
    shape = "video/x-raw,width=64,height=48,framerate=30/1"
    pipeline = f"videotestsrc is-live=true pattern={color} ! {shape} ! vp8enc deadline=1 ! rtpvp8pay name=pay0"
    with rtsp_server(pipeline) as address:
        yield choose_source(address)


@contextlib.contextmanager
def gstreamer(color: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    need(shutil.which("gst-launch-1.0") is not None, "gst-launch-1.0 (apt: gstreamer1.0-tools, -plugins-base, -good)")
    cv2.imwrite(str(folder / "card.png"), card(color))
    yield choose_source(f"filesrc location={folder}/card.png ! pngdec ! imagefreeze num-buffers=3")


LOSSLESS: tuple[Opener, ...] = (lossless_video, png_folder, replay, recording, csi_camera, gstreamer)
LOSSY: tuple[Opener, ...] = (mjpg_video, mp4_video, jpeg_image, usb_camera, mjpeg_over_http, rtsp)


@pytest.mark.parametrize("color", ["red", "blue"])
@pytest.mark.parametrize("kind", [*LOSSLESS, *LOSSY], ids=lambda kind: kind.__name__)
def test_a_card_gets_the_label_that_predict_gives(
    kind: Opener, color: str, classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "source").mkdir()
    with kind(color, tmp_path / "source", monkeypatch) as source:
        pixels = first_shot(source).pixels
    assert pixels.dtype == np.uint8
    assert pixels.shape == (48, 64, 3)
    live = label_of_frame(classifier, pixels)
    assert live == label_of_file(classifier, pixels, tmp_path)
    assert live[0] == LABEL_OF[color]
    assert live[1] > 0.95
    if kind in LOSSLESS:
        assert np.array_equal(pixels, card(color))
