"""How much of everything the page gives away."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds that keep strangers, slow readers and forgotten tabs from costing more than they should.

    Args:
        connections: open at once; with more, the one that has been idle longest is closed. All descriptors of the
            process stay below 1024 that way: OpenCV waits for a camera with select(), which writes past its own
            memory when a camera, opened anew, gets a higher number.
        streams: pictures streamed at once, and as many event streams; one more is answered with 503.
        head_bytes: of a request's first line and headers.
        body_bytes: of a request's body.
        request_seconds: a connection may take to send a request, and may stay idle between two.
        send_seconds: nothing of what was sent is taken; then the viewer is dead.
        send_buffer_bytes: that the kernel holds for a viewer, so that a slow one sees a late picture, not a queue.
        pictures_per_second: encoded at most.
        events_per_second: sent at most.
        picture_width: pixels; wider pictures are scaled down before they are encoded.
    """

    connections: int = 512
    streams: int = 64
    head_bytes: int = 16 * 1024
    body_bytes: int = 64 * 1024
    request_seconds: float = 10.0
    send_seconds: float = 60.0
    send_buffer_bytes: int = 64 * 1024
    pictures_per_second: float = 30.0
    events_per_second: float = 10.0
    picture_width: int = 1280
