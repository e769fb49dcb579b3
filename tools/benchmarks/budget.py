#!/usr/bin/env python3
"""Does a recipe that a search found keep its promise? Checked on the test split, for several calibration draws.

    python tools/benchmarks/budget.py RUN DATA --max-drop 0.5 --max-size 60KB [--draws 10] [--trials 10]

Searches with the limits given (`edgeclf compress --max-drop ...`), then makes the recipe found once for each of
`--draws` other calibration draws (and seeds of training), and compares each model with the float network on the test
split. `--latency-fraction 0.5` sets the limit of time at that fraction of the time of the plain int8 model, measured
first. Prints one line of JSON for the search, one a draw, and one with the mean. The promise is kept where the mean
drop, and the share of the draws, stay within the limit; the paired interval of each draw says how well the test split
can tell.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import edgeclf
from edgeclf.cli.progress_bars import LineProgress
from edgeclf.cli.values import parse_bytes, parse_milliseconds
from edgeclf.compression.recipe import Recipe
from edgeclf.measure.machine import describe_machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data")
    parser.add_argument("--max-drop", type=float)
    parser.add_argument("--max-size", type=lambda text: parse_bytes(text, "--max-size"))
    parser.add_argument("--max-latency", type=lambda text: parse_milliseconds(text, "--max-latency"))
    parser.add_argument("--latency-fraction", type=float)
    parser.add_argument("--judge", default="interval")
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--hours", type=float)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--out", type=Path, help="keep candidates here, to go on after a kill")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        check(arguments, arguments.out or Path(temporary) / "search", Path(temporary))


def check(arguments: argparse.Namespace, out: Path, temporary: Path) -> None:
    progress, run, data = LineProgress(sys.stderr), arguments.run, arguments.data
    limits: dict[str, Any] = {name: getattr(arguments, name) for name in ("max_drop", "max_size", "max_latency")}
    if arguments.latency_fraction is not None:
        (plain,) = edgeclf.compress(run, data=data, recipes="int8", out=temporary / "plain", progress=progress).models
        limits["max_latency"] = arguments.latency_fraction * plain.speed.median_ms
    began = time.monotonic()
    found = edgeclf.compress(
        run, data=data, out=out, progress=progress, overwrite=True, judge=arguments.judge, trials=arguments.trials,
        hours=arguments.hours, **limits,
    ).search  # fmt: skip
    candidate = found.picked.candidate
    say(
        search=limits, holds=found.holds, recipe=candidate.name, binding=found.binding,
        candidates=len(found.candidates),
        drop=found.picked.drop, drop_bound=found.picked.drop_bound, size_bytes=candidate.size_bytes,
        latency_ms=candidate.latency_ms, validation_images=found.validation_images, misses=found.misses,
        provable_drop=found.provable_drop, test_drop=found.test and found.test.drop,
        seconds=round(time.monotonic() - began, 1), cpu=describe_machine().processor,
        load_average=describe_machine().load_average,
    )  # fmt: skip
    drops = []
    for seed in range(1, arguments.draws + 1):
        (model,) = edgeclf.compress(
            run, data=data, recipes=Recipe.from_dict(candidate.recipe), calibration=candidate.calibration, seed=seed,
            out=temporary / str(seed), speed=False, progress=progress,
        ).models  # fmt: skip
        result = edgeclf.bench(model.path, data=data, split="test", baseline=run / "model.keras", runs=1).models[0]
        drops.append(-result.difference)
        low, high = result.difference_interval
        say(draw=seed, drop=drops[-1], drop_interval=[-high, -low], size_bytes=result.size_bytes)
    within = None if limits["max_drop"] is None else sum(drop <= limits["max_drop"] / 100 for drop in drops)
    say(draws=len(drops), within=within, mean_drop=statistics.mean(drops), largest_drop=max(drops))


def say(**figures: Any) -> None:
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
