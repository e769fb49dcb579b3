"""One line of JSON for each result, from a thread of its own: who reads slowly misses lines, and holds up nothing."""

from __future__ import annotations

import json
import threading
from typing import IO

from edgeclf.streaming.background import Background
from edgeclf.streaming.geometry import Picture
from edgeclf.streaming.problems import Problems
from edgeclf.streaming.result import Result

CAPACITY = 1000


class JsonLines:
    """Writes results to a stream.

    Args:
        stream: where to.
        problems: where it is told that lines were left out.
        stop: set when the reader has left, since nobody reads then.
        every_frame: let the loop wait for the reader instead of leaving lines out.

    Attributes:
        reader_left: whether the reader closed its end.
    """

    def __init__(self, stream: IO[str], problems: Problems, stop: threading.Event, *, every_frame: bool) -> None:
        self._stream, self._problems, self._stop = stream, problems, stop
        self.reader_left = False
        self._lines: Background[Result] = Background(
            "json", self._write, problems, capacity=CAPACITY, patient=every_frame
        )

    def take(self, result: Result, picture: Picture) -> None:
        """A result."""
        self._lines.offer(result)

    def close(self) -> None:
        """Write what waits. Lines that were left out are told as a problem."""
        self._lines.close()
        if self._lines.dropped:
            self._problems.begin("json", f"{self._lines.dropped} lines left out, because the reader was slow")

    def _write(self, result: Result) -> None:
        if self.reader_left:
            return
        try:
            self._stream.write(json.dumps(document(result), ensure_ascii=False, allow_nan=False) + "\n")
            self._stream.flush()
        except BrokenPipeError:
            self.reader_left = True
            self._stop.set()


def document(result: Result) -> dict[str, object]:
    """The keys that scripts rely on."""
    return {
        "frame": result.frame,
        "time": result.time,
        "label": result.label,
        "probability": round(result.probability, 4),
        "raw_label": result.raw_label,
        "raw_probability": round(result.raw_probability, 4),
        "frame_age_ms": result.frame_age_ms,
        "inference_ms": result.inference_ms,
        "fps": result.fps,
    }
