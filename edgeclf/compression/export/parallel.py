"""Spreads work on images over the cores."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from edgeclf.measure.machine import usable_cores
from edgeclf.progress import Task

Tool = TypeVar("Tool")
LARGEST_TEAM = 8
"""Threads above which memory traffic, rather than arithmetic, is likely to set the pace."""


def count_workers(items: int) -> int:
    """Return how many threads work on a number of items."""
    return max(1, min(items, usable_cores(), LARGEST_TEAM))


def spread(work: Callable[[Tool, int], None], tools: Sequence[Tool], items: int, task: Task | None = None) -> None:
    """Call `work(tool, item)` for the items 0, 1, ...; each tool is used by one thread alone.

    Of `n` tools, tool `i` gets the items `i`, `i + n`, ... in this order, so that sums are the same in every run. Where
    one of them fails, or the user interrupts, the others end with the item at hand.

    Args:
        work: what releases the interpreter lock for most of its time, such as a runtime.
        tools: one a thread, such as open sessions.
        items: number of items.
        task: a progress bar that is advanced by one for each item.
    """
    ended = threading.Event()

    def run(place: int) -> None:
        try:
            for item in range(place, items, len(tools)):
                if ended.is_set():
                    return
                work(tools[place], item)
                if task is not None and place == 0:  # progress is reported from the thread that was called
                    task.advance(min(len(tools), items - item))
        except BaseException:
            ended.set()
            raise

    with ThreadPoolExecutor(max(1, len(tools) - 1)) as pool:
        others = [pool.submit(run, place) for place in range(1, len(tools))]
        run(0)
        for other in others:
            other.result()
