"""Write and read recorded frames on disk: a folder of PNG files, and `times.csv` with the moment of each.

Anyone can look into it, leave frames out, or make one by hand. Reading it runs nothing and needs one frame's memory.
"""

from __future__ import annotations

import csv
import math
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import cv2

from edgeclf.atomic import explained, sync_folder, write_text
from edgeclf.errors import ImageError, InputError, OutputError
from edgeclf.streaming.camera.frame import Pixels, Shot
from edgeclf.streaming.camera.source import SourceError, as_bgr
from edgeclf.streaming.camera.sources.image_folder import decode_bgr
from edgeclf.streaming.camera.sources.replay import ReplaySource

TIMES = "times.csv"
_HEADER = ["file", "seconds"]
_FAST = [cv2.IMWRITE_PNG_COMPRESSION, 1]


def is_recording(path: Path) -> bool:
    """Return whether the folder `path` is a recording."""
    return (path / TIMES).is_file()


def write_recording(folder: Path | str, shots: Iterable[Shot]) -> int:
    """Write shots as they come, without loss, and return their number. The folder appears when all are written.

    Raises:
        OutputError: the folder exists, or cannot be written.
        RunFailedError: the disk is full.
    """
    folder = Path(folder)
    if folder.exists():
        raise OutputError(f"{folder}: exists already; choose another place")
    with explained(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    try:
        with explained(folder):
            lines = [",".join(_HEADER)]
            first: float | None = None
            for number, shot in enumerate(shots):
                first = shot.captured if first is None else first
                name = f"{number:06d}.png"
                _, content = cv2.imencode(".png", as_bgr(shot.pixels), _FAST)
                (temporary / name).write_bytes(content.tobytes())
                lines.append(f"{name},{shot.captured - first:.6f}")
            write_text(temporary / TIMES, "\n".join([*lines, ""]))
            temporary.chmod(0o755)
            os.rename(temporary, folder)
            sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return len(lines) - 1


def read_recording(folder: Path | str, *, loop_count: int = 1, flat_out: bool = False) -> ReplaySource:
    """Make the source that shows a recording; frames are read when they are due.

    Raises:
        InputError: it is no recording, or a file of it is missing.
    """
    folder = Path(folder)
    files, times = _read_times(folder)
    return ReplaySource(_Files(files), times, loop_count=loop_count, flat_out=flat_out, name=str(folder))


def read_recording_rate(folder: Path | str) -> float | None:
    """Read the frames a second of a recording, on average; None for everything else, and for one frame alone.

    Raises:
        InputError: it is damaged.
    """
    path = Path(folder)
    times = _read_times(path)[1] if is_recording(path) else []
    seconds = times[-1] - times[0] if times else 0.0
    return (len(times) - 1) / seconds if seconds > 0 else None


class _Files:
    def __init__(self, files: list[Path]) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, number: int) -> Pixels:
        try:
            return decode_bgr(self._files[number])
        except ImageError as error:
            raise SourceError(f"{self._files[number].name}: {error}") from error


def _read_times(folder: Path) -> tuple[list[Path], list[float]]:
    path = folder / TIMES
    files: list[Path] = []
    times: list[float] = []
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = csv.reader(stream)
            if next(rows, None) != _HEADER:
                raise InputError(f"{path}: the first line must be {','.join(_HEADER)!r}")
            for row in rows:
                name, seconds = _row(path, rows.line_num, row)
                files.append(folder / name)
                times.append(seconds)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "it is no CSV text"
        raise InputError(f"{path}: cannot be read ({str(reason).lower()})") from error
    for file in files:
        if not file.is_file():
            raise InputError(f"{path}: names {file.name}, which is not there")
    return files, times


def _row(path: Path, line: int, row: list[str]) -> tuple[str, float]:
    try:
        name, text = row
        seconds = float(text)
    except ValueError:
        name, seconds = "", math.nan
    # A name with a folder in it could lead anywhere on the disk.
    if not name or Path(name).name != name or not math.isfinite(seconds):
        raise InputError(f"{path}: line {line}: expected a file name and its seconds, got {','.join(row)!r}")
    return name, seconds
