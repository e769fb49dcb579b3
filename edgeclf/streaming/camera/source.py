"""What a source of frames is: one small protocol over cameras, files, streams and recordings."""

from __future__ import annotations

from typing import Protocol

from edgeclf.errors import RunFailedError
from edgeclf.streaming.camera.frame import Shot


class SourceError(RunFailedError):
    """The source gives no frames now; a camera may again, once opened anew. One line, without the source's name."""


class EndOfSourceError(Exception):
    """A file or a folder has been shown to its end."""


class Source(Protocol):
    """Where frames come from. One thread opens and reads it; any thread may close it, also while another is inside.

    Making one is cheap and opens nothing. One whose `open` or `read` hangs in a driver is closed and left behind: it
    releases the device when the call comes back. For the next attempt another one is made, or, where nothing hangs,
    the same one opened again.

    Attributes:
        name: how it is called in lines and views, such as `/dev/video0`.
        endless: a camera or a stream, which is opened again when it stops giving frames; a file is not.
    """

    name: str
    endless: bool

    def open(self) -> None:
        """Make it ready to read; called again after `close`.

        Raises:
            SourceError: it gives no frames now.
            InputError: it never will: no such file, a package is missing.
        """

    def read(self) -> Shot:
        """The next frame; waits until it is there.

        Raises:
            SourceError: the device failed, or gave garbage.
            EndOfSourceError: there are no more frames.
        """

    def close(self) -> None:
        """Release the device and end a `read` that waits, with SourceError; harmless where nothing is open.

        Waits for no driver: where a call is inside one, the device is released when it comes back.
        """
