"""A whole run of `live`: everything is opened, the loop works, and everything is released again, whatever happens."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from edgeclf.artifact.locate import locate_model
from edgeclf.errors import RunFailedError
from edgeclf.extras import extras
from edgeclf.inference.classifier import Classifier
from edgeclf.progress import Progress
from edgeclf.streaming.camera.capture import Capture
from edgeclf.streaming.camera.source import SourceState
from edgeclf.streaming.camera.sources.registry import choose_source
from edgeclf.streaming.loop.loop import Loop
from edgeclf.streaming.loop.opening import make_outputs, serve_page
from edgeclf.streaming.loop.result import LiveSummary
from edgeclf.streaming.loop.settings import LiveSettings
from edgeclf.streaming.loop.state import LiveState, Output
from edgeclf.streaming.outputs.display import window_possible
from edgeclf.streaming.outputs.json_lines import JsonLines
from edgeclf.streaming.supervision.board_watch import BoardWatch
from edgeclf.streaming.supervision.closing import Closing
from edgeclf.streaming.supervision.notify import Notifier
from edgeclf.streaming.supervision.problems import Problems
from edgeclf.streaming.supervision.threads import choose_threads

_LOOP_ENDS_WITHIN = 2.5


class ReaderLeftError(Exception):
    """Whoever read the JSON lines closed the pipe."""


def run_live(
    model: str | Path,
    settings: LiveSettings,
    *,
    stop: threading.Event,
    progress: Progress,
    json_lines: IO[str] | None = None,
    outputs: Sequence[Output] = (),
    watch: Callable[[LiveState], contextlib.AbstractContextManager[object]] | None = None,
) -> LiveSummary:
    """Classify frames until `stop` is set, the source ends, a limit is reached, or the window is closed.

    To be called from the main thread where a window may be opened.

    Args:
        model: a file, a run folder, or a zoo name.
        settings: how.
        stop: ends it.
        progress: told what was chosen, and what goes wrong on the way.
        json_lines: gets a line for each result.
        outputs: what else takes each result; closed at the end, also where it never began.
        watch: a further view, such as a terminal's line, open while the loop works.

    Raises:
        InputError: model, source, or an output cannot be used.
        RunFailedError: the source is lost for good.
        ReaderLeftError: nobody reads `json_lines` any more.
    """
    notifier = Notifier.from_environment()
    problems = Problems(progress.warn)
    state: LiveState | None = None

    def on_state(source: SourceState) -> None:
        if state is not None:
            with contextlib.suppress(OSError):  # whoever read the log has left: no reason to end
                _tell_source(source, state, notifier, progress)

    with Closing() as closing:
        for output in outputs:
            closing.add(output.close)
        capture = Capture(
            lambda: choose_source(
                settings.camera,
                every_frame=settings.every_frame,
                size=settings.size,
                rate=settings.rate,
                tell=progress.say,
            ),
            on_state=on_state,
            every_frame=settings.every_frame,
        )
        closing.add(capture.close)
        classifier = _open_model(model, settings, progress)
        state = LiveState(classifier.path.stem, classifier.labels, capture.name, problems)
        made = make_outputs(settings, classifier, state, problems, closing)
        lines = None
        if json_lines is not None:
            lines = JsonLines(json_lines, problems, stop, every_frame=settings.every_frame)
            closing.add(lines.close)
            made.append(lines)
        state.set_source(capture.state)
        with_window = settings.window and window_possible(stop)
        serve_page(settings, with_window, json_lines is not None, state, closing, progress)
        board = BoardWatch(state)
        closing.add(board.close)
        board.start()
        loop = Loop(
            capture,
            classifier,
            state,
            geometry=settings.geometry,
            smoothing=settings.smoothing,
            outputs=(*made, *outputs, _Ready(notifier)),
            limits=settings.limits,
            paced=not settings.every_frame,
            beat=notifier.beat,
        )
        with contextlib.nullcontext() if watch is None else watch(state):
            try:
                ended = _work(loop, stop, state if with_window else None, f"edgeclf: {state.model}")
            finally:
                notifier.stopping()
    if lines is not None and lines.reader_left:
        raise ReaderLeftError
    return loop.summary(ended)


def _open_model(model: str | Path, settings: LiveSettings, progress: Progress) -> Classifier:
    path = locate_model(model)
    threads = settings.threads
    with extras(f"--runtime {settings.runtime}"):
        if threads is None:
            threads, medians = choose_threads(path, runtime=settings.runtime, input_range=settings.input_range)
            if len(medians) > 1:
                tried = ", ".join(f"{count}: {median:.2f} ms" for count, median in medians.items())
                progress.say(f"threads: {threads} (measured {tried})")
        classifier = Classifier(path, runtime=settings.runtime, threads=threads, input_range=settings.input_range)
    for note in classifier.notes:
        progress.say(note)
    return classifier


def _work(loop: Loop, stop: threading.Event, windowed: LiveState | None, title: str) -> str:
    """Run the loop in a thread of its own; the main thread draws the window, or waits and hears signals."""
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
            closed = _show(windowed, title, done, stop)
        while not done.wait(0.1) and not stop.is_set():
            pass
    finally:
        if not done.is_set():
            stop.set()  # whatever it was that ended the waiting: the loop must be out of the outputs before they close
            done.wait(_LOOP_ENDS_WITHIN)
    if failure:
        raise failure[0]
    if not ended:
        raise RunFailedError("the network, or an output, does not come back; what was written is whole")
    return "window closed" if closed else ended[0]


def _show(state: LiveState, title: str, done: threading.Event, stop: threading.Event) -> bool:
    """Draw the window until all ends; whether it was closed, which ends the rest."""
    from edgeclf.streaming.outputs.window import Window

    window = Window(state, title)
    try:
        while not done.wait(0.005) and not stop.is_set():
            if not window.refresh():
                stop.set()
                return True
    finally:
        window.close()
    return False


def _tell_source(source: SourceState, state: LiveState, notifier: Notifier, progress: Progress) -> None:
    before = state.source()
    state.set_source(source)
    if source.status in ("stalled", "lost"):
        notifier.status(f"{source.name}: {source.status}, {source.detail}")
        if before.status not in ("stalled", "lost") or (before.status, source.status) == ("stalled", "lost"):
            progress.warn(f"{source.name}: {source.detail}")
    elif source.status == "running":
        notifier.status(f"{source.name}: running")
        if before.status in ("stalled", "lost"):
            progress.say(f"{source.name}: frames again")


class _Ready:
    """Tells systemd with the first result: until then a camera may be missing."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier, self._told = notifier, False

    def take(self, result: object, picture: object) -> None:
        if not self._told:
            self._told = True
            self._notifier.ready()

    def close(self) -> None:
        pass
