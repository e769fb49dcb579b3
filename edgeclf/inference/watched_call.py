"""Calls native code that may never end: in a thread of its own, which is given up after a while."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from edgeclf.errors import RunFailedError
from edgeclf.inference.limits import MEGABYTES_VARIABLE, SECONDS_VARIABLE, ModelLimits

_LOOK_SECONDS = 0.02


class WatchedCall:
    """A native function that is waited for within limits; the runtime releases the interpreter lock while it works.

    Native code cannot be interrupted. A call that is given up goes on in its thread until the process ends, and what
    it works on is never freed; no other call is begun. A call costs 50 to 150 microseconds more than without.

    Args:
        function: what is called.
        owner: the native object that it works on.
        name: of the model, in messages.
        limits: for one call.

    Attributes:
        function: what is called: for stopwatches, once a call on the same input has ended within the limits.
    """

    def __init__(self, function: Callable[[], object], owner: object, name: str, limits: ModelLimits) -> None:
        self.function, self._owner, self._name, self._limits = function, owner, name, limits
        self._given_up: str | None = None

    def __call__(self) -> None:
        """Call it.

        Raises:
            RunFailedError: it takes longer, or more memory, than allowed.
        """
        if self._given_up is not None:
            raise RunFailedError(self._given_up)
        failures: list[Exception] = []
        done = threading.Event()

        def work() -> None:
            try:
                self.function()
            except Exception as error:  # noqa: BLE001 - raised again where it was called
                failures.append(error)
            finally:
                done.set()

        before, give_up = _resident_bytes(), time.monotonic() + self._limits.seconds
        threading.Thread(target=work, name="edgeclf model", daemon=True).start()
        while not done.wait(max(0.0, min(_LOOK_SECONDS, give_up - time.monotonic()))):
            if _resident_bytes() - before > self._limits.bytes:
                self._abandon(f"more than {self._limits.megabytes:,.0f} MB", MEGABYTES_VARIABLE)
            if time.monotonic() >= give_up:
                self._abandon(f"more than {self._limits.seconds:g} s", SECONDS_VARIABLE)
        if failures:
            raise failures[0]

    def _abandon(self, excess: str, variable: str) -> None:
        # The thread goes on working on it, so it must never be freed, not even when the process ends.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._owner))
        meant = f"if it is meant to, set {variable} to a larger number"
        self._given_up = f"{self._name}: one image takes {excess}, and may never end; {meant}"
        raise RunFailedError(self._given_up)


def _resident_bytes() -> int:
    """Return the memory of this process; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
