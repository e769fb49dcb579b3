"""Sources that fail, behind the capture that opens them again."""

from __future__ import annotations

import time

import numpy as np
import pytest
from live_faults import GARBAGE, HARMLESS, KINDS, Fault, FaultScript

from edgeclf.errors import RunFailedError
from edgeclf.streaming.camera.capture import Capture, RetryPolicy
from edgeclf.streaming.camera.source import SourceState

FRAMES = np.stack([np.full((16, 16, 3), number, np.uint8) for number in range(50)])
QUICK = RetryPolicy(stalled=0.1, reopen=0.3, opening=1.0, delays=(0.02,))


def run(capture: Capture, script: FaultScript, openings: int, frames: int) -> int:
    """Take frames until the source was opened `openings` times and gave `frames` after that; how many in all."""
    deadline = time.monotonic() + 30
    taken = after = 0
    while (after < frames or capture.state.status != "running") and not capture.ended:
        assert time.monotonic() < deadline, capture.state
        frame = capture.take(0.02)
        if frame is not None:
            assert frame.pixels.dtype == np.uint8
            assert frame.pixels.shape[2] == 3
            taken += 1
            after += script.openings >= openings
    return taken


@pytest.mark.parametrize("kind", KINDS)
def test_a_camera_is_back_after_every_fault(kind: str) -> None:
    faults = 2 if kind == "deaf stall" else 3  # a third would be the last that may hang at a time
    script = FaultScript(FRAMES, [Fault(kind)] * faults)
    states: list[SourceState] = []
    capture = Capture(script, on_state=states.append, retry=QUICK)
    harmless = kind in HARMLESS or kind == "size change"
    try:
        run(capture, script, 1 if harmless else faults + 1, 20)
        assert script.openings == (1 if harmless else faults + 1)
        assert capture.state.status == "running"
        told = {state.status for state in states}
        if kind in GARBAGE or kind in ("read fails", "end"):
            assert "lost" in told
            assert capture.reconnects == 3
        if "stall" in kind:
            assert {"stalled", "lost"} <= told
    finally:
        script.release.set()
        capture.close()
    deadline = time.monotonic() + 10
    while (script.open_now or capture.hanging()) and time.monotonic() < deadline:
        pass
    assert script.open_now == 0
    assert capture.hanging() == 0


@pytest.mark.parametrize("kind", ["read fails", *GARBAGE])
def test_a_file_that_breaks_ends_with_one_line(kind: str) -> None:
    script = FaultScript(FRAMES, [Fault(kind)], endless=False)
    capture = Capture(script, retry=QUICK)
    try:
        with pytest.raises(RunFailedError, match="^faulty: "):
            run(capture, script, 1, 1000)
    finally:
        capture.close()
    assert script.openings == 1


def test_a_file_that_ends() -> None:
    script = FaultScript(FRAMES, [Fault("end", 7)], endless=False)
    capture = Capture(script, retry=QUICK)
    run(capture, script, 1, 1000)
    capture.close()
    assert capture.ended
    assert capture.captured - capture.dropped <= 7 <= capture.captured
