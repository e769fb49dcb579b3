"""Serve the live page from a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

from edgeclf.errors import RunFailedError, one_line
from edgeclf.extras import require
from edgeclf.streaming.collection.images import CollectedImages
from edgeclf.streaming.loop.state import LiveState
from edgeclf.streaming.page.access import Access
from edgeclf.streaming.page.address import BACKLOG, listen, reachable_host, resolve
from edgeclf.streaming.page.app import PageApplication
from edgeclf.streaming.page.failures import REQUESTS
from edgeclf.streaming.page.limits import Limits, make_bounded_protocol

START_SECONDS = 60.0
FAREWELL_SECONDS = 0.3
CLOSE_SECONDS = 2.0


class WebView:
    """Serves `state` as a page, as JSON and as events.

    Args:
        state: what is shown; only read.
        host: name or address of this machine to serve; `0.0.0.0` and `::` stand for all it has.
        port: 0 lets the system choose.
        token: required from viewers; made here where `host` is not 127.0.0.1 or ::1 and none is given.
        collected: frames that wait for a label.
        limits: bounds on what viewers cost.
        camera: there is one; else the page shows collected frames alone, and of `state` only the problems count.

    Raises:
        InputError: the host, the port or the token cannot be.
        MissingExtraError: the extra `web` is not installed.
    """

    def __init__(
        self,
        state: LiveState,
        *,
        host: str,
        port: int,
        token: str | None = None,
        collected: CollectedImages | None = None,
        limits: Limits | None = None,
        camera: bool = True,
    ) -> None:
        require("--web", "starlette", "uvicorn")
        self._state, self._collected, self._limits = state, collected, limits or Limits()
        self._camera = camera
        self._address = resolve(host, port)
        # From the address itself, not from what the user called it: a name may lead anywhere.
        self._access = Access.to(self._address.host, token)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._application: PageApplication | None = None
        self._server: Any = None
        self._ready = threading.Event()
        self._closing = False

    @property
    def token(self) -> str | None:
        """Return what viewers are asked for; None: nothing."""
        return self._access.token

    @property
    def port(self) -> int:
        """Return where it listens; before `start` what was asked for."""
        return self._address.port

    @property
    def url(self) -> str:
        """Return what to open in a browser, with the token where one is needed."""
        place = f"http://{reachable_host(self._address)}:{self._address.port}/"
        return place if self.token is None else f"{place}?token={quote(self.token, safe='')}"

    @property
    def viewers(self) -> int:
        """Count the viewers of the picture."""
        return self._application.pictures.watchers if self._application else 0

    def start(self) -> None:
        """Start serving; returns when it listens.

        Raises:
            InputError: the address cannot be used.
            RunFailedError: the port is taken.
        """
        listener = listen(self._address, self._limits.send_buffer_bytes)
        self._address = self._address._replace(port=listener.getsockname()[1])
        self._thread = threading.Thread(target=self._run, args=(listener,), name="edgeclf web", daemon=True)
        self._thread.start()
        if not self._ready.wait(START_SECONDS) or self._server is None or not self._server.started:
            self.close()
            raise RunFailedError(f"--web: the server did not start within {START_SECONDS:g} s")

    def close(self) -> None:
        """End within two seconds, however many watch; does nothing when it has ended."""
        if self._thread is None:
            return
        self._closing = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is over
                self._loop.call_soon_threadsafe(self._end)
        self._thread.join(CLOSE_SECONDS)
        self._thread = None

    def _run(self, listener: socket.socket) -> None:
        encoding = ThreadPoolExecutor(1, "edgeclf web pictures")
        reading = ThreadPoolExecutor(2, "edgeclf web files")
        try:
            asyncio.run(self._serve(listener, encoding, reading))
        finally:
            self._ready.set()
            listener.close()
            for executor in (encoding, reading):
                executor.shutdown(cancel_futures=True)

    async def _serve(self, listener: socket.socket, encoding: ThreadPoolExecutor, reading: ThreadPoolExecutor) -> None:
        import uvicorn

        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._report)
        self._application = PageApplication(
            self._state,
            self._access,
            f"edgeclf-{self._address.port}",
            self._limits,
            self._collected,
            encoding,
            reading,
            self._camera,
        )
        config = uvicorn.Config(
            self._application.asgi,
            http=make_bounded_protocol(self._limits),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=round(self._limits.request_seconds),
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=self._limits.head_bytes,
        )
        self._server = uvicorn.Server(config)
        if self._closing:
            self._end()
        serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not (self._server.started or serving.done()):
            await asyncio.sleep(0.005)
        self._ready.set()
        await serving

    def _end(self) -> None:
        """End all streams, in the event loop; close the connections of viewers that do not respond."""
        if self._server is None or self._application is None or self._loop is None:
            return
        self._server.should_exit = True
        self._application.closing.set()
        self._loop.call_later(FAREWELL_SECONDS, self._abort_all)

    def _abort_all(self) -> None:
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()

    def _report(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, ConnectionError):
            self._state.problems.begin(REQUESTS, one_line(error) if error else str(context.get("message")))
