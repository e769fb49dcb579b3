"""Write one line of JSON for each result, from a thread of its own: a slow reader misses lines, and holds up nothing.

A thread that is inside `write` cannot be woken, and holds the lock of its stream: closing the stream then waits for it
for ever. So the stream is asked for room before anything is written.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable
from typing import IO

from edgeclf.json_text import write_json
from edgeclf.streaming.loop.geometry import Picture
from edgeclf.streaming.loop.result import Result
from edgeclf.streaming.supervision.background import Background
from edgeclf.streaming.supervision.problems import Problems

CAPACITY = 1000
_CLOSE_SECONDS = 1.5
_AT_ONCE = 1000
"""Characters, of four bytes at most: a pipe with room takes 4,096 bytes without waiting."""


class JsonLines:
    """Writes results to a stream.

    Args:
        stream: where to.
        problems: gets the number of lines that were left out.
        stop: ends all waiting for the reader; set here when the reader has left.
        every_frame: let the loop wait for the reader instead of leaving lines out.
        notes: returns what the classifier notes at the moment; a line where they are new carries them.

    Attributes:
        reader_left: whether the reader closed its end.
    """

    def __init__(
        self,
        stream: IO[str],
        problems: Problems,
        stop: threading.Event,
        *,
        every_frame: bool,
        notes: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        self._notes = notes
        self._written_notes: tuple[str, ...] = ()
        self._stream, self._problems, self._stop = stream, problems, stop
        self._every_frame = every_frame
        self.reader_left = False
        self._give_up_at = float("inf")
        self._unwritten = 0
        self._lines: Background[Result] = Background(
            "json", self._write, problems, capacity=CAPACITY, patient=every_frame, stop=stop
        )

    def take(self, result: Result, picture: Picture) -> None:
        """Offer a result to the thread that writes."""
        self._lines.offer(result)

    def close(self) -> None:
        """Write what waits: for `every_frame` all of it, unless `stop` is set; else for a second or two.

        Lines that were left out are reported as a problem.
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
        document, notes = make_document(result), self._notes()
        if notes != self._written_notes:
            document["notes"] = list(notes)
        line = write_json(document)
        try:
            if self._over() or not write_line(self._stream, line, self._over):
                self._unwritten += 1
            else:
                self._written_notes = notes
        except BrokenPipeError:
            self.reader_left = True
            self._stop.set()

    def _over(self) -> bool:
        return time.monotonic() >= self._give_up_at


def make_document(result: Result) -> dict[str, object]:
    """Return the keys that scripts rely on."""
    novelty = {} if result.novelty is None else {"novelty": round(result.novelty, 4)}
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
        **novelty,
    }


def has_room(stream: IO[str], seconds: float) -> bool:
    """Wait up to `seconds` until a short text can be written to `stream` at once; return whether it can."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, AttributeError):
        return True  # it is in memory
    poller = select.poll()
    poller.register(descriptor, select.POLLOUT)
    return bool(poller.poll(seconds * 1000))


def write_line(stream: IO[str], line: str, give_up: Callable[[], bool]) -> bool:
    """Write `line` and its end; return False where `give_up()` was true before there was room for it.

    Raises:
        BrokenPipeError: the reader has left.
    """
    text = line + "\n"
    for start in range(0, len(text), _AT_ONCE):
        while not has_room(stream, 0.1):
            if give_up():
                return False
        stream.write(text[start : start + _AT_ONCE])
        stream.flush()
    return True
