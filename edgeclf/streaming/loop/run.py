"""Run `live`: open everything, let the loop work, and release everything again, whatever happens."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.model_file import ModelFile
from edgeclf.errors import InputError, ReaderLeftError, RunFailedError
from edgeclf.extras import extras
from edgeclf.inference.activation_maps import MappingClassifier
from edgeclf.inference.classifier import Classifier
from edgeclf.progress import Progress
from edgeclf.streaming.camera.capture import Capture
from edgeclf.streaming.camera.retry import RetryPolicy
from edgeclf.streaming.camera.source import SourceState
from edgeclf.streaming.camera.sources.registry import choose_source
from edgeclf.streaming.loop.loop import Loop
from edgeclf.streaming.loop.notes import NoteWatch
from edgeclf.streaming.loop.opening import files_named, make_outputs, name_files, serve_page
from edgeclf.streaming.loop.result import LiveSummary
from edgeclf.streaming.loop.settings import LiveSettings
from edgeclf.streaming.loop.state import LiveState, Output
from edgeclf.streaming.outputs.json_lines import JsonLines
from edgeclf.streaming.outputs.window import window_possible
from edgeclf.streaming.supervision.board_watch import BoardWatch
from edgeclf.streaming.supervision.closing import Closing
from edgeclf.streaming.supervision.notify import Notifier, ReadyNotice
from edgeclf.streaming.supervision.problems import Problems
from edgeclf.streaming.supervision.threads import choose_threads

_LOOP_ENDS_WITHIN, _LONGEST_TURN = 2.5, 30.0
"""Seconds that a turn of the loop is waited for; where images take longer, twice as long as the slowest one."""
_END_OF_SOURCE = "end of source"
_BEAT_SECONDS = 0.5

View = Callable[[LiveState], contextlib.AbstractContextManager[object]]
"""A further view, such as a line of a terminal: entered with the state, and open while the loop works."""


def run_live(
    model: str | Path,
    settings: LiveSettings,
    *,
    stop: threading.Event,
    progress: Progress,
    json_lines: IO[str] | None = None,
    outputs: Sequence[Output] = (),
    watch: View | None = None,
    at_end: Callable[[LiveSummary], None] | None = None,
) -> LiveSummary:
    """Classify frames until `stop` is set, the source ends, a limit is reached, or the window is closed.

    To be called from the main thread where a window may be opened.

    Args:
        model: a file, a run folder, or a zoo name.
        settings: what to look at, how, and where results go.
        stop: ends it.
        progress: gets what was chosen, and what goes wrong on the way.
        json_lines: gets a line for each result.
        outputs: what else takes each result; closed at the end, also where it never began.
        watch: a further view, open while the loop works.
        at_end: gets the summary where the page stays up beyond the end of the source (`LiveSettings.stay`).

    Raises:
        InputError: model, source, or an output cannot be used.
        RunFailedError: the source is lost for good.
        ReaderLeftError: the reader of `json_lines` closed its end.
    """
    notifier, problems = Notifier.from_environment(), Problems(progress.warn)
    watcher = _SourceWatcher(notifier, progress)
    made: list[Output] = []
    with files_named(made, progress), Closing() as closing:
        for output in outputs:
            closing.add(output.close)
        capture = _open_capture(settings, watcher, progress)
        closing.add(capture.close)
        classifier = _open_model(model, settings, progress)
        _check_depth(classifier, capture.depth, settings.camera)
        max_fps = settings.limits.max_fps
        state = LiveState(classifier.path.stem, classifier.labels, capture.name, problems, max_fps=max_fps)
        made += make_outputs(settings, classifier, state, closing)
        lines = None
        if json_lines is not None:
            lines = JsonLines(json_lines, problems, stop, every_frame=settings.every_frame, notes=state.notes)
            closing.add(lines.close)
            made.append(lines)
        state.set_source(capture.state)
        watcher.state = state
        with_window = settings.window and window_possible(stop)
        serve_page(settings, state, closing, progress, only_view=not (with_window or lines is not None))
        if settings.heatmap and not (with_window or state.page or settings.record or outputs):
            raise InputError("--heatmap draws over the window, the page and the recording: give --web or --record")
        board = BoardWatch(state)
        closing.add(board.close, stays=True)
        board.start()
        notes = NoteWatch(classifier, state, progress)
        every_output = (notes, *made, *outputs, ReadyNotice(notifier))
        loop = Loop(capture, classifier, state, settings, outputs=every_output, beat=notifier.beat)
        began, seconds = time.monotonic(), settings.limits.seconds
        try:
            with contextlib.nullcontext() if watch is None else watch(state):
                ended = _work(loop, stop, state if with_window else None)
            notes.look()
            if ended == _END_OF_SOURCE and settings.stay and state.page is not None:
                closing.close_early()
                if lines is None or not lines.reader_left:
                    if at_end is not None:
                        at_end(name_files(loop.summary(ended), made))
                    _stay(state, stop, notifier, progress, None if seconds is None else began + seconds)
        finally:
            notifier.stopping()
    if lines is not None and lines.reader_left:
        raise ReaderLeftError
    return name_files(loop.summary(ended), made)


def _stay(state: LiveState, stop: threading.Event, notifier: Notifier, progress: Progress, until: float | None) -> None:
    """Leave the page up until `stop` is set or the time of the run is over, and say so on it and in the log."""
    snapshot = state.latest()
    count = snapshot.sequence if snapshot else 0
    source = state.source()
    limit = "" if until is None else ", or for the rest of --duration"
    detail = f"{count} results; the page stays up until edgeclf is stopped{limit}"
    state.set_source(dataclasses.replace(source, status="ended", detail=detail))
    with contextlib.suppress(OSError):
        line = f"{source.name} has ended; the page stays up until Ctrl-C or SIGTERM{limit} (--no-stay: ends now)"
        progress.info(f"{line}: {state.page}")
    notifier.status(f"{source.name} has ended; the page stays up")
    while not stop.wait(_BEAT_SECONDS) and (until is None or time.monotonic() < until):
        notifier.beat()


class _Remarks:
    """What sources say, each line once in a row; a reader of the log who has left ends no run."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._last = progress, ""

    def say(self, line: str) -> None:
        if line != self._last:
            self._last = line
            with contextlib.suppress(OSError):
                self._progress.info(line)


def _open_capture(settings: LiveSettings, watcher: _SourceWatcher, progress: Progress) -> Capture:
    remarks = _Remarks(progress)  # of all attempts: a camera that is away is tried again and again
    return Capture(
        lambda: choose_source(
            settings.camera,
            every_frame=settings.every_frame,
            size=settings.size,
            rate=settings.rate,
            log=remarks.say,
        ),
        on_state=watcher.take,
        every_frame=settings.every_frame,
        retry=RetryPolicy().of_rate(settings.rate),
    )


def _open_model(model: str | Path, settings: LiveSettings, progress: Progress) -> Classifier:
    file = ModelFile.read(locate_model(model))
    threads = settings.threads
    with extras(f"--runtime {settings.runtime}"):
        if threads is None:
            threads, medians = choose_threads(file, runtime=settings.runtime, normalization=settings.normalization)
            if len(medians) > 1:
                tried = ", ".join(f"{count}: {median:.2f} ms" for count, median in medians.items())
                progress.info(f"threads: {threads} (measured {tried})")
        opened = MappingClassifier if settings.heatmap else Classifier
        classifier = opened(
            file,
            runtime=settings.runtime,
            threads=threads,
            normalize=settings.normalization,
            labels=settings.labels,
            fit=settings.fit,
            threshold=settings.smoothing.threshold,
        )
    classifier.choose_over_frames()
    return classifier


def _check_depth(classifier: Classifier, depth: bool | None, camera: str) -> None:
    """Raise InputError where frames are photos and the model sees depth pictures, or the other way round."""
    views = classifier.input_shape.views
    if depth and not views:
        raise InputError(
            f"--camera {camera} gives depth pictures, and {classifier.path.name} was trained on photos; "
            "expected a model of objects (train --views)"
        )
    if views and depth is False:
        raise InputError(
            f"{classifier.path.name} sees objects as depth pictures, and --camera {camera} gives photos; "
            "expected depth:FOLDER of 16-bit PNGs"
        )


def _work(loop: Loop, stop: threading.Event, windowed: LiveState | None) -> str:
    """Run the loop in a thread of its own; the main thread draws the window, or waits, and receives signals."""
    ended: list[str] = []
    failure: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            ended.append(loop.run(stop))
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            failure.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=work, name="edgeclf loop", daemon=True)
    thread.start()
    closed = False
    try:
        if windowed is not None:
            closed = _show(windowed, done, stop)
        while not done.wait(0.1) and not stop.is_set():
            pass
    finally:
        if not done.is_set():
            stop.set()  # whatever it was that ended the waiting: the loop must be out of the outputs before they close
            done.wait(max(_LOOP_ENDS_WITHIN, min(2 * loop.slowest, _LONGEST_TURN)))
    if failure:
        raise failure[0]
    if not ended:
        raise RunFailedError("the network, or an output, does not return; what was written is complete")
    return "window closed" if closed else ended[0]


def _show(state: LiveState, done: threading.Event, stop: threading.Event) -> bool:
    """Draw the window until all ends; return whether the user closed it, which ends the rest."""
    from edgeclf.streaming.outputs.window import Window

    window = Window(state, f"edgeclf: {state.model}")
    try:
        while not done.wait(0.005) and not stop.is_set():
            if not window.refresh():
                stop.set()
                return True
    finally:
        window.close()
    return False


class _SourceWatcher:
    """Passes each new state of the source on to the views, the log and systemd.

    Attributes:
        state: what views read; None until the model is open.
    """

    def __init__(self, notifier: Notifier, progress: Progress) -> None:
        self._notifier, self._progress = notifier, progress
        self.state: LiveState | None = None

    def take(self, source: SourceState) -> None:
        """Pass a new state on."""
        if self.state is not None:
            with contextlib.suppress(OSError):  # the reader of the log has left: no reason to end
                self._pass_on(source, self.state)

    def _pass_on(self, source: SourceState, state: LiveState) -> None:
        before = state.source()
        state.set_source(source)
        if source.status in ("stalled", "lost"):
            self._notifier.status(f"{source.name}: {source.status}, {source.detail}")
            if before.status not in ("stalled", "lost") or (before.status, source.status) == ("stalled", "lost"):
                self._progress.warn(f"{source.name}: {source.detail}")
        elif source.status == "running":
            self._notifier.status(f"{source.name}: running")
            if before.status in ("stalled", "lost"):
                self._progress.info(f"{source.name}: frames again")
