#!/usr/bin/env python3
"""Try edgeclf on what strangers bring: one table of situations, what is right by hand, and what edgeclf made of it.

    python tools/strangers.py [--only SUBJECT] [--all] [--jobs N] [--json] [--list]

Inputs are generated. Exit code 1 where something is wrong without a word. Progress goes to stderr.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import pkgutil
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
sys.path[:0] = [str(TOOLS.parent), str(TOOLS)]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import stranger_cases  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from stranger_cases.case import CASES, Case, Finding  # noqa: E402

ONE_BY_ONE = "stranger_cases.families"
"""The module whose cases share nothing but the import of TensorFlow: any worker takes the next."""
WORDS = {True: "ok", False: "WRONG", None: "skipped"}
STYLES = {True: None, False: "red", None: "yellow"}


@dataclass(frozen=True)
class Row:
    """A case that was tried: its place among all, what it found, and how long it took."""

    place: int
    finding: Finding
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="SUBJECT", help="cases of one subject")
    parser.add_argument("--all", action="store_true", help="the slow cases too")
    parser.add_argument("--jobs", metavar="N", type=int, default=min(2, os.cpu_count() or 1), help="processes")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the table")
    parser.add_argument("--list", action="store_true", help="list the cases")
    arguments = parser.parse_args()
    cases = _load()
    named = [place for place, one in enumerate(cases) if arguments.only in (None, one.subject)]
    chosen = [place for place in named if arguments.all or not cases[place].slow]
    if not chosen:
        parser.error(f"no cases of {arguments.only!r}; subjects: {', '.join(sorted({one.subject for one in cases}))}")
    if arguments.list:
        print("\n".join(f"{cases[place].subject}: {cases[place].title}" for place in chosen))
        return 0
    start = time.perf_counter()
    rows = sorted(_try_all(cases, chosen, max(1, arguments.jobs)), key=lambda row: row.place)
    counts = [sum(row.finding.right is value for row in rows) for value in (True, None, False)]
    if arguments.json:
        print(json.dumps({"right": counts[0], "skipped": counts[1], "wrong": counts[2], "cases": _list(cases, rows)}))
    else:
        _print(cases, rows)
        skipped = f", {counts[1]} skipped" if counts[1] else ""
        more = f"; {len(named) - len(chosen)} slow ones with --all" if len(named) > len(chosen) else ""
        print(f"{counts[0]} of {len(rows)} right{skipped}, in {time.perf_counter() - start:.0f} s{more}")
    for row in rows:
        if row.finding.right is False:
            one, found = cases[row.place], row.finding
            line = f"WRONG  {one.subject}: {one.title}: expected {found.expected}; got {found.got}"
            print(line, file=sys.stderr)
    return 1 if counts[2] else 0


def _load() -> list[Case]:
    for module in pkgutil.iter_modules(stranger_cases.__path__):
        importlib.import_module(f"stranger_cases.{module.name}")
    return CASES


def _try_all(cases: Sequence[Case], chosen: Sequence[int], jobs: int) -> list[Row]:
    """Try the cases in worker processes, those of a module in one; the largest modules first."""
    groups = [list(places) for _, places in groupby(chosen, key=lambda place: cases[place].module)]
    work = [[place] for group in groups if cases[group[0]].module == ONE_BY_ONE for place in group]
    work[:0] = [group for group in groups if cases[group[0]].module != ONE_BY_ONE]
    rows: list[Row] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(work)), mp_context=context) as pool:
        for done in as_completed([pool.submit(_try_group, places) for places in work]):
            for row in done.result():
                rows.append(row)
                one, word = cases[row.place], WORDS[row.finding.right]
                count = f"[{len(rows)}/{len(chosen)}]"
                print(f"{count} {word}  {one.subject}: {one.title} ({row.seconds:.1f} s)", file=sys.stderr, flush=True)
    return rows


def _try_group(places: Sequence[int]) -> list[Row]:
    """Try some cases, in a worker."""
    cases = CASES or _load()
    rows = []
    for place in places:
        start = time.perf_counter()
        finding = _try(cases[place])
        rows.append(Row(place, finding, time.perf_counter() - start))
    return rows


def _try(one: Case) -> Finding:
    """Run a case in a folder of its own; an exception is a wrong result, and its traceback goes to stderr."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return one.run(Path(folder))
        except Exception as error:  # noqa: BLE001 - whatever a case meets belongs into its row
            traceback.print_exc()
            return Finding("no exception", f"{type(error).__name__}: {error}", False)


def _list(cases: Sequence[Case], rows: Sequence[Row]) -> list[dict[str, object]]:
    return [
        {"subject": cases[row.place].subject, "title": cases[row.place].title, "seconds": round(row.seconds, 1)}
        | vars(row.finding)
        for row in rows
    ]


def _print(cases: Sequence[Case], rows: Sequence[Row]) -> None:
    console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 140, markup=False)
    table = Table()
    for title in ("subject", "situation", "by hand", "edgeclf"):
        table.add_column(title, overflow="fold")
    table.add_column("seconds", justify="right", no_wrap=True, min_width=len("seconds"))
    for row in rows:
        one, found = cases[row.place], row.finding
        got = f"skipped: {found.got}" if found.right is None else found.got
        cells = (one.subject, one.title, found.expected, got, f"{row.seconds:.1f}")
        table.add_row(*cells, style=STYLES[found.right])
    console.print(table)


if __name__ == "__main__":
    raise SystemExit(main())
