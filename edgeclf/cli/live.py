"""`edgeclf live`."""

from __future__ import annotations

import contextlib
import dataclasses
import operator
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from edgeclf import api
from edgeclf.artifact.normalization import resolve_normalization
from edgeclf.cli.commands import Command
from edgeclf.cli.fit_options import FIT
from edgeclf.cli.options import (
    INPUT_RANGE,
    LABELS,
    MODEL,
    NORMALIZE,
    RUNTIME,
    UNSET,
    Option,
    Table,
    complete_path,
    make_plan,
)
from edgeclf.cli.session import Outcome, Session, show
from edgeclf.cli.values import (
    parse_bytes,
    parse_count_or_auto,
    parse_roi,
    parse_size,
    show_bytes,
    show_count_or_auto,
)
from edgeclf.errors import InputError, ReaderLeftError

if TYPE_CHECKING:
    from edgeclf.progress import Progress
    from edgeclf.streaming.loop.result import LiveSummary
    from edgeclf.streaming.loop.settings import LiveSettings

_TOKEN = "EDGECLF_TOKEN"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SOURCE, _PICTURE, _LABELS, _VIEWS, _OUTPUTS = "Source", "Picture", "Labels", "Views", "Outputs"


TOKEN = Option(
    "token",
    "Token of the page, 16 characters or more. Default: a new one.",
    metavar="TEXT",
    envvar=_TOKEN,
)

OPTIONS = (
    Option(
        "camera",
        "0, /dev/video0, a video, a folder, rtsp:// or http://, picamera2(:1), depth:FOLDER, a GStreamer pipeline.",
        metavar="SOURCE",
        complete=complete_path,
        panel=_SOURCE,
    ),
    Option("size", "Picture size to ask of the camera.", metavar="WIDTHxHEIGHT", parse=parse_size, panel=_SOURCE),
    Option("rate", "Frames a second of the camera, or images of a folder.", metavar="FPS", panel=_SOURCE),
    Option(
        "every_frame",
        "Classify every frame of a file. Default: at its own rate, newest frame only.",
        panel=_SOURCE,
    ),
    Option(
        "roi",
        "Look at this region only: pixels, or fractions if all are at most 1.",
        metavar="X,Y,W,H",
        field="geometry.roi",
        parse=parse_roi,
        panel=_PICTURE,
    ),
    Option(
        "center_crop",
        "Look at the middle, in the input's aspect ratio, instead of stretching.",
        field="geometry.center_crop",
        panel=_PICTURE,
    ),
    Option("rotate", "Turn clockwise: 0, 90, 180, 270.", metavar="DEGREES", field="geometry.rotate", panel=_PICTURE),
    Option("flip", "Mirror: none, horizontal, vertical, both.", metavar="WAY", field="geometry.flip", panel=_PICTURE),
    Option(
        "threshold",
        "Below this probability the label is «unknown», as for the class «none»; 0: never. Default: the model's, else "
        "0.5.",
        metavar="P",
        field="smoothing.threshold",
        panel=_LABELS,
    ),
    Option(
        "smoothing",
        "Average labels over this time; 0: not at all.",
        metavar="SECONDS",
        field="smoothing.seconds",
        panel=_LABELS,
    ),
    Option(
        "hysteresis",
        "How far another label must lead to replace one.",
        metavar="P",
        field="smoothing.hysteresis",
        panel=_LABELS,
    ),
    Option("max_fps", "Results a second at most; saves power.", metavar="FPS", field="limits.max_fps", panel=_LABELS),
    Option(
        "threads",
        "Threads of the interpreter; auto measures.",
        metavar="N|auto",
        parse=parse_count_or_auto,
        show=show_count_or_auto,
        panel=_LABELS,
    ),
    RUNTIME,
    NORMALIZE,
    INPUT_RANGE,
    LABELS,
    FIT,
    Option(
        "web",
        "Serve the page here. Other hosts than 127.0.0.1 ask for a token, which is printed.",
        metavar="[HOST:]PORT",
        panel=_VIEWS,
    ),
    dataclasses.replace(TOKEN, panel=_VIEWS),
    Option(
        "stay",
        "Keep the page up when a video or a folder has ended, at most for --duration. Default: with --web or in a "
        "terminal, not with --json.",
        type=bool,
        default=UNSET,
        flag="--stay/--no-stay",
        panel=_VIEWS,
    ),
    Option(
        "no_window",
        "No window, even with a display.",
        type=bool,
        field="window",
        parse=lambda off, option: not off,
        show=operator.not_,
        panel=_VIEWS,
    ),
    Option("heatmap", "Draw over pictures (page, window, recording) where the evidence lies.", panel=_VIEWS),
    Option("record", "Write the annotated video: .mp4, .mkv, .avi.", metavar="FILE", panel=_OUTPUTS),
    Option("overwrite", "Replace an existing video.", panel=_OUTPUTS),
    Option("collect", "Keep frames that the model is unsure of, to sort and train on.", metavar="DIR", panel=_OUTPUTS),
    Option(
        "collect_quota",
        "Disk space for unsorted ones, such as 500MB.",
        metavar="SIZE",
        parse=parse_bytes,
        show=show_bytes,
        panel=_OUTPUTS,
    ),
    Option(
        "on_change",
        "Run this when the label changes; the event is JSON on its stdin.",
        metavar="CMD",
        panel=_OUTPUTS,
    ),
    Option("mqtt", "Publish to a broker: mqtt://USER@HOST:1883/TOPIC.", metavar="URL", panel=_OUTPUTS),
    Option("duration", "Stop after this time.", metavar="SECONDS", field="limits.seconds"),
    Option("frames", "Stop after so many results.", metavar="N", field="limits.frames", minimum=1),
)


def _settings() -> type[LiveSettings]:
    from edgeclf.streaming.loop.settings import LiveSettings

    return LiveSettings


def live(session: Session, values: dict[str, Any]) -> Outcome:
    """Classify a camera, a stream or a video, live.

    Always the newest frame, never a queue. A window where there is a display, else a page. Ctrl-C ends it (exit code
    130); after the end of a video, whose page stays up with --web, it is 0. With --json a line for each result, and
    a summary as the last line.
    """
    model = values.pop("model")
    given = resolve_normalization(values.pop("normalize", None), values.pop("input_range", None))
    values["token"] = read_token(values)
    values["stay"] = _stays(session, values)
    settings = make_plan(_settings(), values | {"normalization": given})
    progress = session.progress()
    shown: list[LiveSummary] = []

    def show_early(summary: LiveSummary) -> None:
        with contextlib.suppress(BrokenPipeError):  # the page stays up all the same
            if _somebody_reads(session, stop):
                show(session, _outcome(summary))
        shown.append(summary)

    with stop_on_signals() as stop:
        views = _views(session, progress, stop, settings.every_frame)
        try:
            summary = api.live(model, settings, stop=stop, progress=progress, at_end=show_early, **views)
        except ReaderLeftError as error:
            raise BrokenPipeError from error
        read = not shown and _somebody_reads(session, stop)
    return _outcome(summary) if read else Outcome(None, lambda console: None, _exit_code(summary))


def read_token(values: dict[str, Any]) -> str | None:
    """Return the token that was given; in the environment it may be there for a page that is not asked for."""
    token: str | None = values["token"]
    return None if values["web"] is None and token == os.environ.get(_TOKEN) else token


def _stays(session: Session, values: dict[str, Any]) -> bool:
    """Decide whether the page stays up after the end of a file: where a person asked for it, or looks at a terminal."""
    stays: bool | None = values.get("stay")
    if stays and values["web"] is None:
        raise InputError("--stay keeps the page up: give --web [HOST:]PORT as well")
    if stays is not None:
        return stays
    watched = session.stderr.isatty() and sys.stdin is not None and sys.stdin.isatty() and not session.quiet
    return not session.json and (values["web"] is not None or watched)


def _outcome(summary: LiveSummary) -> Outcome:
    from edgeclf.cli.rendering_live import render_summary

    document = summary.to_dict()
    return Outcome({"summary": document}, lambda console: render_summary(console, document), _exit_code(summary))


def _exit_code(summary: LiveSummary) -> int:
    return 130 if summary.ended == "interrupted" else 0


def _views(session: Session, progress: Progress, stop: threading.Event, every_frame: bool) -> dict[str, Any]:
    """Choose what the terminal shows: JSON lines, one line that is rewritten, or a line at each change."""
    from edgeclf.cli.live_lines import ChangeLines, terminal_line
    from edgeclf.cli.progress_bars import ConsoleProgress

    if session.json:
        return {"json_lines": session.stdout}
    if session.quiet:
        return {}
    if isinstance(progress, ConsoleProgress):
        return {"watch": terminal_line(progress)}
    return {"outputs": [ChangeLines(session.stdout, stop if every_frame else None)]}


def _somebody_reads(session: Session, stop: threading.Event) -> bool:
    """Wait for room on stdout for the summary; False where the run was stopped and nobody reads."""
    from edgeclf.streaming.outputs.json_lines import has_room

    while not has_room(session.stdout, 0.3):
        if stop.is_set():
            session.warn("edgeclf: nobody reads stdout; the summary is left out")
            return False
    return True


@contextlib.contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C, SIGTERM and a closed terminal set; a second Ctrl-C interrupts as usual."""
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    try:
        # A process started with nohup continues when its terminal is closed.
        heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, ask) for number in heard}
    except ValueError:  # not the main thread: an embedding program handles signals itself
        yield stop
        return
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


COMMAND = Command(
    live,
    (Table(lambda: api.live, (MODEL,)), Table(_settings, OPTIONS)),
    examples=(
        "edgeclf live photos-int8.tflite --camera 0",
        "edgeclf live cifar10 --camera picamera2 --web 0.0.0.0:8765",
        "edgeclf live runs/photos --camera street.mp4 --every-frame --json",
        "edgeclf live runs/photos --roi 0.25,0.25,0.5,0.5 --collect seen --record seen.mp4",
    ),
)
