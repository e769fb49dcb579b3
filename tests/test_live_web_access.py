"""Who may see the live page, and from where it can be asked."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from live_scene import ask, new_state, publish

from edgeclf.errors import InputError, MissingExtraError, RunFailedError
from edgeclf.streaming.page.access import Access
from edgeclf.streaming.page.address import parse_address
from edgeclf.streaming.page.server import WebView

TOKEN = "a-token-of-enough-characters"


@pytest.fixture(scope="module")
def guarded() -> Iterator[WebView]:
    """A page for all addresses, which asks for a token."""
    state = new_state()
    publish(state, "red", 0)
    view = WebView(state, host="0.0.0.0", port=0, token=TOKEN)
    view.start()
    yield view
    view.close()


@pytest.fixture(scope="module")
def local() -> Iterator[WebView]:
    """A page for this machine alone."""
    state = new_state()
    publish(state, "red", 0)
    view = WebView(state, host="127.0.0.1", port=0)
    view.start()
    yield view
    view.close()


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("8080", "127.0.0.1", 8080),
        (" 0 ", "127.0.0.1", 0),
        ("0.0.0.0:8080", "0.0.0.0", 8080),
        ("localhost:65535", "localhost", 65535),
        ("raspberrypi.local:80", "raspberrypi.local", 80),
        ("[::1]:8080", "::1", 8080),
        ("[::]:8080", "::", 8080),
        ("[fe80::1%eth0]:8080", "fe80::1%eth0", 8080),
    ],
)
def test_an_address_is_a_port_with_or_without_a_host(text: str, host: str, port: int) -> None:
    assert parse_address(text) == (host, port)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"expected \[HOST:\]PORT, such as 8080"),
        ("page", "got 'page'"),
        (":8080", "got ':8080'"),
        ("host:", "got 'host:'"),
        ("host:8o", "got 'host:8o'"),
        ("host:-1", "got 'host:-1'"),
        ("http://host:80", "an IPv6 address stands in brackets|expected"),
        ("::1:8080", r"an IPv6 address stands in brackets, such as \[::1\]:8080, got '::1:8080'"),
        ("::1", "an IPv6 address stands in brackets"),
        ("[host]:80", "'host' is no IPv6 address"),
        ("[::1]", "an IPv6 address stands in brackets|expected"),
        ("65536", "a port is a number from 1 to 65535"),
        ("99999999999999", "a port is a number from 1 to 65535"),
        ("host:²", "expected"),
    ],
)
def test_what_is_no_address_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse_address(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "127.0.0.2", "::ffff:127.0.0.1", "localhost", ""])
def test_there_is_no_rule_for_another_address_without_a_token(host: str) -> None:
    with pytest.raises(InputError, match="needs a token"):
        Access(host, None)
    made = Access.to(host).token
    assert made is not None
    assert len(made) >= 40
    assert made != Access.to(host).token


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.2", "::"])
def test_a_page_for_another_address_always_has_a_token(host: str) -> None:
    view = WebView(new_state(), host=host, port=0)
    assert view.token is not None
    assert f"?token={view.token}" in view.url
    assert view.token not in repr(view._access)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_page_for_this_machine_needs_none(host: str) -> None:
    view = WebView(new_state(), host=host, port=0)
    assert view.token is None
    assert "token" not in view.url


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("short", "at least 16 characters, got 5"),
        ("", "got 0"),
        ("with some spaces in it", "without spaces"),
        ("ü" * 20, "ASCII"),
    ],
)
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_weak_token_is_refused(host: str, token: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        WebView(new_state(), host=host, port=0, token=token)


def test_addresses_that_cannot_be_had_are_named_in_one_line(local: WebView) -> None:
    with pytest.raises(
        RunFailedError, match=f"port {local.port} is taken by another program; .*--web {local.port + 1}"
    ):
        WebView(new_state(), host="127.0.0.1", port=local.port).start()
    with pytest.raises(InputError, match="no address is known for host 'no-such-host.invalid'"):
        WebView(new_state(), host="no-such-host.invalid", port=0)
    with pytest.raises(InputError, match="a port is a number from 1 to 65535 .*got 70000"):
        WebView(new_state(), host="127.0.0.1", port=70000)
    with pytest.raises(InputError, match="this machine has no address 192.0.2.77"):
        WebView(new_state(), host="192.0.2.77", port=0).start()


def test_a_port_that_only_an_administrator_gets_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object, **named: object) -> socket.socket:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(InputError, match="port 80 needs an administrator"):
        WebView(new_state(), host="127.0.0.1", port=80).start()


def test_a_missing_extra_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeclf.extras.installed", lambda module: module != "uvicorn")
    with pytest.raises(MissingExtraError, match=r'--web needs uvicorn, .*run: pip install "edgeclf\[web\]"'):
        WebView(new_state(), host="127.0.0.1", port=0)


PATHS = ("/", "/page.js", "/stream.mjpg", "/snapshot.jpg", "/api/state", "/api/events", "/api/collected", "/nothing")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong-token-of-the-same-kind"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer"},
        {"Cookie": f"token={TOKEN}"},
        {"Cookie": "; =;;"},
    ],
)
def test_without_the_token_nothing_is_shown(guarded: WebView, path: str, headers: dict[str, str]) -> None:
    for query in ("", "?token=", "?token=wrong", f"?token={TOKEN[:-1]}", f"?tokens={TOKEN}", "?token=%FF%00"):
        answer = ask(guarded, path + query, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "set-cookie" not in answer.headers
        assert TOKEN not in answer.text
        assert "scene-int8" not in answer.text


def test_the_page_asks_for_the_token(guarded: WebView) -> None:
    asked = ask(guarded, "/")
    assert 'name="token"' in asked.text
    assert 'id="wrong" hidden' in asked.text
    assert 'id="wrong">' in ask(guarded, "/?token=wrong").text
    assert ask(guarded, "/page.css").status_code == 200
    assert "a token is needed" in ask(guarded, "/api/state").json()["error"]


def test_the_token_becomes_a_cookie_and_leaves_the_address(guarded: WebView) -> None:
    answer = ask(guarded, f"/?token={TOKEN}&x=1")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/?x=1"
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert TOKEN not in cookie
    pair = cookie.partition(";")[0]
    assert ask(guarded, "/api/state", headers={"Cookie": f"other=1; {pair}"}).status_code == 200
    assert ask(guarded, "/api/state", headers={"Cookie": pair[:-1]}).status_code == 401


def test_programs_show_the_token_with_each_request(guarded: WebView) -> None:
    assert ask(guarded, "/api/state", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert ask(guarded, "/api/state", headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200
    assert ask(guarded, f"/snapshot.jpg?token={TOKEN}").headers["content-type"] == "image/jpeg"


def test_health_needs_no_token_and_tells_nothing_else(guarded: WebView) -> None:
    publish(guarded._state, "red", 1)
    assert ask(guarded, "/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize(
    "name", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil", "", "["]
)
def test_a_foreign_name_for_this_machine_is_refused(local: WebView, name: str) -> None:
    for path in (*PATHS, "/healthz"):
        answer = ask(local, path, headers={"Host": name})
        assert answer.status_code == 421
        assert "responds to 127.0.0.1, ::1, localhost only" in answer.text


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST:9", "[::1]:8080", "127.0.0.1:8080"])
def test_its_own_names_are_known(local: WebView, name: str) -> None:
    assert ask(local, "/api/state", headers={"Host": name}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
    ],
)
def test_other_pages_can_ask_for_nothing(local: WebView, headers: dict[str, str]) -> None:
    for path in ("/stream.mjpg", "/snapshot.jpg", "/api/state", "/api/events"):
        assert ask(local, path, headers=headers).status_code == 403
    answer = ask(local, "/api/collected/a/discard", "POST", json={}, headers=headers)
    assert answer.status_code == 403


def test_every_answer_forbids_what_the_page_does_not_need(guarded: WebView) -> None:
    for path in (*PATHS, "/healthz"):
        headers = ask(guarded, path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


def test_the_page_loads_nothing_from_elsewhere(local: WebView) -> None:
    for path in ("/", "/page.css", "/page.js", "/chart.js", "/labelling.js", "/stream.js", "/visible.js", "/icon.svg"):
        text = ask(local, path).text.replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text
        assert "url(" not in text
