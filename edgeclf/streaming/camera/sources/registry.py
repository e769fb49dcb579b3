"""Make the source that the text behind `--camera` names."""

from __future__ import annotations

import re
from collections.abc import Callable

from edgeclf.errors import InputError
from edgeclf.streaming.camera.source import Source, SourceRequest
from edgeclf.streaming.camera.sources.depth_frames import open_depth_frames
from edgeclf.streaming.camera.sources.files import open_file_address, open_path
from edgeclf.streaming.camera.sources.gstreamer import open_pipeline
from edgeclf.streaming.camera.sources.picamera import open_picamera
from edgeclf.streaming.camera.sources.stream import open_address
from edgeclf.streaming.camera.sources.usb_camera import describe_cameras, open_device, open_numbered_device

Opener = Callable[[SourceRequest], Source | None]
"""Makes the source that a request names, without opening it yet; None where the request is of another kind."""

EXPECTED = (
    "expected a number (0), a device (/dev/video0), a video file, a folder of images, a recording, "
    "an address (rtsp://, http://), a GStreamer pipeline (with ' ! ' between its elements), picamera2, "
    "or depth:FOLDER of 16-bit PNGs"
)

SOURCES: dict[str, Opener] = {
    r"[A-Za-z][A-Za-z0-9+.-]*://.*": open_address,
    r"[Ff][Ii][Ll][Ee]://.*": open_file_address,
    r".*\s!\s.*": open_pipeline,
    r".*": open_path,
    r"/dev/.*": open_device,
    r"\d{1,3}": open_numbered_device,
    r"picamera2(:\d{1,2})?": open_picamera,
    r"depth:.+": open_depth_frames,
}
"""The kinds of sources: a regular expression that the whole text behind `--camera` matches, and what makes the source.

The last entry that matches is asked first, so that an entry added later takes precedence:

    SOURCES[r"thermal:\\d+"] = open_thermal_camera
"""


def choose_source(
    camera: str,
    *,
    every_frame: bool = False,
    size: tuple[int, int] | None = None,
    rate: float | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> Source:
    """Make the source that `camera` names; nothing is opened yet.

    A device need not exist now: a camera may be plugged in later. Files must.

    Args:
        camera: `0`, `/dev/video0`, a video file, an image, a folder of images, a recording (a folder with `times.csv`),
            an address, a GStreamer pipeline, `picamera2` or `picamera2:1`, `depth:FOLDER` (depth frames), or what an
            entry of `SOURCES` matches.
        every_frame: show all frames of a file, as fast as they are taken.
        size: width and height to ask a camera for, pixels.
        rate: frames a second to ask a camera for; images a second of a folder.
        log: gets a line about what is left out or done otherwise.

    Raises:
        InputError: it names nothing that can be a source; the message has what was expected and which cameras exist.
    """
    request = SourceRequest(camera, every_frame, size, rate, log)
    for pattern, opener in reversed(SOURCES.items()):
        if re.fullmatch(pattern, camera, re.DOTALL) and (source := opener(request)) is not None:
            return source
    what = "no such file or folder" if "/" in camera or "." in camera else "no such camera"
    raise InputError(f"--camera {camera!r}: {what}; {EXPECTED}; {describe_cameras()}")
