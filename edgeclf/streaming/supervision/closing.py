"""Release everything at the end, all at once."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Closing:
    """Holds what is to be called at the end of a `with` block, however it ends.

    Each call may take two seconds, for a camera, a broker or a viewer that does not respond; and where the network is
    gone, none of them does. One after the other they would take longer than systemd, or a user, waits for an end.
    """

    def __init__(self) -> None:
        self._calls: list[Callable[[], None]] = []

    def add(self, call: Callable[[], None]) -> None:
        """Add a call."""
        self._calls.append(call)

    def __enter__(self) -> Closing:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        failures: list[BaseException] = []

        def work(call: Callable[[], None]) -> None:
            try:
                call()
            except BaseException as failure:  # noqa: BLE001 - raised again by the thread that waits
                failures.append(failure)

        calls, self._calls = self._calls, []
        threads = [threading.Thread(target=work, args=(call,), name="edgeclf closing", daemon=True) for call in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures and error is None:
            raise failures[0]
