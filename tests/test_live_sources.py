"""Files, folders, recordings, and what `--camera` may name."""

from __future__ import annotations

import itertools
import os
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from live_cards import Picture, all_shots, card, first_shot, write_video

from edgeclf.errors import InputError, OutputError
from edgeclf.streaming.camera.frame import Shot
from edgeclf.streaming.camera.source import EndOfSourceError, Source, SourceError, as_bgr
from edgeclf.streaming.camera.sources.recording import read_recording, write_recording
from edgeclf.streaming.camera.sources.registry import choose_source
from edgeclf.streaming.camera.sources.replay import ReplaySource


def counted(count: int) -> list[Picture]:
    """Pictures that differ in every one."""
    return [np.full((48, 64, 3), (number, 255 - number, 7), np.uint8) for number in range(count)]


def work(seconds: float) -> None:
    """What a slow network does between two frames."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        pass


def ends_reading(source: Source) -> str:
    """The line with which a read that waits ends when another thread closes the source."""
    lines: list[str] = []
    inside = threading.Event()

    def read() -> None:
        try:
            while True:
                inside.set()
                source.read()
        except (SourceError, EndOfSourceError) as error:
            lines.append(str(error))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    assert inside.wait(10)
    work(0.05)
    source.close()
    thread.join(10)
    assert not thread.is_alive()
    return lines[0]


# what --camera may name


@pytest.mark.parametrize(
    ("camera", "name", "endless"),
    [
        ("0", "/dev/video0", True),
        ("/dev/video7", "/dev/video7", True),
        ("/dev/v4l/by-id/usb-camera-index0", "/dev/v4l/by-id/usb-camera-index0", True),
        ("picamera2", "picamera2", True),
        ("picamera2:1", "picamera2:1", True),
        ("rtsp://me:se@cret@host:554/stream?token=1", "rtsp://host:554/stream?...", True),
        ("rtsp://host/user=me&password=secret&channel=1.sdp", "rtsp://host/...", True),
        ("http://host:8080/video.mjpg", "http://host:8080/video.mjpg", True),
        ("https://me:secret@host/films/cat.mp4", "https://host/films/cat.mp4", False),
    ],
)
def test_what_a_camera_is_called(camera: str, name: str, endless: bool) -> None:
    source = choose_source(camera)
    assert (source.name, source.endless) == (name, endless)


@pytest.mark.parametrize(
    ("camera", "words"),
    [
        ("", "no such camera; expected a number"),
        ("webcam", "no such camera"),
        ("nothing/here.mp4", "no such file or folder"),
        ("-1", "no such camera"),
        ("ftp://host/film.mp4", "cannot read from ftp://"),
        ("rtsp://me:secret@host:port/", "this is no address"),
        ("http://", "names no host"),
        ("x" * 5000, "no such camera"),
        ("a\0b", "no such camera"),
    ],
)
def test_names_nothing(camera: str, words: str) -> None:
    with pytest.raises(InputError) as raised:
        choose_source(camera)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_wrong_name_lists_the_cameras(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = ["/dev/video10", "/dev/video2", "/dev/video-dec"]
    monkeypatch.setattr("glob.glob", lambda pattern: nodes if pattern == "/dev/video*" else [])
    with pytest.raises(InputError, match="cameras here: /dev/video2, /dev/video10$"):
        choose_source("webcam")
    nodes.clear()
    with pytest.raises(InputError, match=r"no camera is connected \(there is no /dev/video\*\)$"):
        choose_source("webcam")


@pytest.mark.parametrize(("asked", "words"), [({"size": (0, 480)}, "size must be"), ({"rate": 0.0}, "rate must be")])
def test_asked_for_too_little(asked: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        choose_source("0", **asked)  # type: ignore[arg-type]


# a video file


def test_every_frame_of_a_video_bit_for_bit(tmp_path: Path) -> None:
    pictures = counted(40)
    shots = all_shots(choose_source(str(write_video(tmp_path / "film.mkv", pictures)), every_frame=True))
    assert len(shots) == 40
    assert all(np.array_equal(shot.pixels, picture) for shot, picture in zip(shots, pictures, strict=True))
    assert sum(shot.skipped for shot in shots) == 0


def test_a_video_plays_at_its_own_rate(tmp_path: Path) -> None:
    path = write_video(tmp_path / "film.mkv", counted(11), rate=20)
    began = time.monotonic()
    shots = all_shots(choose_source(str(path)))
    assert time.monotonic() - began >= 0.45  # ten twentieths of a second lie between the first and the last frame
    assert len(shots) + sum(shot.skipped for shot in shots) == 11
    assert shots[-1].captured - shots[0].captured == pytest.approx(0.5, abs=0.1)
    assert all(after.captured > before.captured for before, after in itertools.pairwise(shots))


def test_a_slow_reader_gets_the_newest_frame_of_a_video(tmp_path: Path) -> None:
    source = choose_source(str(write_video(tmp_path / "film.mkv", counted(200), rate=50)))
    source.open()
    try:
        first = source.read()
        work(0.5)
        late = source.read()
    finally:
        source.close()
    number = int(late.pixels[0, 0, 0])
    assert number == 1 + late.skipped
    assert number >= 24
    # It is the frame that is due then, not one from half a second ago.
    assert late.captured - first.captured == pytest.approx(number / 50, abs=0.005)


def test_a_video_whose_next_frame_is_far_away_states_when_it_is_due(tmp_path: Path) -> None:
    source = choose_source(str(write_video(tmp_path / "film.mkv", counted(5), rate=0.02)))
    source.open()
    source.read()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(source.read)
        give_up = time.monotonic() + 10
        while source.due < time.monotonic() + 30 and time.monotonic() < give_up:  # type: ignore[attr-defined]
            time.sleep(0.01)
        assert source.due - time.monotonic() == pytest.approx(50, abs=10)  # type: ignore[attr-defined]
        source.close()
        with pytest.raises(SourceError, match="was closed"):
            waiting.result()


def test_a_paced_read_ends_when_the_video_is_closed(tmp_path: Path) -> None:
    source = choose_source(str(write_video(tmp_path / "film.mkv", counted(5), rate=0.02)))
    source.open()
    assert ends_reading(source) == "was closed"


def test_closing_under_a_read_never_crashes(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "film.mkv", counted(200)))
    for _ in range(40):
        source = choose_source(path, every_frame=True)
        source.open()
        ends_reading(source)
        with pytest.raises(SourceError, match="was closed"):
            source.read()
    source.open()  # and again afterwards
    assert source.read().pixels[0, 0, 0] == 0
    source.close()
    source.close()


@pytest.mark.parametrize("kind", ["empty", "text", "noise", "cut", "header", "picture"])
def test_what_is_no_video_is_told_in_one_line(tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "film.mp4"
    whole = write_video(tmp_path / "whole.mp4", counted(30), codec="mp4v").read_bytes()
    series = write_video(tmp_path / "whole.avi", counted(30)).read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "text": b"no video\n" * 100,
            "noise": np.random.default_rng(0).integers(0, 256, 20000, np.uint8).tobytes(),
            "cut": whole[: len(whole) // 2],
            "header": series[:5000],
            "picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
        }[kind]
    )
    capfd.readouterr()
    source = choose_source(str(path))
    with pytest.raises(InputError) as raised:
        source.open()
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert capfd.readouterr().err == ""


def test_a_video_that_was_cut_ends_early_and_says_so(tmp_path: Path) -> None:
    path = write_video(tmp_path / "film.avi", [np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)] * 40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    lines: list[str] = []
    shots = all_shots(choose_source(str(path), every_frame=True, log=lines.append))
    assert 10 < len(shots) < 30
    assert lines == [f"{path}: ends after {len(shots)} of 40 frames; is the file complete?"]


def test_a_phone_held_sideways(tmp_path: Path) -> None:
    path = write_video(tmp_path / "film.mp4", [card("red")] * 5, codec="mp4v")
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40  # ISO/IEC 14496-12, 8.3.2: the matrix lies 40 bytes into a version 0 header
    assert content[at : at + 36] == struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    content[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 48 << 16, 0, 1 << 30)
    path.write_bytes(content)
    pixels = first_shot(choose_source(str(path))).pixels
    assert pixels.shape == (64, 48, 3)
    # The card's band lies in the left half, which is on top once it is turned by 90 degrees clockwise.
    expected = np.rot90(card("red"), -1).astype(int)
    assert np.abs(pixels.astype(int) - expected).mean() < 12


def test_a_video_that_is_gone_or_forbidden(tmp_path: Path) -> None:
    path = write_video(tmp_path / "film.mkv", counted(3))
    source = choose_source(str(path))
    path.unlink()
    with pytest.raises(InputError, match="no such video file"):
        source.open()


def test_a_name_that_looks_like_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "made.mkv", counted(3)).rename(tmp_path / "http:frame%03d ! x.mkv")
    monkeypatch.chdir(tmp_path)
    assert len(all_shots(choose_source("http:frame%03d ! x.mkv", every_frame=True))) == 3


# a folder of images


def test_images_of_a_folder_in_order_each_once(tmp_path: Path) -> None:
    for number, name in enumerate(["c.png", "a.png", "b.png"]):
        cv2.imwrite(str(tmp_path / name), counted(3)[number])
    (tmp_path / "b2.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    (tmp_path / "notes.txt").write_text("none of them")
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    lines: list[str] = []
    source = choose_source(str(tmp_path), every_frame=True, log=lines.append)
    assert not source.endless
    for _ in range(2):  # and again when it is opened again
        assert [int(shot.pixels[0, 0, 0]) for shot in all_shots(source)] == [1, 2, 0]
    assert len(lines) == 2
    assert lines[0].startswith(str(tmp_path / "b2.png"))


def test_images_come_at_the_rate_asked_for(tmp_path: Path) -> None:
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.png"), counted(4)[number])
    shots = all_shots(choose_source(str(tmp_path), rate=20))
    assert [int(shot.pixels[0, 0, 0]) for shot in shots] == [0, 1, 2, 3]
    assert shots[3].captured - shots[0].captured >= 0.149


def test_one_image_is_a_source(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), card("blue"))
    shots = all_shots(choose_source(str(tmp_path / "one.png")))
    assert len(shots) == 1
    assert np.array_equal(shots[0].pixels, card("blue"))


def test_a_wait_for_the_next_image_ends_when_closed(tmp_path: Path) -> None:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), card("red"))
    source = choose_source(str(tmp_path), rate=0.01)
    source.open()
    assert ends_reading(source) == "was closed"


def test_folders_without_images(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no image files"):
        choose_source(str(tmp_path)).open()
    (tmp_path / "a.jpg").write_bytes(b"no image")
    source = choose_source(str(tmp_path))
    source.open()
    with pytest.raises(InputError, match=r"holds no image that can be read \(a.jpg: "):
        source.read()


# frames that were recorded


def test_a_replay_shows_each_frame_when_it_is_due() -> None:
    frames = counted(6)
    shots = all_shots(ReplaySource(frames, [5.0, 5.1, 5.15, 5.3, 5.31, 5.4]))
    numbers = [int(shot.pixels[0, 0, 0]) for shot in shots]
    assert len(shots) + sum(shot.skipped for shot in shots) == 6
    moments = [0.0, 0.1, 0.15, 0.3, 0.31, 0.4]
    for number, shot in zip(numbers, shots, strict=True):
        assert shot.captured - shots[0].captured == pytest.approx(moments[number], abs=1e-6)
    assert time.monotonic() >= shots[-1].captured


def test_a_slow_reader_gets_the_newest_frame_of_a_replay() -> None:
    source = ReplaySource(counted(200), rate=50)
    source.open()
    first = source.read()
    work(0.5)
    late = source.read()
    assert late.pixels[0, 0, 0] == 1 + late.skipped
    assert late.skipped >= 23
    assert late.captured - first.captured == pytest.approx((1 + late.skipped) / 50, abs=1e-6)


def test_flat_out_shows_all_rounds_without_waiting() -> None:
    shots = all_shots(ReplaySource(counted(3), [0, 100, 200], loop_count=3, flat_out=True))
    assert [int(shot.pixels[0, 0, 0]) for shot in shots] == [0, 1, 2] * 3


def test_rounds_follow_each_other_as_frames_do() -> None:
    shots = all_shots(ReplaySource(counted(2), [0.0, 0.1], loop_count=2))
    assert len(shots) + sum(shot.skipped for shot in shots) == 4
    assert shots[-1].captured - shots[0].captured == pytest.approx(0.3, abs=1e-6)


def test_a_replay_wait_ends_when_closed() -> None:
    source = ReplaySource(counted(2), rate=0.01)
    source.open()
    assert ends_reading(source) == "was closed"


@pytest.mark.parametrize(
    "arguments",
    [{"frames": []}, {"times": [0.0]}, {"times": [1.0, 0.0]}, {"rate": 0.0}, {"loop_count": 0}],
)
def test_replays_that_make_no_sense(arguments: dict[str, object]) -> None:
    with pytest.raises(InputError):
        ReplaySource(**{"frames": counted(2), **arguments})  # type: ignore[arg-type]


def test_a_recording_keeps_pixels_and_times(tmp_path: Path) -> None:
    frames = [np.random.default_rng(i).integers(0, 256, (20 + i, 30, 3), np.uint8) for i in range(4)]
    folder = tmp_path / "session"
    assert write_recording(folder, (Shot(f, 77.5 + 0.05 * i) for i, f in enumerate(frames))) == 4
    shots = all_shots(choose_source(str(folder)))
    assert shots[-1].captured - shots[0].captured == pytest.approx(0.15, abs=1e-5)
    shots = all_shots(choose_source(str(folder), every_frame=True))
    assert all(np.array_equal(shot.pixels, frame) for shot, frame in zip(shots, frames, strict=True))
    with pytest.raises(OutputError, match="exists already"):
        write_recording(folder, [])


def test_a_recording_is_whole_or_not_there(tmp_path: Path) -> None:
    def breaks() -> object:
        yield Shot(card("red"), 0.0)
        raise SourceError("was unplugged")

    with pytest.raises(SourceError):
        write_recording(tmp_path / "session", breaks())  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_film_whose_name_is_not_utf8_is_refused_in_a_line(tmp_path: Path) -> None:
    """OpenCV crashes on such names."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/f\xe9.mp4"))
    path.write_bytes(b"film")
    with pytest.raises(InputError, match="OpenCV cannot open a film whose name is not UTF-8; rename it"):
        choose_source(str(path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the first line must be"),
        ("file,seconds\n", "holds no frames"),
        ("file,seconds\n../a.png,0\n", "line 2: expected a file name and its seconds, got '../a.png,0'"),
        ("file,seconds\na.png,soon\n", "line 2: expected"),
        ("file,seconds\na.png,nan\n", "line 2: expected"),
        ("file,seconds\na.png\n", "line 2: expected"),
        ("file,seconds\nb.png,0\n", "names b.png, which is not there"),
        ("file,seconds\na.png,1\na.png,0\n", "must not fall"),
        ("file,seconds\n\xff\n", "line 2"),
    ],
)
def test_recordings_that_cannot_be_used(tmp_path: Path, text: str, words: str) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), card("red"))
    (tmp_path / "times.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        read_recording(tmp_path)


def test_a_frame_of_a_recording_that_is_damaged(tmp_path: Path) -> None:
    write_recording(tmp_path / "session", [Shot(card("red"), 0.0)])
    (tmp_path / "session" / "000000.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(SourceError, match="000000.png: "):
        first_shot(choose_source(str(tmp_path / "session")))


# what a driver may hand over


def test_every_shape_becomes_bgr() -> None:
    gray = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(as_bgr(gray), np.stack([gray] * 3, axis=-1))
    assert np.array_equal(as_bgr(gray[..., None]), np.stack([gray] * 3, axis=-1))
    alpha = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)
    assert np.array_equal(as_bgr(alpha), alpha[..., :3])
    picture = card("red")
    assert as_bgr(picture) is picture
    assert as_bgr(picture[:, ::2]).flags.c_contiguous


@pytest.mark.parametrize(
    ("came", "words"),
    [
        (None, "expected a picture, got nothing"),
        ("text", "got str"),
        (np.zeros((2, 3, 3)), r"got float64\[2, 3, 3\]"),
        (np.zeros((2, 3, 2), np.uint8), r"got uint8\[2, 3, 2\]"),
        (np.zeros((0, 3, 3), np.uint8), r"got uint8\[0, 3, 3\]"),
        (np.zeros(5, np.uint8), r"got uint8\[5\]"),
    ],
)
def test_garbage_is_named(came: object, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        as_bgr(came)
