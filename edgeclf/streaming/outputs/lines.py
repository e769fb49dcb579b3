"""Lines into a pipe that may be full, without ever being stuck in it.

A thread that is inside `write` cannot be woken, and holds the lock of its stream: whoever closes the stream then waits
with it for ever. So it is asked before whether there is room.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import IO

_AT_ONCE = 1000
"""Characters, of four bytes at most: a pipe with room takes 4,096 bytes without waiting."""


def has_room(stream: IO[str], seconds: float) -> bool:
    """Whether a short text can be written to `stream` at once; waited for up to `seconds`."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, AttributeError):
        return True  # it is in memory
    poller = select.poll()
    poller.register(descriptor, select.POLLOUT)
    return bool(poller.poll(seconds * 1000))


def write_line(stream: IO[str], line: str, give_up: Callable[[], bool]) -> bool:
    """Write `line` and its end; False where `give_up` said yes before there was room for it.

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
