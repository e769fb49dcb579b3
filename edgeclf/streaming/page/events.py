"""What changes, as server-sent events (HTML Living Standard, 9.2): the whole state first, then what is new in it."""

from __future__ import annotations

import json
import time
from typing import Any

from edgeclf.streaming.loop.state import LiveState

HEARTBEAT_SECONDS = 2.0
RETRY = b"retry: 1000\n\n"
ONCE = ("labels", "history")


class EventWriter:
    """Writes events of `state`.

    Args:
        state: what is told.
        collecting: whether frames are collected that wait for labels.
    """

    def __init__(self, state: LiveState, collecting: bool) -> None:
        self._state, self._collecting = state, collecting
        self._told: tuple[Any, ...] = ()
        self._changes: Any = None
        self._when = 0.0

    def document(self) -> dict[str, Any]:
        """The state, and what a page needs besides: size of the picture, the region looked at, whether to label."""
        document = self._state.to_dict()
        shown = self._state.latest()
        document["picture"] = None
        if shown is not None:
            height, width = shown.picture.geometry.turned(shown.picture.frame.pixels).shape[:2]
            document["picture"] = {"width": width, "height": height, "box": shown.picture.box()}
        document["collecting"] = self._collecting
        return document

    def whole(self) -> bytes:
        """The first event a viewer gets, named `state`: everything."""
        return b"event: state\n" + _data(self.document())

    async def update(self) -> bytes | None:
        """An unnamed event: the state without what never changes and what a viewer can keep by itself.

        `changes` is there only when the label changed. None where nothing is new; but every two seconds there is an
        event in any case, with a comment before it, so that both ends notice a dead connection.
        """
        document = self.document()
        news = (document["sequence"], document["source"], document["problems"], document["board"])
        still = news == self._told
        now = time.monotonic()
        if still and now - self._when < HEARTBEAT_SECONDS:
            return None
        self._told, self._when = news, now
        for key in ONCE:
            del document[key]
        if document["changes"] == self._changes:
            del document["changes"]
        else:
            self._changes = document["changes"]
        return (b": still here\n" if still else b"") + _data(document)


def _data(document: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(document, ensure_ascii=False).encode() + b"\n\n"
