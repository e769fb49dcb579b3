"""MQTT against the real mosquitto, which the tests start, kill, stop and start again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from live_results import picture, result, wait_for
from presence import needed

import edgeclf
from edgeclf.errors import InputError, MissingExtraError
from edgeclf.streaming.camera.source import SourceState
from edgeclf.streaming.loop.state import LiveState
from edgeclf.streaming.outputs import mqtt
from edgeclf.streaming.outputs.home_assistant import make_discovery_messages, node_id
from edgeclf.streaming.outputs.mqtt import Mqtt
from edgeclf.streaming.outputs.mqtt_address import parse_mqtt_url
from edgeclf.streaming.supervision.problems import Problems

try:
    import paho.mqtt.client as paho
except ImportError:
    if os.environ.get("CI") == "true":
        raise
    pytest.skip("paho-mqtt is not installed", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[1]
PIXELS = np.zeros((4, 4, 3), np.uint8)
TOPIC = "edgeclf/test"


class Broker:
    """A mosquitto on a free port of 127.0.0.1."""

    def __init__(self, folder: Path, *lines: str) -> None:
        program = needed("mosquitto")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._configuration = folder / f"mosquitto-{self.port}.conf"
        user = [f"user {os.environ.get('USER', 'root')}"] if os.geteuid() == 0 else []
        settings = [f"listener {self.port} 127.0.0.1", "persistence false", *user, *(lines or ["allow_anonymous true"])]
        self._configuration.write_text("\n".join(settings) + "\n")
        self._program = program
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [self._program, "-c", str(self._configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(self._answers)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()

    def _answers(self) -> bool:
        assert self.process.poll() is None, "mosquitto ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False


class Subscriber:
    """Hears everything; what was retained when it came is in `retained`."""

    def __init__(self, port: int, user: str | None = None, password: str | None = None) -> None:
        self.messages: list[tuple[float, str, str]] = []
        self.retained: dict[str, str] = {}
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        if user:
            self._client.username_pw_set(user, password)
        self._client.on_message = self._on_message
        subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert subscribed.wait(20)

    def of(self, topic: str) -> list[str]:
        return [message for _, name, message in self.messages if name == topic]

    def last(self, topic: str) -> str | None:
        found = self.of(topic)
        return found[-1] if found else None

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, client, userdata, message) -> None:
        self.messages.append((time.monotonic(), message.topic, message.payload.decode()))
        if message.retain:
            self.retained[message.topic] = message.payload.decode()


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    """Starts brokers, and kills them all at the end."""
    made: list[Broker] = []

    def make(*lines: str) -> Broker:
        made.append(Broker(tmp_path, *lines))
        return made[-1]

    yield make
    for broker in made:
        broker.kill()


@pytest.fixture
def broker(make_broker: Callable[..., Broker]) -> Broker:
    return make_broker()


@pytest.fixture
def told() -> list[str]:
    return []


class Rig:
    """An `Mqtt` with its state."""

    def __init__(self, url: str, told: list[str], **settings) -> None:
        self.problems = Problems(told.append)
        self.state = LiveState("digits-int8", ["cat", "dog"], "/dev/video0", self.problems)
        self.state.set_source(SourceState("/dev/video0", "running"))
        self.output = Mqtt(url, self.state, self.problems, **settings)
        self.number = 0

    def show(self, label: str, probability: float = 0.8) -> None:
        self.output.take(result(label, probability, number=self.number), picture(PIXELS, number=self.number))
        self.number += 1


@pytest.fixture
def rigs() -> Iterator[list[Rig]]:
    made: list[Rig] = []
    yield made
    for rig in made:
        rig.output.close()


def start(rigs: list[Rig], url: str, told: list[str], **settings) -> Rig:
    rigs.append(Rig(url, told, **settings))
    return rigs[-1]


def test_labels_states_and_availability(broker, told, rigs):
    heard = Subscriber(broker.port)
    rig = start(rigs, f"mqtt://127.0.0.1:{broker.port}/{TOPIC}", told)
    rig.show("cat")
    wait_for(lambda: heard.last(f"{TOPIC}/label") == "cat")
    wait_for(lambda: bool(heard.of(f"{TOPIC}/state")))
    state = json.loads(heard.of(f"{TOPIC}/state")[0])
    assert (state["label"], state["probability"], state["frame_age_ms"], state["frame"]) == ("cat", 0.8, 41.5, 0)
    rig.show("Äpfel")
    wait_for(lambda: heard.last(f"{TOPIC}/label") == "Äpfel")
    wait_for(lambda: json.loads(heard.of(f"{TOPIC}/state")[-1])["label"] == "Äpfel")
    late = Subscriber(broker.port)
    wait_for(lambda: f"{TOPIC}/label" in late.retained)
    assert late.retained[f"{TOPIC}/label"] == "Äpfel"
    assert late.retained[f"{TOPIC}/availability"] == "online"
    assert json.loads(late.retained[f"{TOPIC}/camera"]) == {
        "problem": "OFF",
        "status": "running",
        "detail": "",
        "source": "/dev/video0",
    }
    assert f"{TOPIC}/state" not in late.retained
    assert json.loads(late.retained[f"{TOPIC}/notes"]) == {"notes": [], "problems": {}}
    rig.state.set_notes(("pixels enter as -1 to 1: assumed",))
    rig.state.problems.begin("model", "NaN")
    said = {"notes": ["pixels enter as -1 to 1: assumed"], "problems": {"model": "NaN"}}
    wait_for(lambda: json.loads(heard.last(f"{TOPIC}/notes") or "{}") == said)
    rig.output.close()
    wait_for(lambda: heard.last(f"{TOPIC}/availability") == "offline")
    heard.close()
    late.close()
    assert told == ["model: NaN"]


def test_without_a_change_states_come_once_a_second(broker, told, rigs):
    heard = Subscriber(broker.port)
    rig = start(rigs, f"mqtt://127.0.0.1:{broker.port}/{TOPIC}", told)

    def shown_often() -> bool:
        rig.show("cat")
        return len(heard.of(f"{TOPIC}/state")) >= 4

    wait_for(shown_often)
    times = [when for when, topic, _ in heard.messages if topic == f"{TOPIC}/state"]
    assert times[3] - times[0] > 2.5  # three pauses of a second; a slow machine makes them longer only
    assert heard.of(f"{TOPIC}/label") == ["cat"]
    count = len(heard.of(f"{TOPIC}/state"))
    rig.state.set_source(SourceState("/dev/video0", "lost", "unplugged"))  # no results any more
    wait_for(lambda: json.loads(heard.last(f"{TOPIC}/camera") or "{}").get("problem") == "ON")
    assert json.loads(heard.last(f"{TOPIC}/camera") or "")["detail"] == "unplugged"
    rig.state.set_source(SourceState("/dev/video0", "running"))
    wait_for(lambda: json.loads(heard.last(f"{TOPIC}/camera") or "{}").get("problem") == "OFF")
    assert len(heard.of(f"{TOPIC}/state")) <= count + 1
    heard.close()
    assert told == []


def test_home_assistant_finds_one_device_with_four_entities(broker, told, rigs):
    jinja2 = pytest.importorskip("jinja2")
    rig = start(rigs, f"mqtt://127.0.0.1:{broker.port}/{TOPIC}", told)
    heard = Subscriber(broker.port)
    node = "edgeclf_test"
    names = [
        f"homeassistant/sensor/{node}/label/config",
        f"homeassistant/sensor/{node}/probability/config",
        f"homeassistant/sensor/{node}/frame_age/config",
        f"homeassistant/binary_sensor/{node}/camera/config",
    ]

    def all_heard() -> bool:
        rig.show("cat", 0.8734)
        return all(heard.last(topic) for topic in (*names, f"{TOPIC}/state", f"{TOPIC}/label", f"{TOPIC}/camera"))

    wait_for(all_heard)
    entities = [json.loads(heard.last(name) or "") for name in names]
    assert [entity["unique_id"] for entity in entities] == [
        f"{node}_{name}" for name in ("label", "probability", "frame_age", "camera")
    ]
    (device,) = {json.dumps(entity["device"]) for entity in entities}
    assert json.loads(device) == {
        "identifiers": [node],
        "name": "edgeclf test",
        "manufacturer": "edgeclf",
        "model": "digits-int8",
        "sw_version": edgeclf.__version__,
    }
    shown = []
    for entity in entities:
        assert heard.last(entity["availability_topic"]) == "online"
        message = heard.last(entity["state_topic"])
        assert message is not None
        if template := entity.get("value_template"):
            message = jinja2.Template(template).render(value_json=json.loads(message))
        shown.append(message)
    assert shown == ["cat", "87.3", "41.5", "OFF"]
    assert (entities[3]["device_class"], entities[3]["payload_on"]) == ("problem", "ON")
    heard.close()
    late = Subscriber(broker.port)
    wait_for(lambda: set(names) <= set(late.retained))
    late.close()


def test_no_discovery_where_it_is_not_wanted(broker, told, rigs):
    start(rigs, f"mqtt://127.0.0.1:{broker.port}/{TOPIC}", told, discovery_prefix="")
    heard = Subscriber(broker.port)
    wait_for(lambda: bool(heard.of(f"{TOPIC}/camera")))
    heard.close()
    assert {topic.split("/")[0] for _, topic, _ in heard.messages} == {"edgeclf"}


def test_a_broker_that_comes_goes_and_comes_again(broker, told, rigs):
    broker.kill()
    rig = start(rigs, f"mqtt://127.0.0.1:{broker.port}/{TOPIC}", told)
    rig.show("cat")
    wait_for(lambda: bool(told))
    line = f"mqtt: no connection to mqtt://127.0.0.1:{broker.port} (connection refused); trying again"
    assert told == [line]
    broker.start()
    wait_for(lambda: len(told) == 2)
    assert told[1] == "mqtt: works again"
    broker.kill()
    wait_for(lambda: len(told) == 3)
    end = time.monotonic() + 2.5  # the first try comes after a second, and fails for another reason: still one line

    def shown_for_a_while() -> bool:  # nothing waits for the broker
        rig.show(f"label {rig.number}")
        return time.monotonic() > end

    wait_for(shown_for_a_while)
    broker.start()
    wait_for(lambda: len(told) == 4, 60)
    heard = Subscriber(broker.port)  # that broker knew nothing: all was said again
    wait_for(lambda: heard.last(f"{TOPIC}/label") == f"label {rig.number - 1}")
    wait_for(lambda: bool(heard.last("homeassistant/sensor/edgeclf_test/label/config")))
    assert heard.last(f"{TOPIC}/availability") == "online"
    assert len(heard.of(f"{TOPIC}/label")) <= 2  # the one under way when the broker was lost, and the newest
    rig.output.close()
    heard.close()
    assert len(told) == 4
    assert told[2] == f"mqtt: no connection to mqtt://127.0.0.1:{broker.port} (the connection was lost); trying again"


def test_a_broker_that_hangs_is_noticed_and_forgiven(broker, told, rigs, monkeypatch):
    monkeypatch.setattr(mqtt, "KEEPALIVE", 1)
    rig = start(rigs, f"mqtt://127.0.0.1:{broker.port}/{TOPIC}", told)
    heard = Subscriber(broker.port)
    rig.show("cat")
    wait_for(lambda: heard.last(f"{TOPIC}/label") == "cat")
    broker.process.send_signal(signal.SIGSTOP)

    def noticed() -> bool:
        rig.show(f"label {rig.number}")
        return bool(told)

    wait_for(noticed, 30)
    broker.process.send_signal(signal.SIGCONT)
    wait_for(lambda: told[-1] == "mqtt: works again", 60)
    rig.show("dog")
    wait_for(lambda: heard.last(f"{TOPIC}/label") == "dog")
    assert len(told) == 2
    heard.close()


def test_a_broker_that_is_slow_gets_the_newest_and_no_flood(broker, told, rigs):
    rig = start(rigs, f"mqtt://127.0.0.1:{broker.port}/{TOPIC}", told)
    heard = Subscriber(broker.port)
    rig.show("cat")
    wait_for(lambda: heard.last(f"{TOPIC}/label") == "cat")
    broker.process.send_signal(signal.SIGSTOP)
    end = time.monotonic() + 1

    def shown_for_a_second() -> bool:
        rig.show(f"label {rig.number}")
        return time.monotonic() > end

    wait_for(shown_for_a_second)
    broker.process.send_signal(signal.SIGCONT)
    wait_for(lambda: heard.last(f"{TOPIC}/label") == f"label {rig.number - 1}")
    assert rig.number > 20
    assert len(heard.of(f"{TOPIC}/label")) <= 4  # before, the one under way, the newest
    heard.close()
    assert told == []


def test_someone_else_on_that_port(told, rigs, monkeypatch):
    monkeypatch.setattr(mqtt, "KEEPALIVE", 1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        rig = start(rigs, f"mqtt://127.0.0.1:{mute.getsockname()[1]}", told)
        wait_for(lambda: bool(told))
        assert "(no response); trying again" in told[0]
        rig.output.close()


def test_garbage_instead_of_an_answer(told, rigs):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    connection.recv(100)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    connection.close()

        threading.Thread(target=answer, daemon=True).start()
        rig = start(rigs, f"mqtt://127.0.0.1:{listening.getsockname()[1]}", told)
        wait_for(lambda: bool(told))
        rig.output.close()
    assert len(told) == 1
    assert told[0].endswith("; trying again")


def test_a_name_that_nobody_has(told, rigs):
    start(rigs, "mqtt://no-such-host.invalid", told)
    wait_for(lambda: bool(told), 60)
    assert told[0].startswith("mqtt: no connection to mqtt://no-such-host.invalid:1883 (")


def test_user_and_password_and_neither_is_shown(tmp_path, make_broker, told, rigs, monkeypatch):
    passwords = tmp_path / "passwords"
    subprocess.run(
        [needed("mosquitto_passwd"), "-c", "-b", passwords, "pi", "s3cret/ä"], check=True, capture_output=True
    )
    broker = make_broker("allow_anonymous false", f"password_file {passwords}")
    heard = Subscriber(broker.port, "pi", "s3cret/ä")
    wrong = start(rigs, f"mqtt://pi:wr0ng@127.0.0.1:{broker.port}/{TOPIC}", told)
    wait_for(lambda: bool(told))
    assert "refused: " in told[0]
    assert "wr0ng" not in "".join(told)
    wrong.output.close()
    right = start(rigs, f"mqtt://pi:s3cret%2F%C3%A4@127.0.0.1:{broker.port}/{TOPIC}", told)
    wait_for(lambda: heard.last(f"{TOPIC}/availability") == "online")
    right.output.close()
    wait_for(lambda: heard.last(f"{TOPIC}/availability") == "offline")
    monkeypatch.setenv("EDGECLF_MQTT_PASSWORD", "s3cret/ä")
    start(rigs, f"mqtt://pi@127.0.0.1:{broker.port}/{TOPIC}", told)
    wait_for(lambda: heard.last(f"{TOPIC}/availability") == "online")
    heard.close()
    for rig in rigs:
        rig.output.close()
    assert len(told) == 1


def test_tls_checks_the_certificate(tmp_path, make_broker, told, rigs, monkeypatch):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = [needed("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*made, "-keyout", key, "-out", certificate, *names], check=True, capture_output=True)
    broker = make_broker(f"certfile {certificate}", f"keyfile {key}", "allow_anonymous true")
    url = f"mqtts://127.0.0.1:{broker.port}/{TOPIC}"
    refused = start(rigs, url, told)
    wait_for(lambda: bool(told))
    assert f"no connection to mqtts://127.0.0.1:{broker.port} (" in told[0]
    assert "certificate verify failed" in told[0]
    refused.output.close()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    trusted = start(rigs, url, told)
    trusted.show("cat")
    wait_for(lambda: trusted.output.connected)
    trusted.output.close()
    assert len(told) == 1


def test_the_broker_says_offline_for_a_process_that_died(broker):
    code = """
import os, signal, sys
from edgeclf.streaming.outputs.mqtt import Mqtt
from edgeclf.streaming.supervision.problems import Problems
from edgeclf.streaming.loop.state import LiveState
from live_results import wait_for
problems = Problems()
output = Mqtt(sys.argv[1], LiveState("m", ["a"], "s", problems), problems)
wait_for(lambda: output.connected)
sys.stdin.read()
os.kill(os.getpid(), signal.SIGKILL)
"""
    heard = Subscriber(broker.port)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}"}
    command = [sys.executable, "-c", code, f"mqtt://127.0.0.1:{broker.port}/{TOPIC}"]
    child = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE)
    assert child.stdin is not None
    wait_for(lambda: heard.last(f"{TOPIC}/availability") == "online")
    child.stdin.close()
    assert child.wait(60) == -signal.SIGKILL
    wait_for(lambda: heard.last(f"{TOPIC}/availability") == "offline")
    heard.close()


def test_who_is_online_says_so_again(broker, told, rigs, monkeypatch):
    monkeypatch.setattr(mqtt, "ONLINE_EVERY", 0.2)
    heard = Subscriber(broker.port)
    start(rigs, f"mqtt://127.0.0.1:{broker.port}/{TOPIC}", told)
    topic = f"{TOPIC}/availability"
    wait_for(lambda: heard.last(topic) == "online")
    # What a broker does that learns late that an earlier connection is dead.
    other = paho.Client(paho.CallbackAPIVersion.VERSION2)
    other.connect("127.0.0.1", broker.port)
    other.loop_start()
    other.publish(topic, "offline", qos=1, retain=True).wait_for_publish(20)
    wait_for(lambda: "offline" in heard.of(topic))
    wait_for(lambda: heard.last(topic) == "online")
    other.disconnect()
    other.loop_stop()
    heard.close()


def test_closing_is_quick_with_and_without_a_broker(broker, told, rigs):
    here = start(rigs, f"mqtt://127.0.0.1:{broker.port}/{TOPIC}", told)
    wait_for(lambda: here.output.connected)
    gone = start(rigs, "mqtt://127.0.0.1:1", told)
    wait_for(lambda: bool(told))
    for rig in (here, gone):
        began = time.monotonic()
        rig.output.close()
        rig.output.close()
        assert time.monotonic() - began < 10  # 2 seconds, on any machine that is not far too busy
    assert not [thread for thread in threading.enumerate() if thread.name == "edgeclf mqtt"]
    here.show("late")  # a result on its way while all ends


def test_addresses():
    full = parse_mqtt_url("mqtts://pi:a%40b@broker.lan:9999/home/kitchen/")
    assert (full.host, full.port, full.tls, full.topic) == ("broker.lan", 9999, True, "home/kitchen")
    assert (full.user, full.password) == ("pi", "a@b")
    assert "a@b" not in f"{full} {full!r}"
    plain = parse_mqtt_url("mqtt://[::1]", topic="mine")
    assert (plain.host, plain.port, plain.topic, str(plain)) == ("::1", 1883, "mine", "mqtt://[::1]:1883")
    assert parse_mqtt_url("mqtts://h").port == 8883
    assert parse_mqtt_url("mqtt://h").topic.startswith("edgeclf/")
    assert parse_mqtt_url("mqtt://h/K%C3%BCche").topic == "Küche"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "broker.lan",
        "http://broker.lan",
        "mqtt://",
        "mqtt://pi:hunter2/x@broker.lan",
        "mqtt://pi:hunter2@broker.lan:0",
        "mqtt://pi:hunter2@broker.lan:99999",
        "mqtt://pi:hunter2#@broker.lan",
        "mqtt://pi:hunter2@broker.lan/a/+/b",
        "mqtt://pi:hunter2@broker.lan/%24SYS",
        "mqtt://pi:hunter2@broker.lan/a?x=1",
        "mqtt://:hunter2@broker.lan",
        "mqtt://pi:hunter2@[::1",
        "mqtt://pi:hunter2@bro ker",
        f"mqtt://pi:hunter2@{'a' * 64}.lan",
        "mqtt://pi:hunter2@broker.lan/\udcff",
        "mqtt://pi\udcff:hunter2@broker.lan/a",
    ],
)
def test_addresses_that_cannot_be_used_are_told_without_the_password(url, told):
    with pytest.raises(InputError) as raised:
        Rig(url, told)
    message = str(raised.value)
    assert "hunter2" not in message
    assert "\n" not in message
    assert "MQTT" in message or "--mqtt" in message


def test_topics_become_identifiers_that_differ():
    assert node_id("edgeclf/kitchen") == "edgeclf_kitchen"
    assert len({node_id(topic) for topic in ("a/b", "a_b", "a b", "a.b", "ä/b")}) == 5
    for topic in make_discovery_messages("Küche/a b", "m", "homeassistant"):
        assert all(part.replace("-", "").replace("_", "").isalnum() and part.isascii() for part in topic.split("/"))


def test_without_paho_the_install_command_is_named(told, monkeypatch):
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(MissingExtraError, match=r'--mqtt needs paho, .*pip install "edgeclf\[mqtt\]"'):
        Rig("mqtt://127.0.0.1", told)
