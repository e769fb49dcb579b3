"""Guard a device that one thread uses and any thread may close."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from edgeclf.streaming.camera.source import SourceError


class DeviceGuard:
    """One opening of a device. `close` releases it at once, or has it released by the call that is inside.

    Releasing a camera under a call that runs crashes the process, and waiting for that call may take forever: a
    driver can hang. So the thread inside releases the device when its call returns, be it a minute later.

    Args:
        release: releases the device; called with no thread inside, perhaps more than once.
    """

    def __init__(self, release: Callable[[], None]) -> None:
        self._release = release
        self._lock = threading.Lock()
        self._closing = threading.Event()

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Enter the device, for the length of one call.

        Raises:
            SourceError: it was closed, before or meanwhile.
        """
        self._lock.acquire()
        try:
            self._check()
            yield
        except Exception as error:
            if self._closing.is_set():  # then whatever else went wrong follows from that
                raise SourceError("was closed") from error
            raise
        finally:
            self._lock.release()
            if self._closing.is_set():
                self._release_if_free()
        self._check()

    def wait_until(self, moment: float) -> None:
        """Sleep until `time.monotonic()` is `moment`.

        Raises:
            SourceError: closed meanwhile.
        """
        self._closing.wait(max(0.0, moment - time.monotonic()))
        self._check()

    def close(self) -> None:
        """Release the device; from any thread, any number of times. Never waits for a call that hangs."""
        self._closing.set()
        self._release_if_free()

    def _release_if_free(self) -> None:
        # Where the lock is taken, the thread that holds it sees on leaving that the device is to be released.
        if self._lock.acquire(blocking=False):
            try:
                self._release()
            finally:
                self._lock.release()

    def _check(self) -> None:
        if self._closing.is_set():
            raise SourceError("was closed")
