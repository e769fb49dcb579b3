#!/usr/bin/env python3
"""Try edgeclf on what strangers bring: one table of situations, what is right by hand, and what edgeclf made of it.

    python tools/strangers.py [--only SUBJECT] [--list]

Inputs are generated. Exit code 1 where something is wrong without a word.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
sys.path[:0] = [str(TOOLS.parent), str(TOOLS)]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import stranger_cases  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from stranger_cases.case import CASES, Case, Finding  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="SUBJECT", help="cases of one subject")
    parser.add_argument("--list", action="store_true", help="list the cases")
    arguments = parser.parse_args()
    for module in pkgutil.iter_modules(stranger_cases.__path__):
        importlib.import_module(f"stranger_cases.{module.name}")
    chosen = [one for one in CASES if arguments.only in (None, one.subject)]
    if not chosen:
        parser.error(f"no cases of {arguments.only!r}; subjects: {', '.join(sorted({one.subject for one in CASES}))}")
    if arguments.list:
        print("\n".join(f"{one.subject}: {one.title}" for one in chosen))
        return 0
    table = Table("subject", "situation", "by hand", "edgeclf", "seconds")
    wrong = 0
    for one in chosen:
        start = time.perf_counter()
        finding = _try(one)
        wrong += not finding.right
        seconds = f"{time.perf_counter() - start:.1f}"
        style = None if finding.right else "red"
        table.add_row(one.subject, one.title, finding.expected, finding.got, seconds, style=style)
        print(f"{'ok' if finding.right else 'WRONG'}  {one.subject}: {one.title} ({seconds} s)", file=sys.stderr)
    Console(width=None if sys.stdout.isatty() else 160, markup=False).print(table)
    print(f"{len(chosen) - wrong} of {len(chosen)} right")
    return 1 if wrong else 0


def _try(one: Case) -> Finding:
    """Run a case in a folder of its own; an exception is a wrong result, and its traceback goes to stderr."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return one.run(Path(folder))
        except Exception as error:  # noqa: BLE001 - whatever a case meets belongs into its row
            traceback.print_exc()
            return Finding("no exception", f"{type(error).__name__}: {error}", False)


if __name__ == "__main__":
    raise SystemExit(main())
