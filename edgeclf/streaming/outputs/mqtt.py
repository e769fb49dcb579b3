"""Publish results to an MQTT broker, with Home Assistant's discovery; a broker that is away or slow holds nothing up.

TOPIC/state         JSON of the newest result: at a change of the label, else once a second
TOPIC/label         the label, retained
TOPIC/camera        {"problem": "ON" or "OFF", "status", "detail", "source"}, retained
TOPIC/notes         {"notes": how the model is read, "problems": what is wrong besides the camera, by part}, retained
TOPIC/availability  online or offline, retained; the broker itself publishes offline where this process died
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from edgeclf.errors import one_line
from edgeclf.extras import extras
from edgeclf.json_text import write_json
from edgeclf.streaming.loop.geometry import Picture
from edgeclf.streaming.loop.result import Result
from edgeclf.streaming.loop.state import LiveState
from edgeclf.streaming.outputs.home_assistant import make_discovery_messages
from edgeclf.streaming.outputs.mqtt_address import MqttAddress, check_topic, parse_mqtt_url
from edgeclf.streaming.supervision.problems import Problems

if TYPE_CHECKING:
    from paho.mqtt.client import Client

STATE_EVERY = 1.0
ONLINE_EVERY = 30.0
"""Seconds after which `online` is published again: a broker that notices late that an earlier connection of this
process is dead publishes `offline` for it, while another has long been there."""
KEEPALIVE = 15
_PART = "mqtt"
_CONNECT_SECONDS = 5.0
_LONGEST_PAUSE = 30
_POLL_SECONDS = 0.25
_CLOSE_SECONDS = 1.8
_FAREWELL_SECONDS = 1.0


class Mqtt:
    """Publishes results in a thread of its own; paho's thread connects, and connects again, after 1 to 30 s.

    At most one message of each topic is under way; what comes meanwhile is replaced by the newest.

    Args:
        url: `mqtt://USER:PASSWORD@HOST:1883/TOPIC`, `mqtts://` with TLS; see `mqtt_address`. With TLS the broker's
            certificate is checked against the system's, or those in the file that SSL_CERT_FILE names.
        state: has the names of source and model, and the state of the source.
        problems: gets failures, as `mqtt`.
        topic: base topic where the URL has none.
        discovery_prefix: of Home Assistant; empty: no discovery.

    Attributes:
        connected: whether the broker has accepted the connection.

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
        self._address = parse_mqtt_url(url, topic)
        self._topic = self._address.topic
        prefix = check_topic(discovery_prefix) if discovery_prefix else ""
        self._discovery = make_discovery_messages(self._topic, state.model, prefix) if prefix else {}
        self._state, self._problems = state, problems
        self._result: Result | None = None
        self._label: str | None = None
        self.connected = False
        self._connections = 0
        self._outage_reported = False
        self._closing = threading.Event()
        self._wake = threading.Event()
        self._client = _make_client(self._address)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._topics = _Topics(self._client, self._wake)
        self._client.connect_async(self._address.host, self._address.port, KEEPALIVE)
        self._client.loop_start()
        self._thread = threading.Thread(target=self._run, name="edgeclf mqtt", daemon=True)
        self._thread.start()

    def take(self, result: Result, picture: Picture) -> None:
        """Store the newest result; the thread is woken where the label changed."""
        self._result = result
        if result.label != self._label:
            self._label = result.label
            self._wake.set()

    def close(self) -> None:
        """Publish `offline` and disconnect, within two seconds."""
        self._closing.set()
        self._wake.set()
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        published: Result | None = None
        next_state, next_online, connections = 0.0, 0.0, 0
        while not self._closing.is_set():
            if self.connected:
                if connections != self._connections:  # this broker may know nothing of what was published before
                    connections = self._connections
                    self._topics.forget()
                result, now = self._result, time.monotonic()
                if now >= next_online:
                    self._topics.forget(f"{self._topic}/availability")
                    next_online = now + ONLINE_EVERY
                self._publish_lasting()
                if result is not None:
                    changed = self._topics.publish(f"{self._topic}/label", result.label)
                    due = result is not published and (changed or now >= next_state)
                    if due and self._publish_state(result):
                        published, next_state = result, now + STATE_EVERY
            self._wake.wait(_POLL_SECONDS)
            self._wake.clear()
        self._leave()

    def _publish_lasting(self) -> None:
        """Publish what does not depend on a result, where it is new to the broker."""
        for topic, message in self._discovery.items():
            self._topics.publish(topic, message)
        self._topics.publish(f"{self._topic}/availability", "online")
        self._topics.publish(f"{self._topic}/camera", self._describe_camera())
        notes = {"notes": list(self._state.notes()), "problems": self._state.problems.now()}
        self._topics.publish(f"{self._topic}/notes", write_json(notes))

    def _publish_state(self, result: Result) -> bool:
        return self._topics.publish(f"{self._topic}/state", result.to_json(), retain=False)

    def _describe_camera(self) -> str:
        source = self._state.source()
        problem = "ON" if source.status in ("stalled", "lost") else "OFF"
        shown = {"problem": problem, "status": source.status, "detail": source.detail, "source": source.name}
        return write_json(shown)

    def _leave(self) -> None:
        """Publish a last message and end the connection, within a second or so."""
        give_up = time.monotonic() + _FAREWELL_SECONDS
        done = False
        while self.connected and time.monotonic() < give_up:
            done = done or self._topics.publish(f"{self._topic}/availability", "offline")
            if done and self._topics.idle():
                break
            self._wake.wait(0.02)
            self._wake.clear()
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:  # what a broker replies is reported, also where the outage was reported before
            self._report(f"refused: {reason}")
            return
        self.connected = True
        self._connections += 1
        self._outage_reported = False
        self._problems.end(_PART)
        self._wake.set()

    def _on_connect_fail(self, client: Any, userdata: Any) -> None:
        error = sys.exc_info()[1]  # paho calls this while it handles the error, which it does not hand over
        if not self._outage_reported:
            self._report("no connection" if error is None else one_line(error))

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        self.connected = False
        if not self._outage_reported:
            self._report("no response" if str(reason) == "Keep alive timeout" else "the connection was lost")

    def _report(self, reason: str) -> None:
        if not self._closing.is_set():
            self._outage_reported = True
            self._problems.begin(_PART, f"no connection to {self._address} ({reason.lower()}); trying again")


class _Topics:
    """Publishes the newest message of each topic, and at most one of each at a time.

    A message waits until the one before it is acknowledged, even over a lost connection, since paho sends what was not
    acknowledged again after the next one is made: the order of messages stays, and a slow broker gets no flood.
    """

    def __init__(self, client: Client, acknowledged: threading.Event) -> None:
        self._client, self._acknowledged = client, acknowledged
        self._newest: dict[str, str] = {}
        self._under_way: dict[int, str] = {}
        self._acknowledgements: deque[int] = deque()  # filled by paho's thread, emptied by the one that publishes
        client.on_publish = self._on_publish

    def publish(self, topic: str, message: str, *, retain: bool = True) -> bool:
        """Hand a message over where it is new and the one before it has arrived; return whether it was."""
        if self._newest.get(topic) == message or topic in self._pending():
            return False
        sent = self._client.publish(topic, message, qos=1, retain=retain)
        self._newest[topic], self._under_way[sent.mid] = message, topic
        return True

    def forget(self, topic: str | None = None) -> None:
        """Count the message of a topic as new again; None: those of all topics."""
        if topic is None:
            self._newest.clear()
        else:
            self._newest.pop(topic, None)

    def idle(self) -> bool:
        """Return whether all messages have arrived."""
        return not self._pending()

    def _pending(self) -> list[str]:
        while self._acknowledgements:
            self._under_way.pop(self._acknowledgements.popleft(), None)
        return list(self._under_way.values())

    def _on_publish(self, client: Any, userdata: Any, number: int, reason: Any, properties: Any) -> None:
        self._acknowledgements.append(number)
        self._acknowledged.set()


def _make_client(address: MqttAddress) -> Client:
    with extras("--mqtt"):
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect_timeout = _CONNECT_SECONDS
    client.reconnect_delay_set(min_delay=1, max_delay=_LONGEST_PAUSE)
    client.will_set(f"{address.topic}/availability", "offline", qos=1, retain=True)
    if address.user is not None:
        client.username_pw_set(address.user, address.password)
    if address.tls:
        client.tls_set()
    return client
