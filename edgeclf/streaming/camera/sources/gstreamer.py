"""Read from a GStreamer pipeline: through OpenCV where its build has GStreamer, else through a child process."""

from __future__ import annotations

import re
import shlex
import shutil
import time

import cv2

from edgeclf.errors import InputError
from edgeclf.streaming.camera.frame import Shot
from edgeclf.streaming.camera.source import EndOfSourceError, Source, SourceError, SourceRequest
from edgeclf.streaming.camera.sources.gst_launch import INSTALL, LAUNCH, GstLaunchSource
from edgeclf.streaming.camera.sources.video_handle import VideoHandle

_FINITE = re.compile(r"\b(filesrc|multifilesrc|num-buffers=[1-9]|file://)")
_OWN_SINK = re.compile(r"\s!\s+appsink\b[^!]*$")
_LONGEST_NAME = 60


def open_pipeline(request: SourceRequest) -> Source:
    """Make the source for a pipeline: elements with ` ! ` between them.

    Raises:
        InputError: its quotes are not closed, or nothing is installed that could run it.
    """
    request.refuse_size(redact_pipeline(request.camera))
    request.refuse_rate(redact_pipeline(request.camera))
    return make_gstreamer_source(request.camera, every_frame=request.every_frame)


def make_gstreamer_source(pipeline: str, *, every_frame: bool = False, in_opencv: bool | None = None) -> Source:
    """Make the source that shows what a pipeline gives, at the pipeline's own pace.

    A final `appsink` is replaced; its `sync=false` is kept. A pipeline of `filesrc`, `file://` or `num-buffers=` ends.

    Args:
        pipeline: as `gst-launch-1.0` takes it, such as `libcamerasrc ! video/x-raw,width=640,height=480`.
        every_frame: of a pipeline that ends, all frames, as fast as they are taken.
        in_opencv: whether OpenCV runs it; default: where it can.

    Raises:
        InputError: its quotes are not closed, or nothing is installed that could run it.
    """
    try:
        shlex.split(pipeline)
    except ValueError as error:
        raise InputError(f"--camera: the pipeline's quotes are not closed: {redact_pipeline(pipeline)}") from error
    pipeline = pipeline.strip().removeprefix(LAUNCH).strip()
    endless = not _FINITE.search(pipeline)
    sink = _OWN_SINK.search(pipeline)
    synced = not every_frame and not (sink and re.search(r"\bsync=(false|0)\b", sink[0]))
    pipeline = _OWN_SINK.sub("", pipeline)
    shown = redact_pipeline(pipeline)
    name = shown if len(shown) <= _LONGEST_NAME else f"{shown[: _LONGEST_NAME - 3]}..."
    if opencv_has_gstreamer() if in_opencv is None else in_opencv:
        return GstreamerInOpencvSource(pipeline, name, endless=endless, synced=synced)
    if shutil.which(LAUNCH) is None:
        raise InputError(f"--camera: a GStreamer pipeline needs {LAUNCH}, which is not installed; {INSTALL}")
    return GstLaunchSource(pipeline, name, endless=endless, synced=synced, hide=redact_pipeline)


def opencv_has_gstreamer() -> bool:
    """Return whether OpenCV was built with GStreamer: apt's is, pip's is not."""
    return re.search(r"GStreamer:\s+YES", cv2.getBuildInformation()) is not None


def redact_pipeline(text: str) -> str:
    """Remove the passwords from a pipeline, or from a message about one."""
    text = re.sub(r"://[^/@\s\"']*@", "://", text)
    return re.sub(
        r"(?i)\b([\w-]*(?:-pw|pass|user-id|secret|token|auth)[\w-]*=)(\"[^\"]*\"|'[^']*'|[^\s&]+)", r"\1...", text
    )


class GstreamerInOpencvSource:
    """A pipeline inside this process.

    Args:
        pipeline: without a sink.
        name: shown in lines and views.
        endless: whether it is a camera.
        synced: frames come when they are due, not as soon as they can.
    """

    def __init__(self, pipeline: str, name: str, *, endless: bool, synced: bool) -> None:
        self.name, self.endless = name, endless
        newest = "max-buffers=1 drop=true" if endless or synced else "max-buffers=1"
        self._pipeline = (
            f"{pipeline} ! videoconvert ! video/x-raw,format=BGR ! appsink {newest} sync={str(synced).lower()}"
        )
        self._handle: VideoHandle | None = None

    def open(self) -> None:
        """Start the pipeline.

        Raises:
            SourceError: it does not run.
        """
        self._handle = handle = VideoHandle()
        if not handle.open(self._pipeline, cv2.CAP_GSTREAMER):
            self.close()
            raise SourceError(f"does not run; try it on its own: {LAUNCH} PIPELINE ! autovideosink")

    def read(self) -> Shot:
        """Return the next frame.

        Raises:
            SourceError: closed meanwhile.
            EndOfSourceError: the pipeline has ended.
        """
        handle = self._handle
        if handle is None:
            raise SourceError("is not open")
        if not handle.grab():
            raise EndOfSourceError
        captured = time.monotonic()
        return Shot(handle.retrieve(), captured)

    def close(self) -> None:
        """Stop the pipeline; from any thread, also while another one reads."""
        if self._handle is not None:
            self._handle.close()
