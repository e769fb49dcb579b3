"""Notify systemd of the state of the program, without a library: one datagram a message.

The protocol is that of `sd_notify(3)`; the watchdog's that of `sd_watchdog_enabled(3)`. The watchdog is fed by the loop
itself, so that a loop that hangs is noticed: a timer beside it would go on feeding.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

from edgeclf.printable import one_line

_FEEDINGS = 3  # messages within the time after which systemd gives up, so that two may be late or lost
_RETRY_SECONDS = 1.0


class Notifier:
    """Sends states to the manager of services; does nothing where there is none. Safe to use from any thread.

    A message that cannot be sent is dropped in silence: no manager is no reason to stop, and a manager whose
    watchdog is not fed acts by itself.

    Args:
        address: of the datagram socket: a path, or an abstract name behind `@`; None: there is no manager.
        watchdog_seconds: after how long without `beat` the manager restarts the program; None: never.
    """

    def __init__(self, address: str | None, watchdog_seconds: float | None = None) -> None:
        usable = address is not None and len(address) > 1 and address[0] in "/@"
        self._address = address if usable else None
        self._every = (watchdog_seconds or 0.0) / _FEEDINGS
        self._next_beat = 0.0 if self._address and self._every > 0 else float("inf")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Notifier:
        """Read NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, which may name another process."""
        microseconds = environment.get("WATCHDOG_USEC", "")
        ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        seconds = int(microseconds) / 1e6 if ours and microseconds.isascii() and microseconds.isdigit() else None
        return cls(environment.get("NOTIFY_SOCKET"), seconds)

    def ready(self) -> None:
        """Notify that the program has started and works."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Set the line that `systemctl status` shows."""
        self._send(f"STATUS={one_line(text)}")

    def stopping(self) -> None:
        """Notify that the program is about to end."""
        self._send("STOPPING=1")

    def beat(self) -> None:
        """Feed the watchdog where that is due; to be called at each turn of the loop."""
        now = time.monotonic()
        if now < self._next_beat:
            return
        sent = self._send("WATCHDOG=1")
        self._next_beat = now + (self._every if sent else min(self._every, _RETRY_SECONDS))

    def _send(self, message: str) -> bool:
        if self._address is None:
            return False
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        # UnicodeEncodeError and the refusal of a path that is too long are no OSErrors.
        with contextlib.suppress(OSError, ValueError):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.setblocking(False)
                channel.sendto(message.encode(errors="replace"), address)
            return True
        return False


class ReadyNotice:
    """An output that notifies systemd with the first result: until then a camera may be missing."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier, self._sent = notifier, False

    def take(self, result: object, picture: object) -> None:
        """Notify at the first result."""
        if not self._sent:
            self._sent = True
            self._notifier.ready()

    def close(self) -> None:
        """Do nothing: there is nothing to release."""
