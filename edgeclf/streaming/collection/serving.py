"""Open the page of collected frames without a camera."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgeclf.artifact.class_names import name_classes
from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.model_file import ModelFile
from edgeclf.dataset.collected import UNSORTED, is_unsorted
from edgeclf.errors import InputError, RunFailedError
from edgeclf.paths import expand_home
from edgeclf.progress import SILENT, Progress
from edgeclf.records import Record
from edgeclf.streaming.collection.collected import Collected
from edgeclf.streaming.loop.state import LiveState
from edgeclf.streaming.page.address import DEFAULT_PORT, parse_address
from edgeclf.streaming.supervision.problems import Problems


@dataclass(frozen=True)
class CollectedReport(Record):
    """What lies in a folder that `edgeclf live --collect` fills.

    Attributes:
        folder: that was given.
        waiting: images without a label.
        classes: images of each class folder.
        labels: class names to choose from.
        undoable: decisions that can be undone.
    """

    folder: str
    waiting: int
    classes: dict[str, int]
    labels: tuple[str, ...]
    undoable: int


def open_collected(folder: str | Path, model: str | Path | None) -> Collected:
    """Open a folder of collected frames, with the class names of a model to choose from.

    Raises:
        InputError: nothing was collected into it.
        ModelError: the model cannot be used.
    """
    place = expand_home(folder)
    if not place.is_dir():
        raise InputError(f"{folder}: no such folder; expected one that edgeclf live --collect fills")
    if not os.access(place, os.R_OK | os.X_OK):
        raise InputError(
            f"{folder}: may not be read by this user; run the command as the user that collects into it, or as one of "
            "its group"
        )
    if not is_unsorted(place / UNSORTED):
        hint = f"; did you mean {place.parent}?" if is_unsorted(place) else ""
        raise InputError(f"{folder}: no frames were collected into it (it has no {UNSORTED}/ of edgeclf's){hint}")
    labels: tuple[str, ...] = ()
    if model is not None:
        file = ModelFile.read(locate_model(model))
        file.check()
        labels = name_classes(file).names
    return Collected(place, labels)


def describe_collected(folder: str | Path, collected: Collected) -> CollectedReport:
    """Count what waits and what is sorted."""
    undoable = len(collected.decisions(limit=1000))
    labels = tuple(collected.labels())
    return CollectedReport(str(folder), collected.count(), collected.class_counts(), labels, undoable)


def serve_collected(
    folder: str | Path,
    collected: Collected,
    web: str | None,
    token: str | None,
    stop: threading.Event,
    progress: Progress,
    at_start: Callable[[str], None],
) -> None:
    """Serve the page until `stop` is set.

    Args:
        folder: for the log.
        collected: what is shown.
        web: `[HOST:]PORT`; None: this machine alone, at a usual port, or where that is taken at any.
        token: required from viewers on other machines; None: generated, and logged.
        stop: ends it.
        progress: gets the address.
        at_start: gets the address too, once the page is up.

    Raises:
        InputError: the address cannot be served, or a generated token would be shown nowhere.
        MissingExtraError: the extra `web` is not installed.
        RunFailedError: the port that was asked for is taken.
    """
    from edgeclf.streaming.page.server import WebView

    host, port = parse_address(web or str(DEFAULT_PORT))
    state = LiveState("", (), str(folder), Problems(progress.warn))
    view = WebView(state, host=host, port=port, token=token, collected=collected, camera=False)
    if token is None and view.token is not None and progress is SILENT:
        raise InputError("the page needs a token, and the generated one would be shown nowhere: give --token")
    try:
        view.start()
    except RunFailedError:
        if web is not None:
            raise
        view = WebView(state, host=host, port=0, token=token, collected=collected, camera=False)
        view.start()
    try:
        progress.info(f"page: {view.url}")
        at_start(view.url)
        stop.wait()
    finally:
        view.close()
