#!/usr/bin/env python3
"""What `inspect --doctor` finds in models with a planted fault, and in sound ones.

    python tools/benchmarks/doctor.py [MODEL ...] [--runs 3]

Examines each hand-made model of `tests/planted_models.py`, the sound ones there, and further sound models that are
given, `--runs` times each. Prints one line of JSON an examination, the machine, and at the end how often the planted
cause was named, and how often anything was found in a sound model, apart from kernels that are slow on this processor.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import edgeclf
from edgeclf.doctor.findings.slow_kernels import DEPENDS_ON_PROCESSOR
from edgeclf.measure.machine import describe_machine

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from planted_models import PLANTED, SOUND


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL", help="further models that are sound")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    print(json.dumps(describe_machine().to_dict()))
    named = planted = 0
    sound: list[list[str]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, make in {**PLANTED, **SOUND}.items():
            path = Path(folder) / f"{name}.tflite"
            path.write_bytes(make())
            for _ in range(arguments.runs):
                causes = _examine(path, name)
                if name in PLANTED:
                    planted, named = planted + 1, named + (name in causes)
                else:
                    sound.append(causes)
    for path in arguments.models:
        for _ in range(arguments.runs):
            sound.append(_examine(path, path.name))
    found = sum(not DEPENDS_ON_PROCESSOR.issuperset(causes) for causes in sound)
    slow = sum(not DEPENDS_ON_PROCESSOR.isdisjoint(causes) for causes in sound)
    print(f"the planted cause was named in {named} of {planted}")
    print(f"something was found in {found} of {len(sound)} sound ones")
    print(f"kernels that are slow on this processor: in {slow} of them")


def _examine(path: Path, name: str) -> list[str]:
    start = time.perf_counter()
    report = edgeclf.diagnose(path)
    row = {
        "model": name,
        "findings": {finding.cause: finding.fraction for finding in report.findings},
        "whole_ms": report.whole_ms,
        "sum_ms": report.sum_ms,
        "seconds": round(time.perf_counter() - start, 1),
    }
    print(json.dumps(row), flush=True)
    return [finding.cause for finding in report.findings]


if __name__ == "__main__":
    main()
