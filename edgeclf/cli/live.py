"""`edgeclf live`."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeclf.cli.commands import register
from edgeclf.cli.options import InputRange, Model, Runtime, complete_path
from edgeclf.cli.session import Outcome, Session
from edgeclf.cli.values import parse_bytes, parse_count_or_auto, parse_range, parse_roi, parse_size

if TYPE_CHECKING:
    from rich.console import Console

    from edgeclf.progress import Progress

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SOURCE, _PICTURE, _LABELS, _VIEWS, _OUTPUTS = "Source", "Picture", "Labels", "Views", "Outputs"


def live(
    session: Session,
    model: Model,
    camera: Annotated[
        str,
        typer.Option(
            metavar="SOURCE",
            help="0, /dev/video0, a video, a folder of images, rtsp:// or http://, picamera2, a GStreamer pipeline.",
            autocompletion=complete_path,
            rich_help_panel=_SOURCE,
        ),
    ] = "0",
    size: Annotated[
        str | None,
        typer.Option(metavar="WIDTHxHEIGHT", help="Picture size to ask of the camera.", rich_help_panel=_SOURCE),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(metavar="FPS", help="Frames a second to ask of the camera.", rich_help_panel=_SOURCE),
    ] = None,
    every_frame: Annotated[
        bool,
        typer.Option(
            "--every-frame",
            help="Classify every frame of a file. Default: at its own rate, newest frame only.",
            rich_help_panel=_SOURCE,
        ),
    ] = False,
    roi: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y,W,H",
            help="Look at this region only: pixels, or shares if all are at most 1.",
            rich_help_panel=_PICTURE,
        ),
    ] = None,
    center_crop: Annotated[
        bool,
        typer.Option(
            "--center-crop", help="Look at the middle square instead of stretching.", rich_help_panel=_PICTURE
        ),
    ] = False,
    rotate: Annotated[
        int, typer.Option(metavar="DEGREES", help="Turn clockwise: 0, 90, 180, 270.", rich_help_panel=_PICTURE)
    ] = 0,
    flip: Annotated[
        str,
        typer.Option(metavar="WAY", help="Mirror: none, horizontal, vertical, both.", rich_help_panel=_PICTURE),
    ] = "none",
    threshold: Annotated[
        float,
        typer.Option(metavar="P", help="Below this probability the label is «unknown».", rich_help_panel=_LABELS),
    ] = 0.5,
    smoothing: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Average labels over this time; 0: not at all.", rich_help_panel=_LABELS),
    ] = 0.3,
    hysteresis: Annotated[
        float,
        typer.Option(metavar="P", help="How far another label must lead to replace one.", rich_help_panel=_LABELS),
    ] = 0.1,
    max_fps: Annotated[
        float | None,
        typer.Option(metavar="FPS", help="Results a second at most; saves power.", rich_help_panel=_LABELS),
    ] = None,
    threads: Annotated[
        str,
        typer.Option(metavar="N|auto", help="Threads of the interpreter; auto measures.", rich_help_panel=_LABELS),
    ] = "auto",
    runtime: Runtime = "litert",
    input_range: InputRange = None,
    web: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST:]PORT",
            help="Serve the page here. Other hosts than 127.0.0.1 ask for a token, which is printed.",
            rich_help_panel=_VIEWS,
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Token of the page, 16 characters or more. Default: a new one.",
            envvar="EDGECLF_TOKEN",
            show_envvar=True,
            rich_help_panel=_VIEWS,
        ),
    ] = None,
    no_window: Annotated[
        bool, typer.Option("--no-window", help="No window, even with a display.", rich_help_panel=_VIEWS)
    ] = False,
    record: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the annotated video: .mp4, .mkv, .avi.", rich_help_panel=_OUTPUTS),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing video.", rich_help_panel=_OUTPUTS)
    ] = False,
    collect: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Keep frames that the model is unsure of, to sort and train on.",
            rich_help_panel=_OUTPUTS,
        ),
    ] = None,
    collect_quota: Annotated[
        str,
        typer.Option(metavar="SIZE", help="Disk space for unsorted ones, such as 500MB.", rich_help_panel=_OUTPUTS),
    ] = "500MB",
    on_change: Annotated[
        str | None,
        typer.Option(
            metavar="CMD",
            help="Run this when the label changes; the event is JSON on its stdin.",
            rich_help_panel=_OUTPUTS,
        ),
    ] = None,
    mqtt: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Tell a broker: mqtt://USER@HOST:1883/TOPIC.", rich_help_panel=_OUTPUTS),
    ] = None,
    duration: Annotated[float | None, typer.Option(metavar="SECONDS", help="Stop after this time.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, metavar="N", help="Stop after so many results.")] = None,
) -> Outcome:
    """Classify a camera, a stream or a video, live.

    Always the newest frame, never a queue. A window where there is a display, else a page. Ctrl-C ends it (exit code
    130). With --json a line for each result, and a summary as the last line.
    """
    from edgeclf import api
    from edgeclf.errors import ReaderLeftError
    from edgeclf.streaming.loop.geometry import Geometry
    from edgeclf.streaming.loop.settings import Limits, LiveSettings
    from edgeclf.streaming.loop.smoothing import Smoothing

    settings = LiveSettings(
        camera=camera,
        size=parse_size(size),
        rate=rate,
        every_frame=every_frame,
        geometry=Geometry(rotate, flip, parse_roi(roi), center_crop),
        smoothing=Smoothing(smoothing, threshold, hysteresis),
        limits=Limits(frames, duration, max_fps),
        threads=parse_count_or_auto(threads, "--threads"),
        runtime=runtime,
        input_range=parse_range(input_range),
        web=web,
        # In the environment of a service the token may be there for a page that is not asked for.
        token=None if web is None and token == os.environ.get("EDGECLF_TOKEN") else token,
        window=not no_window,
        record=record,
        overwrite=overwrite,
        collect=collect,
        collect_quota=parse_bytes(collect_quota, "--collect-quota"),
        on_change=on_change,
        mqtt=mqtt,
    )
    progress = session.progress()
    with stop_on_signals() as stop:
        try:
            summary = api.live(
                model, settings, stop=stop, progress=progress, **_views(session, progress, stop, every_frame)
            )
        except ReaderLeftError as error:
            raise BrokenPipeError from error
        read = _somebody_reads(session, stop)
    document = {"summary": summary.to_dict()} if read else None
    exit_code = 130 if summary.ended == "interrupted" else 0
    return Outcome(document, lambda console: render_summary(console, summary.to_dict()), exit_code)


def _views(session: Session, progress: Progress, stop: threading.Event, every_frame: bool) -> dict[str, Any]:
    """What is seen in the terminal: JSON lines, a line that is rewritten, or a line at each change."""
    from edgeclf.cli.live_lines import ChangeLines, terminal_line
    from edgeclf.cli.progress_bars import ConsoleProgress

    if session.json:
        return {"json_lines": session.stdout}
    if session.quiet:
        return {}
    if isinstance(progress, ConsoleProgress):
        return {"watch": terminal_line(progress.console)}
    return {"outputs": [ChangeLines(session.stdout, stop if every_frame else None)]}


def _somebody_reads(session: Session, stop: threading.Event) -> bool:
    """Wait for room on stdout for the summary; False where it was to stop and nobody reads."""
    from edgeclf.streaming.outputs.json_lines import has_room

    while not has_room(session.stdout, 0.3):
        if stop.is_set():
            session.warn("edgeclf: nobody reads stdout; the summary is left out")
            return False
    return True


@contextlib.contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C, SIGTERM and a closed terminal set; a second Ctrl-C interrupts as usual."""
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    try:
        # What was started with nohup goes on when its terminal is closed.
        heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, ask) for number in heard}
    except ValueError:  # not the main thread: an embedding program has its own signals
        yield stop
        return
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def render_summary(console: Console, summary: dict[str, Any]) -> None:
    """The whole run in a few lines."""
    ages = summary["frame_age_ms"]
    seconds, classified = summary["seconds"], summary["frames_classified"]
    rate = f", {classified / seconds:.1f} a second" if seconds >= 1 else ""  # below it says nothing
    console.print(f"{summary['ended']}: {classified} results in {seconds:.1f} s{rate}")
    console.print(
        f"frames: {summary['frames_captured']} captured, {summary['frames_dropped']} left out for newer ones, "
        f"{summary['reconnects']} reconnects"
    )
    if ages["median"] is not None:
        console.print(f"frame age: median {ages['median']:.1f} ms, p95 {ages['p95']:.1f} ms, most {ages['max']:.1f} ms")
    for part, line in summary["problems"].items():
        console.print(f"{part}: {line}")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    examples = [
        "edgeclf live photos-int8.tflite --camera 0",
        "edgeclf live cifar10 --camera picamera2 --web 0.0.0.0:8765",
        "edgeclf live runs/photos --camera street.mp4 --every-frame --json",
        "edgeclf live runs/photos --roi 0.25,0.25,0.5,0.5 --collect seen --record seen.mp4",
    ]
    register(app, "live", live, examples=examples)
