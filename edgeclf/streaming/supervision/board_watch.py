"""Read the board's sensors beside the loop, for the views, every two seconds."""

from __future__ import annotations

import threading
from pathlib import Path

from edgeclf.measure.board import BoardReading, read_board
from edgeclf.streaming.loop.state import BoardState, LiveState


class BoardWatch:
    """Reads the sensors in a thread of its own; none is started where the board has no sensors.

    Args:
        state: where readings go.
        every: seconds between two of them.
        root: the folder that holds `sys`.
    """

    def __init__(self, state: LiveState, every: float = 2.0, root: Path | str = "/") -> None:
        self._state, self._every, self._root = state, every, root
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="edgeclf board", daemon=True)

    def start(self) -> None:
        """Take the first reading at once, and the others in the background."""
        reading = read_board(self._root)
        if reading.has_sensors():
            self._state.set_board(_make_state(reading))
            self._thread.start()

    def close(self) -> None:
        """End the thread, where one was started."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join(2.0)

    def _run(self) -> None:
        while not self._closing.wait(self._every):
            self._state.set_board(_make_state(read_board(self._root)))


def _make_state(reading: BoardReading) -> BoardState:
    return BoardState(reading.temperature_celsius, reading.clock_mhz, reading.throttled)
