"""Cameras on the network, on loopback: MJPEG over HTTP, and RTSP where GStreamer's server is installed."""

from __future__ import annotations

import contextlib
import http.server
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

RTSP_PYTHON = "/usr/bin/python3"
"""apt's GObject bindings are of apt's Python."""

_RTSP_SERVER = """
import sys, gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service("0")
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch("( " + sys.argv[1] + " )")
factory.set_shared(True)
server.get_mount_points().add_factory("/card", factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


class MjpegServer:
    """Sends the pictures given, over and over, until it is told to pause or to hang up.

    Attributes:
        address: to open.
        paused: while set, nothing is sent and connections stay open.
        hang_up: set: connections are closed.
        viewers: connections so far.
    """

    def __init__(self, pictures: list[npt.NDArray[np.uint8]], *, period: float = 0.02, quality: int = 100) -> None:
        self.paused, self.hang_up, self._stopping = threading.Event(), threading.Event(), threading.Event()
        self.viewers = 0
        self._period = period
        settings = [cv2.IMWRITE_JPEG_QUALITY, quality]
        self.parts = [cv2.imencode(".jpg", picture, settings)[1].tobytes() for picture in pictures]
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.viewers += 1
                with contextlib.suppress(OSError):
                    self._send()

            def _send(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                number = 0
                while not server._stopping.is_set() and not server.hang_up.is_set():
                    if not server.paused.is_set():
                        part = server.parts[number % len(server.parts)]
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(part)}\r\n\r\n"
                        self.wfile.write(head.encode() + part + b"\r\n")
                        number += 1
                    server._stopping.wait(server._period)

            def log_message(self, *words: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}/video.mjpg"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> MjpegServer:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def rtsp_available() -> bool:
    """Whether apt's python3-gi and gir1.2-gst-rtsp-server-1.0 are installed."""
    look = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    return Path(RTSP_PYTHON).exists() and not subprocess.run([RTSP_PYTHON, "-c", look], capture_output=True).returncode


@contextlib.contextmanager
def rtsp_server(pipeline: str) -> Iterator[str]:
    """The address of a server that sends what `pipeline` gives (its last element is a payloader named pay0)."""
    process = subprocess.Popen([RTSP_PYTHON, "-c", _RTSP_SERVER, pipeline], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"rtsp://127.0.0.1:{int(process.stdout.readline())}/card"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
