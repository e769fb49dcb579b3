"""Find out whether results come: one word for a monitor, and a reason that reveals nothing private."""

from __future__ import annotations

import time

from edgeclf.streaming.loop.state import LiveState

LONGEST_GAP = 10.0


def find_failure(state: LiveState) -> str | None:
    """Return None while results come, else the reason in a few words.

    Results come where the newest one is younger than ten seconds, or than three times their usual distance.
    """
    status = state.source().status
    if status in ("lost", "stalled", "ended"):
        return f"the source is {status}" if status != "ended" else "the source has ended"
    shown = state.latest()
    if shown is None:
        return "no result yet"
    age = time.monotonic() - shown.picture.frame.captured
    usual = 1 / shown.result.fps if shown.result.fps > 0 else 1 / state.max_fps if state.max_fps else 0.0
    if age > max(LONGEST_GAP, 3 * usual):
        return f"no result for {age:.0f} s"
    return None
