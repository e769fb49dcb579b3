"""Do slow work beside the loop: a thread and a short queue, so that nothing that writes or sends holds up a frame."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from edgeclf.errors import one_line
from edgeclf.streaming.supervision.problems import Problems

Item = TypeVar("Item")

_LOOK_EVERY = 0.1


class Background(Generic[Item]):
    """Does `work` on the items offered, in a thread of its own, oldest first.

    A failure is a problem of `part`, reported once, and ends with the next item that works; the thread goes on.

    Args:
        part: name in `problems`.
        work: what is done with an item; what it raises is reported in one line.
        problems: gets failures.
        capacity: items that may wait; with more, the oldest is dropped and counted.
        patient: `offer` waits for room instead: for files, where nothing may be lost and a delay is harmless.
        stop: set it to end all waiting.
    """

    def __init__(
        self,
        part: str,
        work: Callable[[Item], None],
        problems: Problems,
        *,
        capacity: int = 8,
        patient: bool = False,
        stop: threading.Event | None = None,
    ) -> None:
        self._part, self._work, self._problems = part, work, problems
        self._capacity, self._patient, self._stop = capacity, patient, stop or threading.Event()
        self._items: deque[Item] = deque()
        self._change = threading.Condition()
        self._closing = False
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name=f"edgeclf {part}", daemon=True)
        self._thread.start()

    def offer(self, item: Item) -> None:
        """Hand over an item; never waits, unless `patient`."""
        with self._change:
            if len(self._items) >= self._capacity:
                if self._patient:
                    while len(self._items) >= self._capacity and not (self._closing or self._stop.is_set()):
                        self._change.wait(_LOOK_EVERY)
                else:
                    self._items.popleft()
                    self.dropped += 1
            self._items.append(item)
            self._change.notify_all()

    def close(self, seconds: float = 2.0) -> bool:
        """Finish what waits, within `seconds`; return whether all was done. A thread that hangs is left behind."""
        with self._change:
            self._closing = True
            self._change.notify_all()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._items or self._closing)
                if not self._items:
                    return
                item = self._items.popleft()
                self._change.notify_all()
            try:
                self._work(item)
            except Exception as error:  # noqa: BLE001 - with a dead thread a patient loop would wait for ever
                self._problems.begin(self._part, one_line(error))
            else:
                self._problems.end(self._part)
