"""Whatever a name, a label or a text inside a file holds: terminals and pages get printable characters only."""

from __future__ import annotations

import io
import json
import os
import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pytest
import tflite_models
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.table import Table
from typer.testing import CliRunner, Result

from edgeclf.artifact.model_file import ModelFile
from edgeclf.cli.main import app
from edgeclf.cli.progress_bars import ConsoleProgress, LineProgress
from edgeclf.cli.terminal import Terminal
from edgeclf.errors import InputError
from edgeclf.json_text import DEEPEST, parse_json, write_json
from edgeclf.printable import one_line, printable

HOSTILE = "cat\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.\u2066\u200e\ufeff\r"
"""Sets a window's title, clears the screen, changes the colour by a C1 code, and turns the direction of writing."""
SHOWN = r"cat\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.\u2066\u200e\ufeff"

any_text = st.text(st.characters(), max_size=40)  # surrogates too


def is_shown_harmlessly(text: str) -> bool:
    """Line breaks, joiners, and the Unicode categories of letters, marks, numbers, punctuation, symbols and blanks."""
    return all(
        c in "\n\u200c\u200d" or unicodedata.category(c)[0] in "LMNPS" or unicodedata.category(c) == "Zs" for c in text
    )


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments], prog_name="edgeclf")


@given(any_text)
@settings(max_examples=300, deadline=None)
def test_what_is_shown_is_printable_and_stays_so(text: str) -> None:
    assert is_shown_harmlessly(printable(text))
    assert printable(printable(text)) == printable(text)
    assert "\n" not in one_line(text)
    assert is_shown_harmlessly(one_line(text))
    if text.isprintable():
        assert printable(text) == text


def test_escapes_are_those_of_the_character_or_of_the_byte() -> None:
    assert one_line(HOSTILE) == SHOWN
    assert printable(os.fsdecode(b"caf\xe9.png")) == r"caf\xe9.png"
    assert printable("\U000e0001") == r"\U000e0001"
    for name in ("日本\u3000é 🐈 a\\b", "\u0645\u06cc\u200c\u062e\u0648", "क्\u200dष", "Screenshot 9.41\u202fAM"):
        assert printable(name) == name


@given(
    st.recursive(any_text | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(any_text, inner))
)
@settings(max_examples=60, deadline=None)
def test_json_loses_nothing_and_is_printable(document: object) -> None:
    for indent in (None, 1):
        text = write_json(document, indent=indent)
        text.encode()
        assert is_shown_harmlessly(text)
        assert json.loads(text) == document
    assert parse_json(write_json(document), "it") == document


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), f"nested more than {DEEPEST} deep"),
        ('{"a": NaN}', "not JSON"),
        ('{"a": -1e999}', "not JSON"),
        (b"\xff", "not JSON"),
        ("1" * 10_000, "not JSON"),
    ],
)
def test_json_from_a_file_has_bounds(text: str | bytes, reason: str) -> None:
    with pytest.raises(InputError, match=f"it cannot be read: .*{reason}"):
        parse_json(text, "it")


def test_json_as_deep_as_allowed_is_read() -> None:
    assert parse_json("[" * DEEPEST + "]" * DEEPEST, "it")


@given(any_text)
@settings(max_examples=100, deadline=None)
def test_tables_and_lines_on_a_terminal_are_printable(text: str) -> None:
    stream = io.StringIO()
    terminal = Terminal(file=stream, width=60)
    shown = Table(title=text)
    shown.add_column(text)
    shown.add_row(text)
    terminal.print(shown)
    terminal.print(text, soft_wrap=True)
    assert is_shown_harmlessly(stream.getvalue())


def test_columns_are_as_wide_as_what_is_shown() -> None:
    stream = io.StringIO()
    shown = Table("name", "count")
    shown.add_row(HOSTILE, "1")
    shown.add_row("dog", "2")
    Terminal(file=stream, width=120).print(shown)
    rows = [line for line in stream.getvalue().splitlines() if line.rstrip(" │┃").endswith(("1", "2"))]
    assert SHOWN in rows[0]
    assert len({len(row) for row in rows}) == 1


def test_progress_and_log_lines_are_printable() -> None:
    for progress in (LineProgress(stream := io.StringIO()), ConsoleProgress(stream)):
        with progress.task(HOSTILE, 2) as task:
            task.advance(note=HOSTILE)
        progress.info(HOSTILE)
        progress.warn(HOSTILE)
    assert stream.getvalue().count(SHOWN) == 4
    assert is_shown_harmlessly(stream.getvalue().replace("\x1b[?25l", "").replace("\x1b[?25h", ""))


@pytest.fixture
def hostile_model(tmp_path: Path) -> Path:
    """A sealed model with a hostile name, labels, source and metrics."""
    path = tmp_path / "model\x1b[2J\u202e.tflite"
    labels = tuple(f"{HOSTILE.strip()}{i}" for i in range(10))
    path.write_bytes(tflite_models.packaged("uint8", labels=labels, metrics={HOSTILE: {"top1": 0.5}}))
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """An image whose name is Latin-1 and holds an escape."""
    images, _ = tflite_models.digits()
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9\x1b[2J.png"))
    cv2.imwrite(str(tmp_path / "plain.png"), images[0])
    try:
        (tmp_path / "plain.png").rename(path)
    except OSError:  # macOS takes UTF-8 only
        pytest.skip("this file system takes no such name")
    return path


def test_commands_show_hostile_names_harmlessly(hostile_model: Path, photo: Path, tmp_path: Path) -> None:
    for arguments in (
        ("predict", hostile_model, photo),
        ("predict", hostile_model, f"{photo}\x9b"),
        ("inspect", hostile_model, "--verbose"),
        ("verify", hostile_model),
        ("inspect", f"{hostile_model}\u2066"),
        ("bench", hostile_model, "--runs", "3", "--threads", "1"),
        ("predict", hostile_model, photo, "--runtime", "\x1b[2J"),
    ):
        result = run(*arguments)
        assert is_shown_harmlessly(result.output), arguments
        assert "Traceback" not in result.output
    assert SHOWN in run("inspect", hostile_model).output
    line = run("predict", hostile_model, photo).stdout
    assert r"caf\xe9\x1b[2J.png: cat\x1b]0;owned" in line


def test_predict_keeps_the_results_of_files_whose_names_are_not_utf8(hostile_model: Path, photo: Path) -> None:
    result = run("predict", hostile_model, photo, photo.parent / "gone.png", "--json")
    assert result.exit_code == 0
    assert is_shown_harmlessly(result.stdout)
    assert r"caf\udce9" in result.stdout
    document = json.loads(result.stdout)
    assert os.fsencode(document["predictions"][0]["path"]) == os.fsencode(photo)
    assert document["model"] == str(hostile_model)
    assert document["predictions"][0]["labels"][0]["label"].startswith(HOSTILE.strip())
    assert len(document["unreadable"]) == 1


def test_json_goes_through_a_stream_that_is_not_utf8(hostile_model: Path, photo: Path) -> None:
    result = CliRunner(charset="ascii").invoke(app, ["predict", str(hostile_model), str(photo), "--json"])
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert os.fsencode(document["predictions"][0]["path"]) == os.fsencode(photo)


def test_labels_are_kept_as_they_are(hostile_model: Path) -> None:
    labels = ModelFile.read(hostile_model).metadata.labels
    assert labels is not None
    assert labels[0] == f"{HOSTILE.strip()}0"


def test_the_report_is_printable() -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    import test_report

    from edgeclf.report.html import render_report

    names = (HOSTILE.strip(), os.fsdecode(b"\xff$\\frac$"))
    page = render_report(test_report.report(names, (test_report.model(HOSTILE), test_report.model("b"))))
    page.encode()
    assert is_shown_harmlessly(page)
    assert SHOWN in page


def test_plots_of_a_training_take_any_class_name(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from edgeclf.training.plots import plot_confusion

    names = [HOSTILE, os.fsdecode(b"\xff"), r"$\frac$", "$5 or $10"]
    plot_confusion(np.eye(4, dtype=int).tolist(), names, "test", tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").stat().st_size > 1000
