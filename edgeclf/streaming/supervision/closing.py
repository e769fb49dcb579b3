"""Release everything at the end, all at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

Call = Callable[[], None]


class Closing:
    """Holds what is to be called at the end of a `with` block, however it ends.

    Each call may take two seconds, for a camera, a broker or a viewer that does not respond; and where the network is
    gone, none of them does. One after the other they would take longer than systemd, or a user, waits for an end.
    """

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._last: list[Call] = []

    def add(self, call: Call, *, stays: bool = False) -> None:
        """Add a call; `stays`: `close_early` leaves it for the end of the block."""
        (self._last if stays else self._calls).append(call)

    def close_early(self) -> None:
        """Release what does not stay, before the end of the block."""
        calls, self._calls = self._calls, []
        if failures := _call_all(calls):
            raise failures[0]

    def __enter__(self) -> Closing:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        calls, self._calls, self._last = [*self._calls, *self._last], [], []
        failures = _call_all(calls)
        if failures and error is None:
            raise failures[0]


def _call_all(calls: Sequence[Call]) -> list[BaseException]:
    """Call all at the same time; return what they raised."""
    failures: list[BaseException] = []

    def work(call: Call) -> None:
        try:
            call()
        except BaseException as failure:  # noqa: BLE001 - raised again by the thread that waits
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(call,), name="edgeclf closing", daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures
