"""The annotated video, read again with OpenCV: how many frames, how long, what is on them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from live_results import picture, result, wait_for
from small_disk import small_file_system

from edgeclf.errors import InputError, OutputError
from edgeclf.image.drawing import bar_height, class_color, make_drawable
from edgeclf.streaming.loop.geometry import Geometry
from edgeclf.streaming.outputs.annotate import annotate
from edgeclf.streaming.outputs.record import LONGEST_GAP, Recorder, fit, measure_rate
from edgeclf.streaming.supervision.problems import Problems

ROOT = Path(__file__).resolve().parents[1]
HEIGHT, WIDTH = 240, 320


def read(path: Path) -> tuple[list[np.ndarray], float]:
    """All frames, and frames a second."""
    capture = cv2.VideoCapture(str(path))
    rate, frames = capture.get(cv2.CAP_PROP_FPS), []
    while True:
        found, frame = capture.read()
        if not found:
            break
        frames.append(frame)
    capture.release()
    return frames, rate


def gray(level: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def level(frame: np.ndarray) -> float:
    """Brightness of the picture above the bar."""
    return float(frame[20:150, 20:300].mean())


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def problems(told: list[str]) -> Problems:
    return Problems(told.append)


def feed(recorder: Recorder, times: list[float], rate: float, pixels: list[np.ndarray] | None = None) -> None:
    """Hand over a result at each of `times`, each after the recorder has placed the one before."""
    for number, captured in enumerate(times):
        shown = gray(40 + 8 * (number % 24)) if pixels is None else pixels[number]
        recorder.take(result(number=number, captured=captured), picture(shown, number=number, captured=100 + captured))
        due = round(captured * rate)
        wait_for(lambda due=due: recorder.frames >= due)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".MKV"])
def test_irregular_results_play_as_fast_as_the_scene_was(tmp_path, problems, told, suffix):
    path = tmp_path / f"out{suffix}"
    recorder = Recorder(path, problems, rate=10)
    feed(recorder, [0, 0.1, 0.13, 0.19, 0.9, 1.0, 1.5, 2.9], 10)
    assert not path.exists()
    assert (tmp_path / f"out.partial{suffix}").exists()
    recorder.close()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    frames, rate = read(path)
    assert rate == pytest.approx(10, rel=0.001)
    assert len(frames) == 30  # 2.9 seconds, and the last frame itself
    # what is seen at each tenth of a second is the newest result of that time: number 3 came at 0.19, 4 at 0.9
    shown = [round((level(frame) - 40) / 8) for frame in frames]
    assert shown == [0, 2] + [3] * 7 + [4] + [5] * 5 + [6] * 14 + [7]
    assert told == []


def test_label_probability_and_region_are_drawn(tmp_path, problems):
    path = tmp_path / "out.mkv"
    recorder = Recorder(path, problems, rate=5)
    geometry = Geometry(roi=(0.25, 0.25, 0.5, 0.5))
    recorder.take(result("cat", 0.75), picture(gray(128), geometry=geometry))
    recorder.close()
    (frame,), _ = read(path)
    color = np.array(class_color(0), float)
    bar = bar_height(HEIGHT)
    assert frame.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(frame[HEIGHT - bar + 2 : HEIGHT - 4, 2 : bar // 2 - 2].reshape(-1, 3).mean(0) - color).max() < 40
    assert np.abs(frame[60:62, 120:200].reshape(-1, 3).mean(0) - color).max() < 90  # the region's upper edge
    assert abs(frame[100:140, 120:200].mean() - 128) < 6  # and the picture inside it as it was
    text = frame[HEIGHT - bar : HEIGHT - 3, bar:]
    assert (text.max(axis=2) > 180).mean() > 0.01  # light letters
    assert np.median(text) < 60  # on a dark bar
    line = frame[HEIGHT - 1].astype(float)
    covered = np.abs(line - color).max(axis=1) < 90
    assert covered.mean() == pytest.approx(0.75, abs=0.1)


def test_annotating_leaves_the_frame_alone_and_enlarges_tiny_ones():
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3)).astype(np.uint8)
    before = pixels.copy()
    made = annotate(picture(pixels), result("7", 0.5))
    assert made.shape == (240, 240, 3)
    assert np.array_equal(pixels, before)
    large = gray(90)
    assert annotate(picture(large), result()) is not large
    assert np.array_equal(large, gray(90))


@pytest.mark.parametrize("label", ["猫", "Äpfel", "a\nb\x00c", "", "x" * 2000, "🙂"])
def test_any_class_name_can_be_drawn(label):
    made = annotate(picture(gray(0)), result(label, 0.5))
    assert made.shape == (HEIGHT, WIDTH, 3)
    percent = made[HEIGHT - bar_height(HEIGHT) :, :]
    assert (percent > 200).any()


def test_without_a_font_names_are_spelled_in_ascii():
    assert make_drawable("Äpfel", 3, any_script=False) == "Aepfel"
    assert make_drawable("naïve café", 3, any_script=False) == "naive cafe"
    assert make_drawable("A\u0308pfel", 3, any_script=False) == "Aepfel"
    assert make_drawable("猫", 3, any_script=False) == "class 3"
    assert make_drawable("猫 cat", 3, any_script=False) == "? cat"
    assert make_drawable("猫", 3, any_script=True) == "猫"
    assert make_drawable("two\nlines", 3) == "two lines"


def test_the_rate_is_that_of_the_results(tmp_path, problems):
    path = tmp_path / "out.avi"
    recorder = Recorder(path, problems)
    for number in range(3):
        recorder.take(result(), picture(gray(50), captured=number / 8))
    recorder.close()
    frames, rate = read(path)
    assert (len(frames), rate) == (3, 8)


def test_the_rate_is_no_more_than_the_encoder_can_do():
    times = [number / 30 for number in range(12)]
    assert measure_rate(times, 0.001) == 30
    assert measure_rate(times, 0.060) == 10
    assert measure_rate(times, 9.0) == 1
    assert measure_rate([0.0], 0.001) == 10
    assert measure_rate([number / 400 for number in range(12)], 0.001) == 60


def test_every_frame_of_a_file_becomes_one_frame(tmp_path, problems):
    path = tmp_path / "out.mkv"
    recorder = Recorder(path, problems, rate=25, every_frame=True)
    for number in range(60):  # all at once, far faster than they can be written
        recorder.take(result(number=number), picture(gray(4 * number), captured=100.0))
    recorder.close()
    frames, rate = read(path)
    assert (len(frames), rate) == (60, 25)
    assert level(frames[50]) == pytest.approx(200, abs=6)


def test_another_size_is_fitted_into_the_first(tmp_path, problems):
    path = tmp_path / "out.mkv"
    recorder = Recorder(path, problems, rate=10)
    feed(recorder, [0, 0.1, 0.2], 10, [gray(200), gray(200, 480, 320), gray(200, 481, 1001)])
    recorder.close()
    frames, _ = read(path)
    assert [frame.shape for frame in frames] == [(HEIGHT, WIDTH, 3)] * 3
    columns = frames[1][20:180].mean(axis=(0, 2))
    assert columns[:70].max() < 30  # a tall picture has bars at its sides: 320 / 480 * 240 = 160 of 320
    assert columns[250:].max() < 30
    assert columns[90:230].min() > 180
    assert frames[2][:30].mean() < 30  # a wide one above and below


def test_odd_sizes_lose_a_line(tmp_path, problems, told):
    recorder = Recorder(tmp_path / "odd.mp4", problems, rate=10)
    feed(recorder, [0, 0.1], 10, [gray(99, 241, 333), gray(99, 241, 333)])
    recorder.close()
    frames, _ = read(tmp_path / "odd.mp4")
    assert [frame.shape for frame in frames] == [(240, 332, 3)] * 2
    assert told == []
    assert fit(gray(7, 100, 100), 200, 100).shape == (100, 200, 3)


def test_a_long_pause_is_shortened(tmp_path, problems):
    path = tmp_path / "out.mkv"
    recorder = Recorder(path, problems, rate=2)
    for captured, due in ((0, 0), (0.5, 1), (3600.5, 1 + 2 * LONGEST_GAP), (3601, 2 + 2 * LONGEST_GAP)):
        recorder.take(result(), picture(gray(90), captured=captured))
        wait_for(lambda due=due: recorder.frames >= due)
    recorder.close()
    assert len(read(path)[0]) == 3 + 2 * LONGEST_GAP


def test_nothing_to_record_leaves_nothing(tmp_path, problems, told):
    recorder = Recorder(tmp_path / "out.mp4", problems)
    recorder.close()
    recorder.close()
    assert list(tmp_path.iterdir()) == []
    assert told == []


@pytest.mark.parametrize("name", ["out.webm", "out", "out.mp4.txt"])
def test_an_unknown_suffix_is_refused(tmp_path, problems, name):
    with pytest.raises(InputError, match=r"expected a name that ends in \.mp4, \.mkv, \.avi, got"):
        Recorder(tmp_path / name, problems)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_kept_unless_asked(tmp_path, problems):
    path = tmp_path / "out.mp4"
    path.write_bytes(b"precious")
    with pytest.raises(OutputError, match=r"out\.mp4: exists already; .*--overwrite"):
        Recorder(path, problems)
    assert path.read_bytes() == b"precious"
    recorder = Recorder(path, problems, overwrite=True)
    assert path.read_bytes() == b"precious"
    recorder.take(result(), picture(gray(9)))
    recorder.close()
    assert len(read(path)[0]) == 1


def test_a_file_that_comes_meanwhile_is_kept(tmp_path, problems, told):
    path = tmp_path / "out.mp4"
    recorder = Recorder(path, problems)
    recorder.take(result(), picture(gray(9)))
    path.write_bytes(b"precious")
    recorder.close()
    assert path.read_bytes() == b"precious"
    assert len(read(tmp_path / "out.partial.mp4")[0]) == 1
    assert len(told) == 1
    assert "out.partial.mp4" in told[0]


def test_a_place_that_cannot_be_written_is_told_at_once(tmp_path, problems):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be written"):
        Recorder(tmp_path / "file" / "out.mp4", problems)
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        Recorder(tmp_path / "folder.mp4", problems, overwrite=True)


def test_a_wrong_rate_is_refused(tmp_path, problems):
    with pytest.raises(InputError, match="above 0 and at most 240, got 0"):
        Recorder(tmp_path / "out.mp4", problems, rate=0)


@pytest.mark.parametrize("suffix", [".mkv", ".avi"])
def test_a_killed_process_leaves_a_file_that_plays(tmp_path, suffix):
    code = """
import sys, os, signal
import numpy as np
from pathlib import Path
from live_results import picture, result, wait_for
from edgeclf.streaming.supervision.problems import Problems
from edgeclf.streaming.outputs.record import Recorder
recorder = Recorder(Path(sys.argv[1]), Problems(), rate=30, every_frame=True)
noise = np.random.default_rng(0)
for number in range(300):
    recorder.take(result(), picture(noise.integers(0, 255, (240, 320, 3)).astype(np.uint8)))
wait_for(lambda: recorder.frames >= 296)
os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}"}
    path = tmp_path / f"out{suffix}"
    done = subprocess.run([sys.executable, "-c", code, path], env=environment, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = tmp_path / f"out.partial{suffix}"
    assert len(read(left)[0]) >= 150
    again = Recorder(path, Problems())
    again.take(result(), picture(gray(1)))
    again.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([left.name, path.name])


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_file_system(tmp_path / "disk", "70m") as folder:
        yield folder


def test_a_full_disk_ends_the_recording_and_what_is_there_plays(disk, problems, told):
    path = disk / "out.mkv"
    recorder = Recorder(path, problems, rate=30, every_frame=True)
    noise = np.random.default_rng(0)
    pictures = [noise.integers(0, 255, (480, 640, 3)).astype(np.uint8) for _ in range(8)]
    with contextlib.closing(recorder):
        for number in range(400):
            recorder.take(result(), picture(pictures[number % 8]))
            if problems.now():
                break
        # It is reported only after the file has been closed, and results are ignored meanwhile.
        wait_for(lambda: bool(problems.now()))
        for _ in range(20):
            recorder.take(result(), picture(pictures[0]))
    assert len(told) == 1
    assert "disk is full" in told[0]
    frames, _ = read(path)
    assert 3 <= len(frames) < 400
    assert [p.name for p in disk.iterdir()] == ["out.mkv"]
