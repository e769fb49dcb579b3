"""`edgeclf collected`: the page of collected frames without a camera, its report, and its QR code."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from live_results import wait_for
from rich.console import Console
from typer.testing import CliRunner

import edgeclf
from edgeclf import extras
from edgeclf.cli.main import app
from edgeclf.cli.progress_bars import ConsoleProgress, LineProgress
from edgeclf.cli.rendering_live import show_code
from edgeclf.dataset.collected import HEADER, INDEX
from edgeclf.errors import InputError
from edgeclf.progress import SILENT
from edgeclf.streaming.page.qr_code import MARGIN, draw_code

URL = "http://192.168.178.20:8765/?token=" + "Zm9vYmFyYmF6" * 3 + "1234567"


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    folder = tmp_path / "seen"
    (folder / "unsorted").mkdir(parents=True)
    (folder / "unsorted" / INDEX).write_text(HEADER + "\n")
    for number in range(3):
        pixels = np.full((8, 8, 3), 80 * number, np.uint8)
        cv2.imwrite(str(folder / "unsorted" / f"20260105-07301{number}-000.jpg"), pixels)
    return folder


def test_json_counts_what_is_there_and_serves_nothing(seen: Path) -> None:
    (seen / "t-shirt%2Ftop").mkdir()
    cv2.imwrite(str(seen / "t-shirt%2Ftop" / "a.jpg"), np.zeros((8, 8, 3), np.uint8))
    result = CliRunner().invoke(app, ["collected", str(seen), "--model", "digits", "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document == {
        "folder": str(seen),
        "waiting": 3,
        "classes": {"t-shirt/top": 1},
        "labels": [*map(str, range(10)), "t-shirt/top"],
        "undoable": 0,
    }
    report = edgeclf.collected(seen, serve=False)
    assert report.labels == ("t-shirt/top",)
    assert type(report).from_json(report.to_json()) == report


def test_frames_are_sorted_on_the_page_until_it_is_stopped(seen: Path) -> None:
    stop, urls, reports = threading.Event(), [], []
    work = {"web": "127.0.0.1:0", "stop": stop, "at_start": urls.append}
    thread = threading.Thread(target=lambda: reports.append(edgeclf.collected(seen, **work)))
    thread.start()
    try:
        wait_for(lambda: urls)
        with httpx.Client(base_url=urls[0], trust_env=False) as client:
            names = [image["name"] for image in client.get("/api/collected").json()["images"]]
            assert names == [f"20260105-07301{number}-000" for number in (2, 1, 0)]
            client.post("/api/collected/label", json={"names": names[:2], "label": "cat"})
            client.post("/api/collected/discard", json={"names": names[2:]})
            decisions = client.get("/api/collected").json()["decisions"]
            client.post("/api/collected/undo", json={"decision": decisions[0]["id"]})
    finally:
        stop.set()
        thread.join(20)
    assert reports[0].waiting == 1
    assert reports[0].classes == {"cat": 2}
    assert reports[0].undoable == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothere"], "nothere: no such folder; expected one that edgeclf live --collect fills"),
        (["seen/unsorted"], "did you mean seen?"),
        (["."], "no frames were collected into it"),
        (["seen", "--model", "digts"], "did you mean 'digits'?"),
        (["seen", "--web", "nonsense"], "expected [HOST:]PORT"),
        (["seen", "--web", "0.0.0.0:0", "--token", "short"], "at least 16 characters"),
        (["seen", "--web", "0.0.0.0:0", "--quiet"], "the generated one would be shown nowhere: give --token"),
    ],
)
def test_bad_input_is_one_line(seen: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str) -> None:
    monkeypatch.chdir(seen.parent)
    result = CliRunner().invoke(app, ["collected", *arguments])
    assert result.exit_code == 2
    assert (words in result.stderr, result.stderr.count("\n")) == (True, 1)


@pytest.mark.slow
def test_ctrl_c_ends_the_command_with_0_and_what_is_left(seen: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    command = [sys.executable, "-m", "edgeclf", "collected", str(seen), "--web", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    try:
        assert process.stderr.readline().startswith("page: http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        output, complaint = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, complaint) == (0, "")
    assert output.splitlines()[0] == f"{seen}: 3 frames wait for a label"


def test_a_folder_of_another_user_is_not_taken_for_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # as for a user whom the service's folder is closed to
    with pytest.raises(InputError, match="may not be read by this user"):
        edgeclf.collected(tmp_path)


def test_the_model_is_no_reason_to_serve_an_unusable_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no frames were collected"):
        edgeclf.collected(tmp_path, model="digits")


# the QR code


def test_a_phone_reads_the_address_from_the_terminal() -> None:
    rows = draw_code(URL)
    assert rows is not None
    assert {len(row) for row in rows} == {len(rows[0])}
    assert len(rows[0]) + 1 >= 2 * len(rows) - 1
    assert set("".join(rows)) == set("█▀▄ ")
    dark = {"█": (1, 1), "▀": (1, 0), "▄": (0, 1), " ": (0, 0)}
    modules = np.array([[dark[sign][half] for sign in row] for row in rows for half in (0, 1)], np.uint8)
    assert modules[:MARGIN, :].max() == modules[:, :MARGIN].max() == 0
    picture = np.kron(1 - modules, np.ones((8, 8), np.uint8)) * 255
    text, _, _ = cv2.QRCodeDetector().detectAndDecode(np.pad(picture, 32, constant_values=255).astype(np.uint8))
    assert text == URL


def shown(url: str, **console: object) -> str:
    progress = ConsoleProgress(io.StringIO())
    settings = {"file": io.StringIO(), "force_terminal": True, "width": 80, "color_system": "standard", **console}
    progress.console = Console(**settings)  # type: ignore[arg-type]
    monkey = progress.console.file
    show_code(progress, url)
    return monkey.getvalue()  # type: ignore[attr-defined]


def test_the_code_is_drawn_where_there_is_a_token_and_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(Console, "encoding", "utf-8")
    assert shown(URL).count("\n") == len(draw_code(URL) or ())
    assert shown("http://127.0.0.1:8765/") == ""
    assert shown(URL, width=20) == ""
    assert shown(URL, no_color=True) == ""
    log = io.StringIO()
    show_code(LineProgress(log), URL)
    show_code(SILENT, URL)
    assert log.getvalue() == ""


def test_without_the_package_there_is_no_code_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    assert draw_code(URL) is None
    assert shown(URL) == ""
