"""Take frames from a source in a thread of its own and keep only the newest, so that what is shown is never behind.

A queue between camera and network grows whenever the network is slower, and then every label is late by the whole
queue. Here a frame that was not taken is replaced by the next one and counted as dropped. Where every frame of a file
is classified, the thread reads a few ahead; frames that come faster than threads take turns are read by the loop
itself.

A camera may fail, or hang inside its driver, where no thread can be woken. Such a thread is left behind: it holds
nothing that a new attempt needs, what it returns later is thrown away, and it closes its device then.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from edgeclf.errors import InputError, RunFailedError, one_line
from edgeclf.streaming.camera.frame import Frame, Shot
from edgeclf.streaming.camera.frame_buffer import AHEAD, FrameBuffer
from edgeclf.streaming.camera.retry import RetryPolicy
from edgeclf.streaming.camera.source import EndOfSourceError, Source, SourceError, SourceState
from edgeclf.streaming.camera.source_reader import SourceReader

QUICK_READ = 0.0003
"""Seconds: a frame that is read in less is not worth a thread, whose turn costs a third of that."""

MOST_LEFT_BEHIND = 3
"""Threads that may hang in a driver at a time; with more, no further attempt is made until one returns."""

_POLL_SECONDS = 0.1


class Capture:
    """Gives the newest frame of a source that is opened again whenever it fails.

    Args:
        make: returns a source ready to be opened; called for each attempt, since an old one may hang.
        on_state: called with each new state of the source, from the thread that calls `take`.
        every_frame: keep all frames and let the source wait: for files that are to be classified whole.
        retry: how long to wait for what.

    Attributes:
        name: of the source.
        depth: whether its frames are depth pictures; None: of a recording, which may be either.

    Raises:
        InputError: every frame of a camera is asked for, which would be late by more and more.
    """

    def __init__(
        self,
        make: Callable[[], Source],
        *,
        on_state: Callable[[SourceState], None] = lambda state: None,
        every_frame: bool = False,
        retry: RetryPolicy = RetryPolicy(),
    ) -> None:
        self._make, self._on_state, self._retry = make, on_state, retry
        self._every_frame = every_frame
        self._first: Source | None = make()
        self.name, self._endless = self._first.name, self._first.endless
        self.depth: bool | None = getattr(self._first, "depth", False)
        if every_frame and self._endless:
            raise InputError(f"{self.name}: --every-frame is for files; a camera does not wait until a frame is done")
        self.reconnects = 0
        self.ended = False
        self._buffer = FrameBuffer(keep_all=every_frame)
        self._direct: SourceReader | None = None  # read by the thread that takes the frames
        self._reader: SourceReader | None = None
        self._left_behind: list[threading.Thread] = []
        self._began: float | None = None  # of the first attempt: what is opened besides may take long
        self._failures = 0
        self._finished = False
        self._next_attempt = 0.0
        self._next_poll = 0.0
        self._closed = False
        self._state = SourceState(self.name, "opening")

    @property
    def state(self) -> SourceState:
        """Return the state of the source."""
        return self._state

    @property
    def captured(self) -> int:
        """Count the frames that the source has shown."""
        return self._buffer.captured

    @property
    def dropped(self) -> int:
        """Count the captured frames that were not taken and never will be."""
        return self._buffer.dropped

    def take(self, seconds: float) -> Frame | None:
        """Return the newest frame not taken yet; None where none comes within `seconds`, or the source has ended.

        Raises:
            InputError: the source cannot be used at all.
            RunFailedError: it gave no first frame, or a file broke.
        """
        frame = self._buffer.take()
        if frame is None:
            direct = self._direct
            frame = self._wait_for_frame(seconds) if direct is None else self._read_here(direct)
        # Polling the source's health costs more than taking a frame from it, and its times are tenths of a second.
        now = time.monotonic()
        if frame is None or now >= self._next_poll:
            self._next_poll = now + _POLL_SECONDS
            self._supervise(now)
        return frame

    def poll_health(self) -> None:
        """Check the source, and open it again where it failed; to be called ten times a second while no frame is taken.

        Raises:
            InputError: the source cannot be used at all.
            RunFailedError: it gave no first frame, or a file broke.
        """
        self._supervise(time.monotonic())

    def close(self, seconds: float = 2.0) -> None:
        """Release the source. A thread that hangs in a driver is waited for `seconds` at most."""
        with self._buffer.change:
            self._closed = True
            self._buffer.clear()
            reader, self._reader = self._reader, None
            self._buffer.wake()
        if reader is not None:
            reader.close_in_background()
            if reader.thread.is_alive():
                reader.thread.join(seconds)
        self._buffer.clear()  # one may have been on its way

    def hanging(self) -> int:
        """Count the threads that still hang inside a driver."""
        self._left_behind = [thread for thread in self._left_behind if thread.is_alive()]
        return len(self._left_behind)

    def _supervise(self, now: float) -> None:
        reader = self._reader
        if self.ended or self._closed:
            return
        if self._finished:
            self._end()
        elif reader is None:
            if now >= self._next_attempt:
                self._begin(now)
        elif reader.over:
            self._reader = None
            self._conclude(reader, now)
        elif reader.frames:
            self._check_silence(reader, now)
        elif now - reader.began > self._retry.opening:
            self._leave_behind(reader)
            self._lose(SourceError(f"gives no frame within {self._retry.opening:.0f} s of opening it"), now)

    def _check_silence(self, reader: SourceReader, now: float) -> None:
        """Set the state by the time since the newest frame; give up a camera that is silent for too long."""
        silent = self._silence(reader, now)
        if reader.last - reader.began > 2:
            self._failures = 0
        if silent < (self._retry.stalled if self._endless else self._retry.reopen):
            self._set_state("running")
        elif silent < self._retry.reopen or not self._endless:
            self._set_state("stalled", f"no frame for {silent:.0f} s")
        else:
            self._leave_behind(reader)
            self._lose(SourceError(f"no frame for {silent:.0f} s"), now)

    def _silence(self, reader: SourceReader, now: float) -> float:
        """Return the seconds for which a frame could have come, and did not."""
        waits = self._direct is not None or (not self._endless and (self._buffer.full or len(self._buffer) > 0))
        if waits:  # a file whose frames are taken slowly
            return 0.0
        # a file shows the next frame when it is due, however long that is
        return now - max(reader.last, min(now, getattr(reader.source, "due", 0.0)))

    def _begin(self, now: float) -> None:
        self._began = now if self._began is None else self._began
        if self.hanging() >= MOST_LEFT_BEHIND:
            self._set_state("lost", "its driver does not respond; unplug it, or restart the board")
            self._next_attempt = now + self._retry.delays[-1]
            return
        source, self._first = self._first or self._make(), None
        reader = SourceReader(source, self._read)
        if not self.captured:
            self._set_state("opening")
        with self._buffer.change:
            if self._closed:
                return
            self._reader = reader
            reader.thread.start()

    def _read(self, reader: SourceReader) -> None:
        source, reading = reader.source, 0.0
        try:
            source.open()
            while True:
                began = time.perf_counter()
                shot = source.read()
                reading += time.perf_counter() - began
                if not self._put(reader, shot):
                    break
                # Over a network a later read may take seconds, which the loop must not spend in it.
                quick = reader.frames == AHEAD and reading < AHEAD * QUICK_READ and "://" not in self.name
                if self._every_frame and quick:
                    self._direct = reader
                    break
        except Exception as failure:  # noqa: BLE001 - drivers raise what they like; the camera is lost, not the program
            reader.failure = failure
        if self._direct is not reader:
            reader.finish()
        self._buffer.wake()

    def _read_here(self, reader: SourceReader) -> Frame | None:
        try:
            self._put(reader, reader.source.read())
        except Exception as failure:  # noqa: BLE001 - as in the thread
            reader.failure, self._direct = failure, None
            reader.finish()
        return self._buffer.take()

    def _wait_for_frame(self, seconds: float) -> Frame | None:
        if self._reader is None:
            self._supervise(time.monotonic())  # at the very first, so that a source is open before it is waited for
        return self._buffer.wait(seconds, lambda: self.ended)

    def _put(self, reader: SourceReader, shot: Shot) -> bool:
        if self._every_frame:
            self._buffer.wait_for_room(lambda: self._reader is not reader)
        if self._reader is not reader:
            return False
        if not reader.frames and self.captured:
            self.reconnects += 1
        reader.frames += 1
        reader.last = now = time.monotonic()
        number = self._buffer.captured + shot.skipped
        clock = time.time() - (now - shot.captured)
        self._buffer.put(Frame(number, shot.pixels, shot.captured, clock, shot.position))
        return True

    def _conclude(self, reader: SourceReader, now: float) -> None:
        failure = reader.failure
        if isinstance(failure, EndOfSourceError):
            if self._endless:
                self._lose(SourceError("the stream has ended"), now)
                return
            if not self.captured:
                raise RunFailedError(f"{self.name}: holds no frame")
            self._finished = True
            self._end()
            return
        if failure is None:
            return
        if not self._endless:
            if isinstance(failure, InputError):
                raise failure
            raise RunFailedError(f"{self.name}: {one_line(failure)}") from failure
        if isinstance(failure, InputError) and not self.captured:
            raise failure
        self._lose(failure, now)

    def _lose(self, failure: BaseException, now: float) -> None:
        reason = one_line(failure)
        if not self.captured and self._began is not None and now - self._began > self._retry.first:
            raise RunFailedError(f"{self.name}: {reason}") from failure
        self._next_attempt = now + self._retry.delay(self._failures)
        self._failures += 1
        if self.captured:
            self._set_state("lost", f"{reason}; trying again")

    def _end(self) -> None:
        with self._buffer.change:
            if len(self._buffer):  # the last ones are still to be taken
                return
            self.ended = True
        self._set_state("ended")

    def _leave_behind(self, reader: SourceReader) -> None:
        with self._buffer.change:
            self._reader = None
            self._buffer.wake()
        self._left_behind.append(reader.thread)
        reader.close_in_background()

    def _set_state(self, status: str, detail: str = "") -> None:
        state = SourceState(self.name, status, detail, self.reconnects)
        if state != self._state:
            self._state = state
            self._on_state(state)
