"""Run a program of the user's at each change of the label, with the event as JSON on its stdin."""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass

from edgeclf.errors import InputError, RunFailedError
from edgeclf.json_text import write_json
from edgeclf.records import Record
from edgeclf.streaming.loop.geometry import Picture
from edgeclf.streaming.loop.result import Result
from edgeclf.streaming.supervision.background import Background
from edgeclf.streaming.supervision.problems import Problems

TIME_OUT = 30.0
"""Seconds that a program may take."""

_PART = "on-change"
_POLITE = 0.3
_AT_THE_END = 1.3
_KEPT_STDERR = 4096


@dataclass(frozen=True)
class ChangeEvent(Record):
    """What the program reads: one JSON document on one line.

    Attributes:
        label: the new label.
        previous: the one before; None at the first result.
        probability: smoothed, of `label`.
        time: of the capture, ISO 8601 with time zone.
        frame: number of the captured frame.
        frame_age_ms: from the capture to the result, milliseconds.
        raw_label: the frame's own best class.
    """

    label: str
    previous: str | None
    probability: float
    time: str
    frame: int
    frame_age_ms: float
    raw_label: str


class OnChange:
    """Runs a program at each change of the label, one at a time.

    While it runs, only the newest change waits; those between are skipped. It gets the event on its stdin, its stdout
    goes nowhere (that of edgeclf may be read by another program), and the last line of its stderr is reported where
    it fails. It runs in a process group of its own; whatever of that is left when it ends, after 30 seconds, or when
    edgeclf ends, is ended too.

    Args:
        command: program and arguments, quoted as in a shell; no shell runs it.
        problems: gets failures, as `on-change`.

    Raises:
        InputError: the quotes do not match, or there is no such program.
    """

    def __init__(self, command: str, problems: Problems) -> None:
        self._command = split_command(command)
        self._label: str | None = None
        self._last_moment = float("inf")
        self._background = Background(_PART, self._run, problems, capacity=1)

    def take(self, result: Result, picture: Picture) -> None:
        """Compare labels, and hand a change to the thread that runs the program."""
        if result.label != self._label:
            previous, self._label = self._label, result.label
            self._background.offer(
                ChangeEvent(
                    result.label,
                    previous,
                    result.probability,
                    result.time,
                    result.frame,
                    result.frame_age_ms,
                    result.raw_label,
                )
            )

    def close(self) -> None:
        """Let the running program and the last change end within about a second, else end them."""
        self._last_moment = min(self._last_moment, time.monotonic() + _AT_THE_END)
        self._background.close(2.0)

    def _run(self, event: ChangeEvent) -> None:
        too_late = f"{self._command[0]} did not run to its end, as edgeclf ends"
        if time.monotonic() >= self._last_moment:
            raise RunFailedError(too_late)
        process = self._start()
        tail = bytearray()
        try:
            _feed(process, event)
            began = time.monotonic()
            while not _ended(process):
                _read(process, tail, 0.02)
                now = time.monotonic()
                if now >= self._last_moment:
                    raise RunFailedError(too_late)
                if now - began > TIME_OUT:
                    raise RunFailedError(f"{self._command[0]} took more than {TIME_OUT:g} seconds and was ended")
            _read(process, tail, 0)
        finally:
            code = _end_group(process)
        if code:
            ending = f"exit code {code}" if code > 0 else f"ended by {_name_signal(-code)}"
            line = tail.decode(errors="replace").strip().splitlines()[-1:]
            raise RunFailedError(f"{self._command[0]}: {ending}" + (f" ({line[0].strip()[:200]})" if line else ""))

    def _start(self) -> subprocess.Popen[bytes]:
        # A child starts with the mask of the thread that starts it; it should get all signals.
        mask = signal.pthread_sigmask(signal.SIG_SETMASK, ())
        try:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
                close_fds=True,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def split_command(command: str) -> list[str]:
    """Split a command line into program and arguments.

    Raises:
        InputError: it is empty, its quotes do not match, or there is no such program.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InputError(f"--on-change {command}: cannot be split into words ({str(error).lower()})") from error
    if not words:
        raise InputError("--on-change: expected a program, got nothing")
    if shutil.which(words[0]) is None:
        place = "is no program that can be run" if os.sep in words[0] else "is not found on the PATH"
        raise InputError(f"--on-change: {words[0]!r} {place}; give a program, or its path, and chmod +x it")
    return words


def _feed(process: subprocess.Popen[bytes], event: ChangeEvent) -> None:
    assert process.stdin is not None
    line = write_json(event.to_dict()).encode() + b"\n"
    # far less than a pipe holds, so this cannot wait; a program that reads nothing is fine
    with contextlib.suppress(BrokenPipeError):
        os.write(process.stdin.fileno(), line)
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()


def _read(process: subprocess.Popen[bytes], tail: bytearray, seconds: float) -> None:
    """Keep the end of what it writes to stderr; wait for some up to `seconds`."""
    assert process.stderr is not None
    poller = select.poll()  # unlike select, it also takes descriptors above 1023
    poller.register(process.stderr, select.POLLIN)
    if poller.poll(seconds * 1000):
        part = os.read(process.stderr.fileno(), 65536)
        if not part:  # closed, while the program may run on
            time.sleep(seconds)
        tail += part
        del tail[:-_KEPT_STDERR]


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Return whether it ended, without reaping it: while it is not reaped, its group's number is nobody else's."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end_group(process: subprocess.Popen[bytes]) -> int:
    """End whatever is left of its process group, at first politely; returns the exit code, negative for a signal."""
    if not _ended(process):
        _signal_group(process, signal.SIGTERM)
        give_up = time.monotonic() + _POLITE
        while not _ended(process) and time.monotonic() < give_up:
            time.sleep(0.01)
    _signal_group(process, signal.SIGKILL)
    if process.stderr is not None:
        process.stderr.close()
    return process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _name_signal(number: int) -> str:
    with contextlib.suppress(ValueError):  # most real-time signals have no name
        return signal.Signals(number).name
    return f"signal {number}"
