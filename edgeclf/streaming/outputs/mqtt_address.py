"""The address of a broker: `mqtt://USER:PASSWORD@HOST:1883/TOPIC`, with a password that is never shown."""

from __future__ import annotations

import os
import re
import socket
import urllib.parse
from dataclasses import dataclass, field

from edgeclf.errors import InputError
from edgeclf.paths import is_utf8

PASSWORD_VARIABLE = "EDGECLF_MQTT_PASSWORD"
PORTS = {"mqtt": 1883, "mqtts": 8883}
_EXPECTED = "expected mqtt://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC], or mqtts:// for TLS"
_HOW_TO_ESCAPE = "write % / # ? @ in user or password as %25 %2F %23 %3F %40"


@dataclass(frozen=True)
class MqttAddress:
    """A broker and a topic.

    Attributes:
        host: name or IP address.
        port: 1883, and 8883 with TLS, unless given.
        tls: whether the connection is encrypted and the broker's certificate is checked.
        topic: base of all topics.
        user: None: no user.
        password: not part of any text made from this.
    """

    host: str
    port: int
    tls: bool
    topic: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def parse_mqtt_url(url: str, topic: str | None = None) -> MqttAddress:
    """Parse an address. The password may also be in the environment variable EDGECLF_MQTT_PASSWORD.

    Args:
        url: a URL of the kind above.
        topic: the base topic where the URL has none; without either, `edgeclf/HOSTNAME`.

    Raises:
        InputError: it is no such URL. The message repeats nothing of it that could be a password.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise InputError(f"--mqtt: host or port cannot be read; {_EXPECTED}; {_HOW_TO_ESCAPE}") from error
    if parts.scheme not in PORTS:
        raise InputError(f"--mqtt: {_EXPECTED}, got {parts.scheme + '://' if parts.scheme else 'no scheme'}")
    if not host or any(c.isspace() for c in host):
        raise InputError(f"--mqtt: no host; {_EXPECTED}")
    try:
        host.encode("idna")
    except UnicodeError as error:
        raise InputError(f"--mqtt: the host is no name that can exist; {_EXPECTED}") from error
    if port == 0:
        raise InputError("--mqtt: the port must be between 1 and 65535, got 0")
    if parts.query or parts.fragment:
        raise InputError(f"--mqtt: ? and # have no meaning here; {_EXPECTED}; {_HOW_TO_ESCAPE}")
    user = urllib.parse.unquote(parts.username) if parts.username else None
    password = urllib.parse.unquote(parts.password) if parts.password else os.environ.get(PASSWORD_VARIABLE)
    if password and user is None:
        if parts.password:
            raise InputError("--mqtt: a password needs a user; mqtt://USER:PASSWORD@HOST")
        password = None
    if not is_utf8((user or "") + (password or "")):
        raise InputError(f"--mqtt: user and password must be text in UTF-8; {_HOW_TO_ESCAPE}")
    base = urllib.parse.unquote(parts.path).strip("/") or topic or default_topic()
    return MqttAddress(host, port or PORTS[parts.scheme], parts.scheme == "mqtts", check_topic(base), user, password)


def default_topic() -> str:
    """Return `edgeclf/` and the name of this machine."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname().partition(".")[0])
    return f"edgeclf/{name or 'device'}"


def check_topic(topic: str) -> str:
    """Raise InputError where nothing can be published under `topic` (MQTT 3.1.1, section 4.7)."""
    if not is_utf8(topic):
        raise InputError(f"an MQTT topic must be text in UTF-8, got {topic!a}")
    if not topic or len(topic.encode()) > 200:
        raise InputError(f"an MQTT topic must have 1 to 200 bytes, got {len(topic.encode())}")
    if topic.startswith("$") or any(c in "+#" or ord(c) < 32 or ord(c) == 127 for c in topic):
        raise InputError(
            f"an MQTT topic must be without + and # and control characters, and not begin with $: {topic!r}"
        )
    return topic
