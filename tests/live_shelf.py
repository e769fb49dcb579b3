"""Collected frames in memory, for tests of the page that shows them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
from live_scene import picture_of

from edgeclf.errors import InputError, UnknownNameError
from edgeclf.streaming.collection.decisions import Decision, Move, new_decision
from edgeclf.streaming.collection.images import CollectedImage, Undone


class Shelf:
    """Frames by name, and what became of them."""

    def __init__(self, names: Sequence[str], scores: dict[str, float]) -> None:
        self.waiting = {name: CollectedImage(name, "2026-01-31T12:00:00+00:00", "unsure", scores) for name in names}
        self._all = dict(self.waiting)
        self.sorted: dict[str, str] = {}
        self._decisions: list[Decision] = []
        self.failure: Exception | None = None

    def labels(self) -> list[str]:
        return ["red", "blue", "green"]

    def pending(self, limit: int) -> list[CollectedImage]:
        return list(self.waiting.values())[:limit]

    def count(self) -> int:
        return len(self.waiting)

    def jpeg(self, name: str) -> bytes:
        self._those([name])
        return cv2.imencode(".jpg", picture_of("blue", 0))[1].tobytes()

    def label(self, names: str | Sequence[str], label: str) -> Decision:
        found = self._those(names)
        if label == "unfit":
            raise InputError("no folder can be called that")
        self.sorted |= dict.fromkeys(found, label)
        return self._decide(found, label)

    def discard(self, names: str | Sequence[str]) -> Decision:
        return self._decide(self._those(names), None)

    def decisions(self, limit: int) -> list[Decision]:
        return self._decisions[::-1][:limit]

    def undo(self, identity: str) -> Undone:
        decision = next((one for one in self._decisions if one.id == identity), None)
        if decision is None:
            raise UnknownNameError("decision", identity, ())
        self._decisions.remove(decision)
        for image in decision.images:
            self.sorted.pop(image.name, None)
            self.waiting[image.name] = self._all[image.name]
        return Undone(len(decision.images), 0)

    def _decide(self, names: list[str], label: str | None) -> Decision:
        for name in names:
            del self.waiting[name]
        self._decisions.append(new_decision(label, [Move(name, f"{label}/{name}.jpg") for name in names]))
        return self._decisions[-1]

    def _those(self, names: str | Sequence[str]) -> list[str]:
        if self.failure:
            raise self.failure
        asked = [names] if isinstance(names, str) else list(names)
        found = [name for name in asked if name in self.waiting]
        if not found:
            raise UnknownNameError("image", asked[0], self.waiting)
        return found
