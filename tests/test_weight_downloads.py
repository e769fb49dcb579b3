"""Downloads of weights from a server on the loopback device: bounded, verified, and never half kept."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from listener import Listener

from edgeclf.training import downloads
from edgeclf.training.downloads import fetch_weights

CONTENT = b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 1000


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(404 if self.path == "/missing.h5" else 200)
        length = {"/huge.h5": 1 << 40, "/cut.h5": len(CONTENT) + 10, "/strange.h5": "many"}
        if self.path not in ("/endless.h5", "/slow.h5"):
            self.send_header("Content-Length", str(length.get(self.path, len(CONTENT))))
        self.end_headers()
        for _ in range(50 if self.path == "/slow.h5" else 0):
            self.wfile.write(CONTENT[:8])
            self.wfile.flush()
            time.sleep(0.05)
        if self.path == "/still.h5":
            time.sleep(0.6)
        self.wfile.write(CONTENT * (20 if self.path == "/endless.h5" else 1))

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        serving.daemon_threads, serving.handle_error = True, lambda *_: None  # type: ignore[assignment]
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(urllib.request, "_opener", None)


def test_a_file_is_kept_with_its_checksum_and_fetched_once(address: str, tmp_path: Path) -> None:
    path, remarks = tmp_path / "cache" / "weights.h5", Listener()
    md5 = f"md5:{hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()}"
    assert fetch_weights(f"{address}/weights.h5", path, md5, remarks)
    assert remarks.lines == [f"downloading ImageNet weights from {address}/weights.h5 to {path}"]
    assert path.read_bytes() == CONTENT
    assert fetch_weights("http://127.0.0.1:1/weights.h5", path, md5, Listener())
    assert fetch_weights("http://127.0.0.1:1/weights.h5", path, None, Listener())
    path.write_bytes(CONTENT[:-1])
    for checksum, named in ((md5, "MD5"), (None, "SHA-256")):
        remarks = Listener()
        path.write_bytes(CONTENT[:-1])
        assert fetch_weights(f"{address}/weights.h5", path, checksum, remarks)
        assert f"{path} has {named} " in remarks.lines[0]
        assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("missing", "404"),
        ("huge", "expected at most 1,000,000 bytes, the server announces 1,099,511,627,776"),
        ("endless", "expected at most 1,000,000 bytes, got more"),
        ("cut", f"it ended after {len(CONTENT):,} of {len(CONTENT) + 10:,} bytes|IncompleteRead"),
        ("strange", "many"),
        ("slow", "it was not complete after 0.5 seconds"),
        ("still", "timed out"),
        ("other", "it has MD5 .*, expected 0000"),
    ],
)
def test_what_is_not_expected_leaves_nothing_behind(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, reason: str
) -> None:
    monkeypatch.setattr(downloads, "LARGEST", 1_000_000)
    monkeypatch.setattr(downloads, "TIMEOUT", 0.3)
    monkeypatch.setattr(downloads, "LONGEST", 0.5 if file == "slow" else 60)
    remarks, checksum = Listener(), f"md5:{0:032}" if file == "other" else None
    assert not fetch_weights(f"{address}/{file}.h5", tmp_path / "cache" / "weights.h5", checksum, remarks)
    assert len(remarks.lines) == 2
    assert remarks.lines[1].startswith("the download failed (")
    assert re.search(reason, remarks.lines[1])
    assert not list(tmp_path.rglob("*.*"))
