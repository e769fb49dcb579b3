"""Is there a display to open a window on? Asked before OpenCV is, which ends the whole process where it finds none."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time

import cv2

_TRY = "import cv2; cv2.namedWindow('edgeclf'); cv2.pollKey(); cv2.destroyAllWindows()"
_SECONDS = 10.0


def window_possible(stop: threading.Event | None = None) -> bool:
    """Whether a window can be opened: OpenCV has a window system, a display is named, and it answers.

    The last is tried in a process of its own: a display that is named but gone (an SSH session, a stopped desktop)
    makes Qt and GTK abort. Setting `stop` ends the wait for an answer.
    """
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    if re.search(r"^\s*GUI:\s*(NONE)?\s*$", cv2.getBuildInformation(), re.MULTILINE):
        return False  # the headless wheel
    try:
        return _answers(stop or threading.Event())
    except OSError:
        return False


def _answers(stop: threading.Event) -> bool:
    silent = subprocess.DEVNULL
    with subprocess.Popen([sys.executable, "-c", _TRY], stdin=silent, stdout=silent, stderr=silent) as tried:
        give_up = time.monotonic() + _SECONDS
        while tried.poll() is None:
            if time.monotonic() >= give_up or stop.wait(0.02):
                tried.kill()
                return False
        return tried.returncode == 0
