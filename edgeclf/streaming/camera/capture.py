"""Frames from a source, taken in a thread of their own, and only the newest kept: what is shown is never behind.

A queue between camera and network grows whenever the network is slower, and then every label is late by the whole of
it. Here a frame that nobody took is replaced by the next one and counted as dropped. Where every frame of a file is
wanted, the thread reads a few ahead; frames that come faster than threads take turns are read by the loop itself.

A camera may fail, or hang inside its driver, where no thread can be woken. Such a thread is left behind: it holds
nothing that a new attempt needs, what it returns later is thrown away, and it closes its device then.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable

from edgeclf.errors import InputError, RunFailedError, one_line
from edgeclf.streaming.camera.frame import Frame, Shot
from edgeclf.streaming.camera.source import EndOfSourceError, Source, SourceError
from edgeclf.streaming.camera.source_reader import Attempt, Patience
from edgeclf.streaming.loop.state import SourceState

AHEAD = 8
"""Frames that may wait where every frame is wanted; the source waits then, so nothing gets late."""

AT_ONCE = 0.0003
"""Seconds: a frame that is read in less is not worth a thread, whose turn costs a third of that."""

MOST_LEFT_BEHIND = 3
"""Threads that may hang in a driver at a time; with more, the driver is waited for."""


class Capture:
    """The newest frame of a source that is opened again whenever it fails.

    Args:
        make: gives a source ready to be opened; called for each attempt, since an old one may hang.
        on_state: told about each change of the source's state, from the thread that calls `take`.
        every_frame: keep all frames and let the source wait: for files that are to be classified whole.
        patience: how long to wait for what.

    Raises:
        InputError: every frame of a camera is asked for, which would be late by more and more.
    """

    def __init__(
        self,
        make: Callable[[], Source],
        *,
        on_state: Callable[[SourceState], None] = lambda state: None,
        every_frame: bool = False,
        patience: Patience = Patience(),
    ) -> None:
        self._make, self._on_state, self._patience = make, on_state, patience
        self._every_frame = every_frame
        self._first: Source | None = make()
        self.name, self._endless = self._first.name, self._first.endless
        if every_frame and self._endless:
            raise InputError(f"{self.name}: --every-frame is for files; a camera does not wait until a frame is done")
        self.captured = 0
        self.reconnects = 0
        self.ended = False
        # A deque's own operations are atomic: frames change hands without a lock, taken only to wait and to wake.
        self._frames: deque[Frame] = deque(maxlen=None if every_frame else 1)
        self._taken = 0
        self._change = threading.Condition()
        self._hungry = False  # somebody waits for a frame
        self._full = False  # the source waits for room
        self._direct: Attempt | None = None  # read by who takes the frames
        self._attempt: Attempt | None = None
        self._left_behind: list[threading.Thread] = []
        self._began = time.monotonic()
        self._failures = 0
        self._finished = False
        self._next_attempt = 0.0
        self._closed = False
        self._state = SourceState(self.name, "opening")
        self._look_after = 0.0

    @property
    def state(self) -> SourceState:
        """How the source is."""
        return self._state

    @property
    def dropped(self) -> int:
        """Captured frames that nobody took, and nobody will."""
        return max(0, self.captured - self._taken - len(self._frames))

    def take(self, seconds: float) -> Frame | None:
        """The newest frame that was not taken yet; None where none comes within `seconds`, or the source has ended.

        Raises:
            InputError: the source cannot be used at all.
            RunFailedError: it gave no first frame, or a file broke.
        """
        try:
            frame: Frame | None = self._frames.popleft()
        except IndexError:
            direct = self._direct
            frame = self._wait_for_frame(seconds) if direct is None else self._read_here(direct)
        if frame is not None:
            self._taken += 1
            if self._full and len(self._frames) <= AHEAD // 2:
                with self._change:
                    self._change.notify_all()
        # Looking after the source costs more than taking a frame from it, and its times are tenths of a second.
        now = time.monotonic()
        if frame is None or now >= self._look_after:
            self._look_after = now + 0.1
            self._supervise(now)
        return frame

    def look_after(self) -> None:
        """See how the source is; to be called some ten times a second while no frame is taken.

        Raises:
            InputError: the source cannot be used at all.
            RunFailedError: it gave no first frame, or a file broke.
        """
        self._supervise(time.monotonic())

    def close(self, seconds: float = 2.0) -> None:
        """Release the source. A thread that hangs in a driver is waited for `seconds` at most."""
        with self._change:
            self._closed = True
            self._frames.clear()
            attempt, self._attempt = self._attempt, None
            self._change.notify_all()
        if attempt is not None:
            attempt.part_with()
            if attempt.thread.is_alive():
                attempt.thread.join(seconds)
        self._frames.clear()  # one may have been on its way

    def hanging(self) -> int:
        """Threads that still hang inside a driver."""
        self._left_behind = [thread for thread in self._left_behind if thread.is_alive()]
        return len(self._left_behind)

    def _supervise(self, now: float) -> None:
        attempt = self._attempt
        if self.ended or self._closed:
            return
        if self._finished:
            self._end()
            return
        if attempt is None:
            if now >= self._next_attempt:
                self._begin(now)
            return
        if attempt.over:
            self._attempt = None
            self._conclude(attempt, now)
            return
        quiet = now - max(attempt.last, attempt.began)
        if attempt.frames:
            self._failures = 0 if attempt.last - attempt.began > 2 else self._failures
            if quiet < (self._patience.stalled if self._endless else self._patience.reopen):
                self._tell("running")
            elif quiet < self._patience.reopen or not self._endless:
                # A file whose frames are taken slowly waits itself.
                waits = not self._endless and (self._full or bool(self._frames))
                self._tell(*(("running",) if waits else ("stalled", f"no frame for {quiet:.0f} s")))
            else:
                self._leave_behind(attempt)
                self._lose(SourceError(f"no frame for {quiet:.0f} s"), now)
        elif quiet > self._patience.opening:
            self._leave_behind(attempt)
            self._lose(SourceError(f"gives no frame within {self._patience.opening:.0f} s of opening it"), now)

    def _begin(self, now: float) -> None:
        if self.hanging() >= MOST_LEFT_BEHIND:
            self._tell("lost", "its driver does not answer; unplug it, or restart the board")
            self._next_attempt = now + self._patience.delays[-1]
            return
        source, self._first = self._first or self._make(), None
        attempt = Attempt(source, self._read)
        if not self.captured:
            self._tell("opening")
        with self._change:
            if self._closed:
                return
            self._attempt = attempt
            attempt.thread.start()

    def _read(self, attempt: Attempt) -> None:
        source, reading = attempt.source, 0.0
        try:
            source.open()
            while True:
                began = time.perf_counter()
                shot = source.read()
                reading += time.perf_counter() - began
                if not self._put(attempt, shot):
                    break
                # Over a network a later read may take seconds, which the loop must not spend in it.
                quick = attempt.frames == AHEAD and reading < AHEAD * AT_ONCE and "://" not in self.name
                if self._every_frame and quick:
                    self._direct = attempt
                    break
        except Exception as failure:  # noqa: BLE001 - drivers raise what they like; the camera is lost, not the program
            attempt.failure = failure
        if self._direct is not attempt:
            self._finish(attempt)
        with self._change:
            self._change.notify_all()

    def _finish(self, attempt: Attempt) -> None:
        with contextlib.suppress(Exception):
            attempt.source.close()
        attempt.over = True

    def _read_here(self, attempt: Attempt) -> Frame | None:
        try:
            self._put(attempt, attempt.source.read())
        except Exception as failure:  # noqa: BLE001 - as in the thread
            attempt.failure, self._direct = failure, None
            self._finish(attempt)
        return self._frames.popleft() if self._frames else None

    def _wait_for_frame(self, seconds: float) -> Frame | None:
        if self._attempt is None:
            self._supervise(time.monotonic())  # at the very first, so that nobody waits for what has not begun
        with self._change:
            self._hungry = True  # before the look, so that a frame that comes in between wakes us
            if not self._frames and not self.ended:
                self._change.wait(seconds)
            self._hungry = False
        try:
            return self._frames.popleft()
        except IndexError:
            return None

    def _put(self, attempt: Attempt, shot: Shot) -> bool:
        if self._every_frame and len(self._frames) >= AHEAD:
            with self._change:
                self._full = True
                self._change.wait_for(lambda: len(self._frames) <= AHEAD // 2 or self._attempt is not attempt)
                self._full = False
        if self._attempt is not attempt:
            return False
        if not attempt.frames and self.captured:
            self.reconnects += 1
        attempt.frames += 1
        attempt.last = now = time.monotonic()
        number = self.captured + shot.skipped
        self._frames.append(Frame(number, shot.pixels, shot.captured, time.time() - (now - shot.captured)))
        self.captured = number + 1
        if self._hungry:
            with self._change:
                self._change.notify_all()
        return True

    def _conclude(self, attempt: Attempt, now: float) -> None:
        failure = attempt.failure
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
        if not self.captured and now - self._began > self._patience.first:
            raise RunFailedError(f"{self.name}: {reason}") from failure
        delay = self._patience.delays[min(self._failures, len(self._patience.delays) - 1)]
        self._failures += 1
        self._next_attempt = now + delay
        if self.captured:
            self._tell("lost", f"{reason}; trying again")

    def _end(self) -> None:
        with self._change:
            if self._frames:  # the last ones are still to be taken
                return
            self.ended = True
        self._tell("ended")

    def _leave_behind(self, attempt: Attempt) -> None:
        with self._change:
            self._attempt = None
            self._change.notify_all()
        self._left_behind.append(attempt.thread)
        attempt.part_with()

    def _tell(self, status: str, detail: str = "") -> None:
        state = SourceState(self.name, status, detail, self.reconnects)
        if state != self._state:
            self._state = state
            self._on_state(state)
