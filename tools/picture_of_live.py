#!/usr/bin/env python3
"""Make the moving picture of `live` in the README: the real page in a headless browser, on a video made here.

    python tools/picture_of_live.py [--out docs/live.webp]

A chalkboard on which scanned digits (scikit-learn's, in the public domain) pass by is classified by the zoo's `digits`,
while the browser looks at the page; then the video ends, and one of the frames that were collected is sorted, and
that is undone. It plays three times as fast as it was. Takes two minutes; needs Chromium.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageChops
from playwright.sync_api import Page, sync_playwright

import edgeclf
from edgeclf.progress import SILENT
from edgeclf.streaming.loop.geometry import Geometry

ROOT = Path(__file__).resolve().parents[1]
WIDTH, HEIGHT, FPS = 640, 480, 10
SIDE, TOP = 280, 80  # of the region, in the middle of the board
SLOWER = 3  # than the picture plays: a screenshot takes a while
STAYS, PASSES = 1.9 * SLOWER, 0.7 * SLOWER  # seconds that a digit stands, and takes to leave
STEP, LONGEST_STEP = 0.2, 0.5  # seconds between two pictures; on a busy machine a screenshot takes longer
IN_VIEW = 3  # collected frames in the first row
SHOWN = (3, 7, 0, 4, 9, 2, 6, 1, 8, 5)
VIEW = {"width": 1000, "height": 690}
SCALED = (800, 552)
MOST_BYTES = 600_000
Shots = list[tuple[Image.Image, float]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "live.webp", help="animated WebP to write")
    arguments = parser.parse_args()
    out = arguments.out.absolute()
    with tempfile.TemporaryDirectory() as folder:
        write_video(Path(folder) / "chalkboard.avi")
        os.chdir(folder)  # the page shows the name of the video as it is given
        shots = film(Path(folder))
        os.chdir(out.parent)
    size = save(shots, out)
    seconds = sum(duration for _, duration in shots)
    print(f"{arguments.out}: {len(shots)} pictures, {seconds:.0f} s, {size} bytes")
    return 0 if size < MOST_BYTES else 1


def write_video(path: Path) -> None:
    """Write the chalkboard: each digit stands in the middle, and is followed by the next one from the right."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (WIDTH, HEIGHT))
    board = draw_board()
    digits = [draw_digit(number) for number in SHOWN]
    for now, following in zip(digits, [*digits[1:], None], strict=True):
        for _ in range(round(STAYS * FPS)):
            writer.write(write_on(board, [(now, 0)]))
        moves = round(PASSES * FPS)
        for step in range(moves if following is not None else 0):
            way = round(0.5 * WIDTH * (1 - np.cos(np.pi * step / moves)))
            writer.write(write_on(board, [(now, -way), (following, WIDTH - way)]))
    writer.release()


def draw_board() -> np.ndarray:
    """Draw uint8[HEIGHT, WIDTH, 3] BGR: a board without anything on it."""
    board = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    board[:] = (38, 46, 34)
    board[:24], board[-24:], board[:, :24], board[:, -24:] = ((64, 104, 140),) * 4
    return board


def draw_digit(number: int) -> np.ndarray:
    """Draw float32[SIDE, SIDE, 1], 0 to 1: a scan, enlarged."""
    scans = np.load(ROOT / "tests" / "tflite" / "digits.npz")
    scan = scans["images"][np.flatnonzero(scans["labels"] == number)[1]]
    large = cv2.resize(scan, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return np.clip(large.astype(np.float32) / 255, 0, 1)[..., None]


def write_on(board: np.ndarray, digits: list[tuple[np.ndarray, int]]) -> np.ndarray:
    """Write digits on the board, each so many pixels right of the middle."""
    picture = board.copy()
    for digit, offset in digits:
        left = (WIDTH - SIDE) // 2 + offset
        start, end = max(left, 24), min(left + SIDE, WIDTH - 24)
        if start < end:
            part = digit[:, start - left : end - left]
            under = picture[TOP : TOP + SIDE, start:end]
            picture[TOP : TOP + SIDE, start:end] = under + part * (np.float32((226, 236, 232)) - under)
    return picture.astype(np.uint8)


class Log:
    """Keeps what `live` logs."""

    task = SILENT.task

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, line: str) -> None:
        self.lines.append(line)

    warn = info

    def has(self, words: str) -> bool:
        return any(words in line for line in self.lines)


def film(folder: Path) -> Shots:
    """Run `live` on the video, and look at its page."""
    log, stop = Log(), threading.Event()
    settings = {
        "camera": "chalkboard.avi",
        "geometry": Geometry(roi=((WIDTH - SIDE) / 2, TOP, SIDE, SIDE)),
        "collect": str(folder / "seen"),
        "window": False,
        "web": 0,
        "stay": True,
    }
    thread = threading.Thread(target=lambda: edgeclf.live("digits", stop=stop, progress=log, **settings))
    thread.start()
    try:
        wait_until(lambda: log.has("page: "))
        address = next(line.removeprefix("page: ") for line in log.lines if line.startswith("page: "))
        found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
            page = browser.new_context(viewport=VIEW, color_scheme="light").new_page()
            page.goto(address)
            shots = list(scenes(page, log))
            browser.close()
        return shots
    finally:
        stop.set()
        thread.join(20)


def scenes(page: Page, log: Log) -> Iterator[tuple[Image.Image, float]]:
    """Look at the last digits, at the end of the video, and at how a frame is sorted and brought back."""
    look(page)  # the first one takes longest
    while page.locator("#changes li").count() < 7:
        page.wait_for_timeout(200)
    while not log.has("has ended"):
        began = time.monotonic()
        shot = look(page)
        page.wait_for_timeout(max(0, 1000 * (STEP * SLOWER - time.monotonic() + began)))
        yield shot, min((time.monotonic() - began) / SLOWER, LONGEST_STEP)
    page.wait_for_timeout(1000)
    yield look(page), 1.6
    page.locator("#labelling").evaluate("section => scrollTo(0, section.offsetTop - 12)")
    page.wait_for_timeout(400)
    yield look(page), 1.6
    scores = page.locator("#collected .choices button:first-child small").all_inner_texts()
    sure = max(range(min(IN_VIEW, len(scores))), key=lambda place: int(scores[place].split()[0]))
    card = page.locator("#collected > li").nth(sure)
    steps = [(card.locator(".choices button").first, 1.4), (page.locator("#undo"), 1.8)]
    for button, seconds in steps:
        button.hover()
        page.wait_for_timeout(300)
        yield look(page), 1.0
        button.click()
        page.mouse.move(5, 5)
        page.wait_for_timeout(900)
        yield look(page), seconds


def look(page: Page) -> Image.Image:
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return shot.resize(SCALED, Image.Resampling.LANCZOS)


def save(shots: Shots, path: Path) -> int:
    """Save the pictures as an animation that repeats; return its size in bytes."""
    kept: Shots = []
    for picture, seconds in shots:
        if kept and ImageChops.difference(kept[-1][0], picture).getbbox() is None:
            kept[-1] = kept[-1][0], kept[-1][1] + seconds
        else:
            kept.append((picture, seconds))
    pictures, times = zip(*kept, strict=True)
    durations = [round(1000 * seconds) for seconds in times]
    first, *rest = pictures
    settings = {"quality": 72, "method": 4}
    first.save(path, save_all=True, append_images=rest, duration=durations, loop=0, **settings)
    return path.stat().st_size


def wait_until(condition: object, seconds: float = 120.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > ends:
            raise TimeoutError(f"not within {seconds:g} s")
        time.sleep(0.05)


if __name__ == "__main__":
    raise SystemExit(main())
