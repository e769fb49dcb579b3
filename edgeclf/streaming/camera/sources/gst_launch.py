"""Run a GStreamer pipeline in a child process, whose raw frames come through a pipe.

OpenCV's wheels are built without GStreamer. `gst-launch-1.0` is on every system that has the pipeline's elements; with
`-v` it prints on stdout how large the frames are, and on stderr why it fails.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from typing import IO

import numpy as np

from edgeclf.errors import InputError
from edgeclf.streaming.camera.device_guard import DeviceGuard
from edgeclf.streaming.camera.frame import Pixels, Shot
from edgeclf.streaming.camera.source import EndOfSourceError, SourceError

LAUNCH = "gst-launch-1.0"
INSTALL = (
    "run: sudo apt install gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good "
    "(and gstreamer1.0-libcamera for libcamerasrc)"
)

# About one line in a hundred about a pad is lost in gst-launch; that of any of our elements will do, since none of them
# changes the size. Where all are lost, the pipeline is started again.
_CAPS = re.compile(r":edgeclf_\w+\.GstPad:\w+: caps = .*width=\(int\)(\d+).*height=\(int\)(\d+)")
_ATTEMPTS = 3
_LATE_SECONDS = 1.0
_HOPELESS = re.compile(r"(?:WARNING: erroneous pipeline|ERROR: pipeline could not be constructed): (.*)")
_FAILED = re.compile(r"ERROR: (?:from element \S*?:?([\w-]+): )?(.*)")
_DETAIL = re.compile(r"streaming stopped, reason (.*)")
_STOPPING_SECONDS = 0.5


class GstLaunchSource:
    """A pipeline in a child process, which ends with this process, with the thread that opened it, or on `close`.

    Args:
        pipeline: without a sink.
        name: shown in lines and views.
        endless: whether it is a camera.
        synced: frames come when they are due, not as soon as they can.
        hide: takes passwords out of a message.
    """

    def __init__(
        self, pipeline: str, name: str, *, endless: bool, synced: bool, hide: Callable[[str], str] = lambda text: text
    ) -> None:
        self.name, self.endless = name, endless
        # In time first, then a leaky queue that holds the newest frame only: it must not let a file rush through.
        in_time = "! identity name=edgeclf_in_time sync=true " if synced else ""
        newest = "! queue name=edgeclf_newest leaky=downstream max-size-buffers=1 max-size-bytes=0 max-size-time=0 "
        self._pipeline = (
            f"{pipeline} {in_time}{newest if synced or endless else ''}! videoconvert name=edgeclf_bgr ! "
            "video/x-raw,format=BGR ! fdsink name=edgeclf_frames sync=false"
        )
        self._hide = hide
        self._child: _Child | None = None
        self._device = DeviceGuard(lambda: None)

    def open(self) -> None:
        """Start the pipeline and wait for its first frame's size.

        Raises:
            InputError: the pipeline is none; with GStreamer's own reason.
            SourceError: it does not run now; with GStreamer's own reason.
        """
        for _ in range(_ATTEMPTS):
            self._child = child = _Child(self._pipeline)
            self._device = device = DeviceGuard(child.release)
            with device.entered():
                if not child.wait_for_size():
                    child.stop()
                elif child.size is None:
                    failure = self._failure(child)
                    if isinstance(failure, SourceError) and not self.endless:
                        raise InputError(f"--camera: {failure}")
                    raise failure
                else:
                    self._size = child.size
                    return
            device.close()
        raise SourceError("GStreamer does not report the size of its pictures")

    def read(self) -> Shot:
        """Return the next frame.

        Raises:
            SourceError: the pipeline failed, or the source was closed.
            EndOfSourceError: the pipeline has ended.
        """
        child = self._child
        if child is None:
            raise SourceError("is not open")
        with self._device.entered():
            shot = child.read_frame(*self._size)
            if child.size != self._size:
                raise SourceError("the size of its pictures has changed")
            if shot is None:
                raise self._failure(child)
        return shot

    def close(self) -> None:
        """End the child; from any thread, also while another one reads."""
        self._device.close()
        if self._child is not None:
            self._child.stop()

    def _failure(self, child: _Child) -> Exception:
        child.over.wait(_STOPPING_SECONDS)  # its last words come after its last frame
        if child.error is None:
            return EndOfSourceError()
        reason, hopeless = child.error
        if hopeless:
            return InputError(f"--camera: GStreamer cannot make this pipeline: {self._hide(reason)}")
        return SourceError(f"GStreamer: {self._hide(reason)}")


class _Child:
    """The process, the pipe with its frames, and a thread that reads its output.

    Attributes:
        size: height and width of its frames; None: not known yet.
        known: the size is known, or never will be.
        over: the process has ended.
        error: why, and whether it would again; None: it ended well, or was stopped.
    """

    def __init__(self, pipeline: str) -> None:
        self.size: tuple[int, int] | None = None
        self.error: tuple[str, bool] | None = None
        self.known, self.over = threading.Event(), threading.Event()
        reading, writing = os.pipe()
        self._frames = io.FileIO(reading, "rb")
        command = [LAUNCH, "-v", *shlex.split(pipeline), f"fd={writing}"]
        if shutil.which("setpriv"):
            # However this process ends, a camera must not stay taken by what it leaves behind.
            command = ["setpriv", "--pdeathsig", "KILL", *command]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(writing,),
                env={**os.environ, "LC_ALL": "C", "GST_DEBUG_NO_COLOR": "1"},
                start_new_session=True,  # a Ctrl-C in the terminal is ours, and ends the child in its turn
            )
        except OSError as error:
            self._frames.close()
            raise InputError(
                f"--camera: {LAUNCH} cannot be started ({(error.strerror or str(error)).lower()})"
            ) from error
        finally:
            os.close(writing)
        assert self._process.stdout is not None
        threading.Thread(
            target=self._read_output, args=(self._process.stdout,), name="edgeclf gst-launch", daemon=True
        ).start()

    def wait_for_size(self) -> bool:
        """Wait until the size is known, or never will be; False where frames come without it.

        A child that is killed prints nothing more, which also counts as known.
        """
        late: float | None = None
        while not self.known.wait(0.1 if late else 0.5):
            if late is None and select.select([self._frames], [], [], 0)[0]:
                late = time.monotonic() + _LATE_SECONDS
            if late is not None and time.monotonic() > late:
                return self.known.is_set()
        return True

    def read_frame(self, height: int, width: int) -> Shot | None:
        """Return the next frame; None where the pipe ends."""
        row = (3 * width + 3) // 4 * 4  # GStreamer pads the rows of BGR pictures to whole words
        content = np.empty(height * row, np.uint8)
        view = content.data
        select.select([self._frames], [], [])
        captured = time.monotonic()
        while view:
            count = self._frames.readinto(view)
            if not count:
                return None
            view = view[count:]
        pixels: Pixels = content.reshape(height, row)[:, : 3 * width].reshape(height, width, 3)
        return Shot(pixels, captured)

    def stop(self) -> None:
        """End the child, and with it a `read_frame` that waits; at first by SIGINT, so that drivers can clean up."""
        process = self._process
        for number in (signal.SIGINT, signal.SIGKILL):
            if process.poll() is not None:
                return
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOPPING_SECONDS)

    def release(self) -> None:
        """Close the pipe, which no thread reads from any more."""
        self._frames.close()

    def _read_output(self, output: IO[bytes]) -> None:
        try:
            with output:
                for line in output:
                    self._parse_line(line.decode(errors="replace").strip())
        finally:
            self.known.set()
            self._process.wait()
            self.over.set()

    def _parse_line(self, line: str) -> None:
        if caps := _CAPS.search(line):
            self.size = int(caps[2]), int(caps[1])
            self.known.set()
            return
        if self.error is None:
            if match := _HOPELESS.search(line):
                self.error = match[1], True
            elif match := _FAILED.search(line):
                self.error = ": ".join(filter(None, match.groups())), False
        elif (match := _DETAIL.match(line)) and "data stream error" in self.error[0]:
            self.error = f"{self.error[0]} ({match[1]})", False
