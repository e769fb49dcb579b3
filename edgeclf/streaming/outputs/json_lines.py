"""One line of JSON for each result, from a thread of its own: who reads slowly misses lines, and holds up nothing."""

from __future__ import annotations

import json
import threading
import time
from typing import IO

from edgeclf.streaming.loop.geometry import Picture
from edgeclf.streaming.loop.result import Result
from edgeclf.streaming.outputs.lines import write_line
from edgeclf.streaming.supervision.background import Background
from edgeclf.streaming.supervision.problems import Problems

CAPACITY = 1000
_CLOSE_SECONDS = 1.5


class JsonLines:
    """Writes results to a stream.

    Args:
        stream: where to.
        problems: where it is told that lines were left out.
        stop: ends all waiting for the reader; set when he has left, since nobody reads then.
        every_frame: let the loop wait for the reader instead of leaving lines out.

    Attributes:
        reader_left: whether the reader closed its end.
    """

    def __init__(self, stream: IO[str], problems: Problems, stop: threading.Event, *, every_frame: bool) -> None:
        self._stream, self._problems, self._stop = stream, problems, stop
        self._every_frame = every_frame
        self.reader_left = False
        self._give_up_at = float("inf")
        self._unwritten = 0
        self._lines: Background[Result] = Background(
            "json", self._write, problems, capacity=CAPACITY, patient=every_frame, stop=stop
        )

    def take(self, result: Result, picture: Picture) -> None:
        """A result."""
        self._lines.offer(result)

    def close(self) -> None:
        """Write what waits: for `every_frame` all of it, unless `stop` is set; else for a second or two.

        Lines that were left out are told as a problem.
        """
        done = False
        while self._every_frame and not done and not self._stop.is_set():
            done = self._lines.close(0.1)
        self._give_up_at = time.monotonic() + _CLOSE_SECONDS
        self._lines.close(_CLOSE_SECONDS + 0.5)
        left_out = self._lines.dropped + self._unwritten
        if left_out and not self.reader_left:
            self._problems.begin("json", f"{left_out} lines left out, because the reader was slow")

    def _write(self, result: Result) -> None:
        if self.reader_left:
            return
        line = json.dumps(document(result), ensure_ascii=False, allow_nan=False)
        try:
            if self._over() or not write_line(self._stream, line, self._over):
                self._unwritten += 1
        except BrokenPipeError:
            self.reader_left = True
            self._stop.set()

    def _over(self) -> bool:
        return time.monotonic() >= self._give_up_at


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
