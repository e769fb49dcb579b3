"""A GStreamer pipeline: through OpenCV where its build has GStreamer, else through a child process."""

from __future__ import annotations

from edgeclf.live.source import Source


def gstreamer_source(pipeline: str, *, every_frame: bool = False) -> Source:
    """The source that shows what `pipeline` gives."""
    raise NotImplementedError
