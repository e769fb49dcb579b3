"""What progress looks like: bars on a terminal, few lines in a log."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from edgeclf.cli import progress_bars
from edgeclf.cli.progress_bars import ConsoleProgress, LineProgress
from edgeclf.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_lines_only_from_tasks_that_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    progress = LineProgress(log)
    with progress.task("decoding", 3) as task:
        task.advance(2, "quick")
    assert log.getvalue() == ""
    monkeypatch.setattr(progress_bars, "LINE_EVERY", 0.0)
    with progress.task("decoding", 3) as task:
        task.advance(2, "loss 0.5")
        task.advance()
    with progress.task("timing", None) as task:
        task.advance()
    assert log.getvalue().splitlines() == [
        "decoding: 2 of 3 (loss 0.5)",
        "decoding: 3 of 3 (loss 0.5)",
        "timing: 1",
    ]


def test_warnings_are_marked_and_lines_stay_single() -> None:
    log = io.StringIO()
    LineProgress(log).warn("a file\nwith a [bold]name[/bold]")
    assert log.getvalue() == "warning: a file with a [bold]name[/bold]\n"


def test_bars_nest_and_vanish_and_take_names_literally() -> None:
    screen = Terminal()
    progress = ConsoleProgress(screen)
    with progress.task("outer [red]", 2) as outer:
        with progress.task("inner", None) as inner:
            inner.advance(5, "note [1]")
        outer.advance()
        progress.info("a line [in] between")
    with progress.task("again", 1) as task:
        task.advance()
    assert "a line [in] between" in screen.getvalue()


def test_the_public_bar_is_drawn_on_a_terminal_and_lines_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    import edgeclf

    screen, log = Terminal(), io.StringIO()
    for stream in (screen, log):
        progress: Progress = edgeclf.ProgressBar(stream)
        with progress.task("decoding", 4) as task:
            task.advance(3)
            progress.info("a line")
        progress.warn("mind this")
    assert "decoding" in screen.getvalue()
    assert "4" in screen.getvalue()
    assert log.getvalue() == "a line\nwarning: mind this\n"
    report = edgeclf.audit("digits", progress=edgeclf.ProgressBar())
    assert report.splits
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("columns", [80, 140])
def test_counts_stay_whole_beside_a_long_note(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    progress = ConsoleProgress(Terminal())
    page = Console(file=io.StringIO(), width=columns)
    with progress.task("training (images)", 45_000) as task:
        task.advance(12_345, "epoch 12/90, loss 0.443, validation 50.0 %")
        assert progress._bars is not None
        page.print(progress._bars.get_renderable())
    (line,) = page.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert line.startswith("training (images)")
    assert "12345/45000" in line
    assert "epoch 12/90, loss 0.443" in line
    assert len(line) <= columns


def test_a_task_of_unknown_length_counts_nothing() -> None:
    screen = Terminal()
    with ConsoleProgress(screen).task("loading TensorFlow", None):
        pass
    assert "loading TensorFlow" in screen.getvalue()
    assert "0/?" not in screen.getvalue()
