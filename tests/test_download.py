"""Images from the web, served on the loopback device: bounded in size and time, and clear about what went wrong."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import tflite_models
from typer.testing import CliRunner

import edgeclf
from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.model_file import ModelFile
from edgeclf.cli.main import app
from edgeclf.errors import ImageError
from edgeclf.image.download import download_image, is_address

MODEL = tflite_models.FOLDER / "uint8.tflite"
IMAGES, _ = tflite_models.digits()
PNG = cv2.imencode(".png", IMAGES[3])[1].tobytes()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.agents.append(self.headers["User-Agent"])  # before the client can see an end
        self.server.paths.append(self.path)
        if path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/3.png")
        elif path == "/escape":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
        elif path == "/missing":
            self.send_response(404, "Not\x1b[31m Found")
        else:
            self.send_response(200)
            self.send_header("Content-Type", "text/html" if path == "/page" else "image/png")
        if path in ("/3.png", "/cut", "/huge"):
            length = {"/cut": len(PNG) + 10, "/huge": 1 << 40}.get(path, len(PNG))
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if path == "/slow":
            for _ in range(100):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.05)
        self.wfile.write(PNG * 1000 if path == "/endless" else PNG)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads, made.agents, made.paths, made.handle_error = True, [], [], lambda *_: None
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def address(server: http.server.ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def test_an_address_is_an_image_like_any_other(
    address: str, server: http.server.ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "3.png").write_bytes(PNG)
    names = [f"{address}/3.png", "3.png", f"{address}/moved?size=large", f"{address}/größe/3%20.png?wie=ä#da"]
    report = edgeclf.predict(MODEL, names)
    web, file, moved, foreign = report.predictions
    assert (web.path, moved.path, foreign.path) == (names[0], names[2], names[3])
    assert web.labels == file.labels == moved.labels == foreign.labels
    assert "/gr%C3%B6%C3%9Fe/3%20.png?wie=%C3%A4" in server.paths
    assert edgeclf.Classifier(MODEL).predict(f"{address}/3.png", top=3).labels == web.labels[:3]
    assert set(server.agents) == {"edgeclf"}
    assert [path.name for path in tmp_path.iterdir()] == ["3.png"], "nothing is stored"


def test_each_is_downloaded_once_although_the_input_range_is_measured_first(
    address: str, server: http.server.ThreadingHTTPServer
) -> None:
    before = len(server.agents)
    model = tflite_models.FOLDER / "float_0_1.tflite"
    result = CliRunner().invoke(app, ["predict", str(model), f"{address}/3.png", f"{address}/missing"])
    assert result.exit_code == 0
    assert len(server.agents) - before == 2
    assert f"downloading {address}/3.png" in result.stderr
    assert f"{address}/missing: the server returns 404" in result.stderr
    assert "\x1b" not in result.stderr


def test_explain_downloads_each_once_and_says_so(
    address: str, server: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    pytest.importorskip("flatbuffers")
    from edgeclf.artifact.graph_cuts import GraphCutter

    file = ModelFile.read(locate_model("digits"))
    model = tmp_path / "bare.tflite"  # whose input range is measured on the photos
    model.write_bytes(GraphCutter(file.content).cut(range(len(file.graph.operators))).content)
    before = len(server.agents)
    photos = [f"{address}/3.png", f"{address}/missing"]
    result = CliRunner().invoke(app, ["explain", str(model), *photos, "--out", str(tmp_path / "why")])
    assert result.exit_code == 0, result.stderr
    assert len(server.agents) - before == 2
    assert [f"downloading {photo}" in result.stderr for photo in photos] == [True, True]
    assert f"{address}/missing: the server returns 404" in result.stderr


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/missing", r"the server returns 404 \(Not.* Found\)"),
        ("/page", "the address gives text/html, expected an image file"),
        ("/escape", r"it cannot be downloaded \(it redirects to something that is no http address\)|returns 302"),
        ("/cut", r"the download ended after \d+ of \d+ bytes|cannot be downloaded"),
        ("/huge", "expected at most 0 MB, the server announces 1,048,576"),
        ("/endless", "expected at most 0 MB, got more"),
        ("/slow", "the download (was not complete after 0.4 seconds|took too long)"),
        ("/a b", "expected an address that begins with http:// or https:// and has no blanks"),
    ],
)
def test_what_is_no_image_is_one_reason(address: str, path: str, reason: str) -> None:
    start = time.monotonic()
    with pytest.raises(ImageError, match=reason):
        download_image(address + path, seconds=0.4 if path == "/slow" else 10, largest=len(PNG) * 100)
    assert time.monotonic() - start < 5


def test_only_the_web_is_asked() -> None:
    for name in ("file:///etc/passwd", "ftp://127.0.0.1/x", "data:image/png,x", "cat.jpg", Path("http://x")):
        assert not is_address(name)
    with pytest.raises(ImageError, match="expected an address"):
        download_image("file:///etc/passwd")
    with pytest.raises(ImageError, match="expected a host in ASCII"):
        download_image("http://straße.example/x.png")
    with pytest.raises(ImageError, match=r"cannot be downloaded \(connection refused\)"):
        download_image("http://127.0.0.1:1/x.png")
    assert np.array_equal(IMAGES[3][..., 0], cv2.imdecode(np.frombuffer(PNG, np.uint8), cv2.IMREAD_GRAYSCALE))
