"""Open what the user asked for besides the loop: the outputs and the page."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgeclf.dataset.collected import UNSORTED, count_unsorted
from edgeclf.errors import InputError, MissingExtraError, RunFailedError
from edgeclf.extras import require
from edgeclf.inference.classifier import Classifier
from edgeclf.paths import expand_home
from edgeclf.progress import SILENT, Progress
from edgeclf.streaming.camera.sources.files import FILE_ADDRESS, is_file_address
from edgeclf.streaming.camera.sources.recording import is_recording, read_recording_rate
from edgeclf.streaming.camera.sources.video_file import read_frame_rate
from edgeclf.streaming.loop.result import CollectedFrames, LiveSummary
from edgeclf.streaming.loop.settings import LiveSettings
from edgeclf.streaming.loop.state import LiveState, Output
from edgeclf.streaming.page.address import DEFAULT_PORT, parse_address
from edgeclf.streaming.supervision.closing import Closing


def make_outputs(settings: LiveSettings, classifier: Classifier, state: LiveState, closing: Closing) -> list[Output]:
    """Open the outputs that the user asked for, each checked before the first frame, and closed at the end."""
    made: list[Output] = []
    problems = state.problems

    def add(output: Output) -> None:
        closing.add(output.close)
        made.append(output)

    if settings.record is not None:
        from edgeclf.streaming.outputs.record import Recorder

        rate = _find_rate(settings) if settings.every_frame else None
        add(
            Recorder(
                settings.record,
                problems,
                rate=rate,
                overwrite=settings.overwrite,
                every_frame=settings.every_frame,
            )
        )
    if settings.collect is not None:
        from edgeclf.streaming.collection.collect import Collector

        quota, paced = settings.collect_quota, not settings.every_frame
        add(Collector(settings.collect, problems, labels=classifier.labels, quota_bytes=quota, paced=paced))
    if settings.on_change is not None:
        from edgeclf.streaming.outputs.on_change import OnChange

        add(OnChange(settings.on_change, problems))
    if settings.mqtt is not None:
        from edgeclf.streaming.outputs.mqtt import Mqtt

        add(Mqtt(settings.mqtt, state, problems))
    return made


def _find_rate(settings: LiveSettings) -> float | None:
    """Find the frames a second at which all frames of a file are to be recorded; None: it has no such number."""
    if settings.rate is not None:
        return settings.rate
    camera = settings.camera[len(FILE_ADDRESS) :] if is_file_address(settings.camera) else settings.camera
    path = expand_home(camera)
    found = read_recording_rate(path) if is_recording(path) else read_frame_rate(camera)
    # a recording of frames that are far apart, or very close, has no rate that a film can have
    return found if found is not None and 0.1 <= found <= 240 else None


def name_files(summary: LiveSummary, outputs: Sequence[Output]) -> LiveSummary:
    """Add to the summary what closed outputs have left on the disk."""
    recording, collected = _find_files(outputs)
    return dataclasses.replace(summary, recording=recording, collected=collected)


@contextlib.contextmanager
def files_named(outputs: Sequence[Output], progress: Progress) -> Iterator[None]:
    """Log what the outputs have left on the disk where the block, which closes them, fails."""
    try:
        yield
    except RunFailedError:
        recording, collected = _find_files(outputs)
        with contextlib.suppress(OSError):
            if recording is not None:
                progress.info(f"recording: {recording}")
            if collected is not None:
                progress.info(f"collected: {collected.new} new in {collected.folder}")
        raise


def _find_files(outputs: Sequence[Output]) -> tuple[str | None, CollectedFrames | None]:
    """Find the recording, and the collected frames."""
    recording, collected = None, None
    for output in outputs:
        if isinstance(written := getattr(output, "written", None), Path):
            recording = str(written)
        kept, folder = getattr(output, "kept", None), getattr(output, "folder", None)
        if isinstance(kept, int) and isinstance(folder, Path):
            collected = CollectedFrames(str(folder), kept, count_unsorted(folder / UNSORTED))
    return recording, collected


def serve_page(
    settings: LiveSettings, state: LiveState, closing: Closing, progress: Progress, *, only_view: bool
) -> None:
    """Serve the page where it is asked for, or where it is the only view and its address is logged.

    Raises:
        InputError: the address cannot be served, or a generated token would be shown nowhere.
        MissingExtraError: the page was asked for, and its extra is not installed.
        RunFailedError: the port that was asked for is taken.
    """
    requested = settings.web is not None
    if not (requested or (only_view and progress is not SILENT)):  # never a server that nobody knows of
        return
    try:
        require("--web" if requested else "the page", "starlette", "uvicorn")
    except MissingExtraError as error:
        if requested:
            raise
        progress.info(str(error))
        return
    from edgeclf.streaming.page.server import WebView

    host, port = parse_address(settings.web or str(DEFAULT_PORT))
    collected = None
    if settings.collect is not None:
        from edgeclf.streaming.collection.collected import Collected

        collected = Collected(Path(settings.collect), state.labels)
    try:
        view = WebView(state, host=host, port=port, token=settings.token, collected=collected)
        if settings.token is None and view.token is not None and progress is SILENT:
            raise InputError("the page needs a token, and the generated one would be shown nowhere: give --token")
        closing.add(view.close, stays=True)
        view.start()
    except RunFailedError:
        if requested:
            raise
        view = WebView(state, host=host, port=0, collected=collected)  # the port is taken: any other will do
        closing.add(view.close, stays=True)
        view.start()
    state.page = view.url
    progress.info(f"page: {view.url}")
    if not requested:
        progress.info(
            f"for this machine alone; --web 0.0.0.0:{DEFAULT_PORT} serves others too, who need its token then"
        )
