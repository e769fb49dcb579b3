"""Results on an MQTT broker, with Home Assistant's discovery; a broker that is away or slow holds nothing up.

TOPIC/state         JSON of the newest result: at a change of the label, else once a second
TOPIC/label         the label, retained
TOPIC/camera        {"problem": "ON" or "OFF", "status", "detail", "source"}, retained
TOPIC/availability  online or offline, retained; the broker itself says offline where this process died
"""

from __future__ import annotations

import json
import os
import select
import threading
import time
from typing import Any

from edgeclf.errors import RunFailedError, one_line
from edgeclf.extras import extras
from edgeclf.streaming.loop.geometry import Picture
from edgeclf.streaming.loop.result import Result
from edgeclf.streaming.loop.state import LiveState
from edgeclf.streaming.outputs.home_assistant import make_discovery_messages
from edgeclf.streaming.outputs.mqtt_address import MqttAddress, check_topic, parse_mqtt_url
from edgeclf.streaming.supervision.problems import Problems

STATE_EVERY = 1.0
KEEPALIVE = 15
_PART = "mqtt"
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 10.0
_LONGEST_WAIT = 30.0
_LOOK_EVERY = 0.25
_CLOSE_SECONDS = 1.8


class RefusedError(RunFailedError):
    """The broker answered, and does not let this client in."""


class Mqtt:
    """Publishes results, in a thread of its own that connects, and connects again, with growing pauses up to 30 s.

    At most one message of each retained topic is under way; what comes meanwhile is replaced by the newest.

    Args:
        url: `mqtt://USER:PASSWORD@HOST:1883/TOPIC`, `mqtts://` with TLS; see `mqtt_address`. With TLS the broker's
            certificate is checked against the system's, or those in the file that SSL_CERT_FILE names.
        state: how source and model are called, and how the source is.
        problems: where failures are told, as `mqtt`.
        topic: base topic where the URL has none.
        discovery_prefix: of Home Assistant; empty: no discovery.

    Attributes:
        connected: whether a broker is there now.

    Raises:
        InputError: the URL or the topic cannot be used.
        MissingExtraError: paho-mqtt is not installed.
    """

    def __init__(
        self,
        url: str,
        state: LiveState,
        problems: Problems,
        *,
        topic: str | None = None,
        discovery_prefix: str = "homeassistant",
    ) -> None:
        with extras("--mqtt"):
            import paho.mqtt.client  # noqa: F401 - so that it is told at the start
        self._address = parse_mqtt_url(url, topic)
        self._topic = self._address.topic
        prefix = check_topic(discovery_prefix) if discovery_prefix else ""
        self._discovery = make_discovery_messages(self._topic, state.model, prefix) if prefix else {}
        self._state, self._problems = state, problems
        self._result: Result | None = None
        self._label: str | None = None
        self.connected = False
        self._closing = threading.Event()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name="edgeclf mqtt", daemon=True)
        self._thread.start()

    def take(self, result: Result, picture: Picture) -> None:
        """Remember the newest result; the thread is woken where the label changed."""
        self._result = result
        if result.label != self._label:
            self._label = result.label
            if not self._closing.is_set():
                os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Say `offline` and go, within two seconds."""
        if self._closing.is_set():
            return
        self._closing.set()
        os.eventfd_write(self._wake, 1)
        self._thread.join(_CLOSE_SECONDS)
        if not self._thread.is_alive():
            os.close(self._wake)

    def _run(self) -> None:
        pause, told = 1.0, False
        while not self._closing.is_set():
            connection = _Connection(self._address, self._topic, self._wake)
            try:
                connection.open(self._closing)
                told, pause, self.connected = False, 1.0, True
                self._problems.end(_PART)
                self._serve(connection)
            except (RunFailedError, OSError, ValueError, RuntimeError) as error:
                # One line an outage, of its first reason; but what a broker answers is always worth telling.
                if not self._closing.is_set() and (not told or isinstance(error, RefusedError)):
                    line = f"no connection to {self._address} ({one_line(error).lower()}); trying again"
                    self._problems.begin(_PART, line)
                told = True
            finally:
                self.connected = False
                connection.drop()
            self._closing.wait(pause)
            pause = min(2 * pause, _LONGEST_WAIT)

    def _serve(self, connection: _Connection) -> None:
        """Publish until the connection is lost or all ends."""
        for topic, message in self._discovery.items():
            connection.keep(topic, message)
        connection.keep(f"{self._topic}/availability", "online")
        sent: Result | None = None
        next_state = 0.0
        while not self._closing.is_set():
            result, now = self._result, time.monotonic()
            connection.keep(f"{self._topic}/camera", self._camera())
            if result is not None:
                changed = connection.keep(f"{self._topic}/label", result.label)
                if result is not sent and (changed or now >= next_state) and connection.idle():
                    connection.send(f"{self._topic}/state", result.to_json())
                    sent, next_state = result, now + STATE_EVERY
            connection.work(_LOOK_EVERY)
        connection.leave(f"{self._topic}/availability", "offline")

    def _camera(self) -> str:
        source = self._state.source()
        problem = "ON" if source.status in ("stalled", "lost") else "OFF"
        shown = {"problem": problem, "status": source.status, "detail": source.detail, "source": source.name}
        return json.dumps(shown, ensure_ascii=False)


class _Connection:
    """One connection to the broker, driven by the thread that calls it.

    The reading and writing functions of paho are called when poll says so, since its own loops use `select`, which
    takes no descriptor above 1023, and a page with many viewers has more.
    """

    def __init__(self, address: MqttAddress, topic: str, wake: int) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self._address, self._wake = address, wake
        self._answer: Any = None
        self._kept: dict[str, tuple[str, Any]] = {}
        self._client = Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        self._client.connect_timeout = _CONNECT_SECONDS
        self._client.on_connect = self._on_connect
        self._client.will_set(f"{topic}/availability", "offline", qos=1, retain=True)
        if address.user is not None:
            self._client.username_pw_set(address.user, address.password)
        if address.tls:
            self._client.tls_set()

    def open(self, closing: threading.Event) -> None:
        """Connect, and wait for the broker's answer.

        Raises:
            OSError: there is no such host, it refuses, its certificate is not trusted.
            RefusedError: it does not let this client in.
            RunFailedError: it does not answer as a broker would.
        """
        self._client.connect(self._address.host, self._address.port, KEEPALIVE)
        give_up = time.monotonic() + _ANSWER_SECONDS
        while self._answer is None and not closing.is_set():
            if time.monotonic() > give_up:
                raise RunFailedError("no answer")
            self.work(0.1)
        if self._answer is None:
            raise RunFailedError("ended")
        if self._answer.is_failure:
            raise RefusedError(f"refused: {self._answer}")

    def keep(self, topic: str, message: str) -> bool:
        """Publish a retained message where it differs from the last one, which must have arrived; whether it did."""
        before = self._kept.get(topic)
        if before is not None and (before[0] == message or not before[1].is_published()):
            return False
        self._kept[topic] = (message, self._client.publish(topic, message, qos=1, retain=True))
        return True

    def send(self, topic: str, message: str) -> None:
        """Publish once, for whom it may reach."""
        self._client.publish(topic, message)

    def idle(self) -> bool:
        """Whether all that was handed over is on its way; not so where the broker reads slowly."""
        return not self._client.want_write()

    def work(self, seconds: float) -> None:
        """Read and write what can be, waiting for it up to `seconds`.

        Raises:
            RunFailedError: the connection is lost.
        """
        sock = self._client.socket()
        if sock is None:
            raise self._lost()
        poller = select.poll()
        poller.register(sock, select.POLLIN | (select.POLLOUT if self._client.want_write() else 0))
        poller.register(self._wake, select.POLLIN)
        buffered = getattr(sock, "pending", int)()
        ready = dict(poller.poll(0 if buffered else seconds * 1000))
        if self._wake in ready:
            os.eventfd_read(self._wake)
        events = ready.get(sock.fileno(), 0)
        done = [0]
        if events & ~select.POLLOUT or buffered:
            done.append(self._client.loop_read())
        if events & select.POLLOUT and self._client.socket() is not None:
            done.append(self._client.loop_write())
        done.append(self._client.loop_misc())
        if any(done):
            raise self._lost()

    def leave(self, topic: str, message: str) -> None:
        """A last retained message, and a clean end, within a second or so."""
        told = self._client.publish(topic, message, qos=1, retain=True)
        give_up = time.monotonic() + 1.0
        while not told.is_published() and time.monotonic() < give_up:
            self.work(0.05)
        self._client.disconnect()

    def drop(self) -> None:
        """Close the socket, whatever its state."""
        self._client.on_connect = None
        sock = self._client.socket()
        if sock is not None:
            self._client.disconnect()
            sock.close()

    def _lost(self) -> RunFailedError:
        if self._answer is not None and self._answer.is_failure:
            return RefusedError(f"refused: {self._answer}")
        return RunFailedError("the connection was lost")

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any) -> None:
        self._answer = reason_code
