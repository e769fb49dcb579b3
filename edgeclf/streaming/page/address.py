"""Parse the address of the page, resolve it on this machine, and open the socket that listens there."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import NamedTuple

from edgeclf.errors import InputError, RunFailedError

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8765
BACKLOG = 1024
LOOPBACK = ("127.0.0.1", "::1")


class Address(NamedTuple):
    """A numeric address of this machine.

    Args:
        family: `socket.AF_INET` or `socket.AF_INET6`.
        host: such as `127.0.0.1`, `::1` or `0.0.0.0`; an IPv6 address may carry its interface, `fe80::1%eth0`.
        port: 0 lets the system choose one.
    """

    family: socket.AddressFamily
    host: str
    port: int


def parse_address(text: str) -> tuple[str, int]:
    """Parse host and port out of `[HOST:]PORT`; without a host, this machine alone can open the page.

    Args:
        text: such as `8080`, `0.0.0.0:8080`, `localhost:8080` or `[::1]:8080`. Port 0 is any free one.

    Raises:
        InputError: it is no such address.
    """
    text = text.strip()
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if not _is_ipv6(host):
            raise InputError(f"in {text!r}, {host!r} is no IPv6 address; write for example [::1]:8080")
    elif ":" in host or _is_ipv6(text):
        raise InputError(f"an IPv6 address stands in brackets, such as [::1]:8080, got {text!r}")
    elif colon and (not host or any(sign in host for sign in "/[]@?# ")):
        raise InputError(f"expected [HOST:]PORT, such as 8080 or 0.0.0.0:8080, got {text!r}")
    if not (port.isascii() and port.isdigit()):
        raise InputError(f"expected [HOST:]PORT, such as 8080 or 0.0.0.0:8080, got {text!r}")
    return host or DEFAULT_HOST, _checked(int(port[:9]))


def resolve(host: str, port: int) -> Address:
    """Resolve `host` to a numeric address.

    Raises:
        InputError: no machine has that name, or the port is no port.
    """
    _checked(port)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise InputError(f"--web: no address is known for host {host!r}; 127.0.0.1 or 0.0.0.0 always are") from error
    family, _, _, _, place = found[0]
    return Address(family, str(place[0]), port)


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches the numeric address `host`: 127.0.0.1 and ::1, and nothing else."""
    return host in LOOPBACK


def listen(address: Address, send_buffer_bytes: int) -> socket.socket:
    """Open a socket that listens at `address`.

    Raises:
        RunFailedError: another program has the port.
        InputError: the port or the address cannot be used.
    """
    shown = bracket_host(address.host)
    try:
        listener = socket.create_server(
            (address.host, address.port),
            family=address.family,
            backlog=BACKLOG,
            dualstack_ipv6=address.host == "::" and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            free = address.port + 1 if address.port < 65535 else 8080
            raise RunFailedError(
                f"--web: port {address.port} is taken by another program; end it, or choose another port: --web {free}"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise InputError(
                f"--web: port {address.port} needs an administrator, as all below 1024 do; choose one such as 8080"
            ) from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise InputError(f"--web: this machine has no address {shown}; 0.0.0.0 stands for all it has") from error
        reason = (error.strerror or str(error)).lower()
        raise RunFailedError(f"--web: cannot listen on {shown}:{address.port} ({reason})") from error
    # Connections inherit it. The kernel would let it grow to megabytes: seconds of old pictures for a slow viewer.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
    return listener


def reachable_host(address: Address) -> str:
    """Return the host for a browser: for `all addresses`, the one that this machine shows to its network."""
    if address.host not in ("0.0.0.0", "::"):
        return bracket_host(address.host)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a documentation address (RFC 5737); connecting UDP sends nothing
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


def bracket_host(host: str) -> str:
    """Write `host` as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


def _checked(port: int) -> int:
    if not 0 <= port <= 65535:
        raise InputError(f"--web: a port is a number from 1 to 65535 (0: any free one), got {port}")
    return port


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False
