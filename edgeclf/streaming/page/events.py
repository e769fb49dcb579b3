"""Write what changes as server-sent events (HTML Living Standard, 9.2): the whole state first, then what is new."""

from __future__ import annotations

import json
import time
from typing import Any

from edgeclf.streaming.loop.state import LiveState

HEARTBEAT_SECONDS = 2.0
CHANGES_SECONDS = 5.0
"""After which the latest changes of the label are sent again: a viewer that is slow misses events."""
RETRY = b"retry: 1000\n\n"


class EventWriter:
    """Writes events about `state`.

    Args:
        state: read only.
        collecting: whether frames are collected that wait for labels.
    """

    def __init__(self, state: LiveState, collecting: bool) -> None:
        self._state, self._collecting = state, collecting
        self._sent: tuple[Any, ...] = ()
        self._changes: Any = None
        self._when = self._changes_sent = 0.0

    def document(self) -> dict[str, Any]:
        """Return the state, and what a page needs besides: size of the picture, region looked at, whether to label."""
        return self._extend(self._state.to_dict())

    def whole(self) -> bytes:
        """Write the first event that a viewer gets, named `state`: everything."""
        return b"event: state\n" + _data(self.document())

    async def update(self) -> bytes | None:
        """Write an unnamed event: the state without what never changes and what a viewer can keep by itself.

        `changes` is there when the label changed, and every five seconds. None where nothing is new; but every two
        seconds there is an event in any case, with a comment before it, so that both ends notice a dead connection.
        """
        revision = self._state.revision()
        unchanged = revision == self._sent
        now = time.monotonic()
        if unchanged and now - self._when < HEARTBEAT_SECONDS:
            return None
        document = self._extend(self._state.current_dict())
        self._sent, self._when = revision, now
        if document["changes"] == self._changes and now - self._changes_sent < CHANGES_SECONDS:
            del document["changes"]
        else:
            self._changes, self._changes_sent = document["changes"], now
        return (b": still here\n" if unchanged else b"") + _data(document)

    def _extend(self, document: dict[str, Any]) -> dict[str, Any]:
        snapshot = self._state.latest()
        document["picture"] = None
        if snapshot is not None:
            picture = snapshot.picture
            height, width = picture.geometry.turn(picture.frame.pixels).shape[:2]
            document["picture"] = {"width": width, "height": height, "box": picture.box()}
        document["collecting"] = self._collecting
        return document


def _data(document: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"
