#!/usr/bin/env python3
"""What a search for settings is worth: against the defaults, and TPE against random draws at equal trials.

    python tools/benchmarks/tune.py DATA --out FOLDER [--trials 40] [--seeds 5] [--search tpe --search random]
        [--set epochs=10] [--space model=resnet8,cnn] [--pruner median] [--final-seeds 5]

Runs `edgeclf tune` once a way to search and seed, each in a folder of its own; a search that is finished is not made
again, and one that was killed goes on. Then prints, for each, the validation top-1 of the defaults, of the best trial,
and the trials that were needed to pass the defaults; and the mean over the seeds with the difference of the two ways,
paired by seed. The best of many trials is optimistic on validation: with `--final-seeds` the settings of the best one
and the defaults are trained again with that many seeds that chose nothing, and their top-1 compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import edgeclf
from edgeclf.cli.values import parse_settings
from edgeclf.measure.machine import describe_machine
from edgeclf.training.config import TrainConfig
from edgeclf.training.tuning.report import TuneReport
from edgeclf.training.tuning.space import parse_pairs

FIRST_FINAL_SEED = 1000
"""No search uses these seeds."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--search", action="append", help="tpe, random or grid; repeatable")
    parser.add_argument("--pruner", default="median")
    parser.add_argument("--space", action="append", default=[], metavar="SETTING=VALUES")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--final-seeds", type=int, default=0)
    arguments = parser.parse_args()
    machine = describe_machine()
    print(f"{machine.processor}, {machine.cores} cores; {arguments.data}, {arguments.trials} trials")
    config = TrainConfig(**parse_settings(arguments.set, TrainConfig))
    found: dict[str, list[TuneReport]] = {}
    for way in arguments.search or ["tpe"]:
        for seed in range(arguments.seeds):
            report = edgeclf.tune(
                arguments.data,
                config.replace(seed=seed),
                trials=arguments.trials,
                search=way,
                pruner=arguments.pruner,
                space=parse_pairs(arguments.space),
                out=arguments.out / f"{way}-{seed}",
                progress=edgeclf.ProgressBar(),
            )
            found.setdefault(way, []).append(report)
            print(json.dumps({"search": way, "seed": seed, **describe(report)}), flush=True)
    for way, reports in found.items():
        show(way, [best_of(report) for report in reports])
    ways = list(found)
    if len(ways) > 1:
        pairs = zip(found[ways[0]], found[ways[1]], strict=True)
        show(f"{ways[0]} minus {ways[1]}", [best_of(one) - best_of(other) for one, other in pairs])
    if arguments.final_seeds:
        train_again(arguments.data, config, found[ways[0]][0], arguments.out / "again", arguments.final_seeds)


def describe(report: TuneReport) -> dict[str, Any]:
    """List what a search came to; seconds are those of the trainings."""
    trained = [one.trained for one in report.trials if one.trained is not None]
    defaults = next(one.trained.validation_top1 for one in report.trials if one.origin == "defaults" and one.trained)
    passed = next((one.number for one in report.trials if one.trained and one.trained.validation_top1 > defaults), None)
    return {
        "defaults": round(defaults, 4),
        "best": round(best_of(report), 4),
        "best_trial": report.best,
        "first_trial_above_defaults": passed,
        "test_of_best": None if report.test is None else round(report.test.top1, 4),
        "pruned": sum(one.state == "pruned" for one in report.trials),
        "epochs": sum(one.epochs for one in trained if one.same_as is None),
        "seconds": round(sum(one.seconds for one in trained if one.same_as is None)),
    }


def best_of(report: TuneReport) -> float:
    """Return the validation top-1 of the best trial."""
    best = report.trial(report.best)
    assert best is not None
    assert best.trained is not None
    return best.trained.validation_top1


def show(name: str, values: Sequence[float]) -> None:
    """Print mean and standard error of percentages."""
    mean = statistics.mean(values)
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    print(f"{name:32} {100 * mean:7.2f} ± {100 * error:.2f} (n = {len(values)})")


def train_again(data: str, config: TrainConfig, report: TuneReport, out: Path, seeds: int) -> None:
    """Train the settings of the best trial, and the defaults, with seeds that chose nothing."""
    best = report.trial(report.best)
    assert best is not None
    assert best.trained is not None
    variants = {"defaults": config, "best trial": TrainConfig.from_dict(best.trained.settings)}
    scores: dict[tuple[str, str], list[float]] = {}
    for name, chosen in variants.items():
        for seed in range(FIRST_FINAL_SEED, FIRST_FINAL_SEED + seeds):
            place = out / f"{name.replace(' ', '-')}-{seed}"
            made = edgeclf.train(data, chosen.replace(seed=seed), out=place, resume=True)
            for split, figures in made.metrics.items():
                if figures is not None:
                    scores.setdefault((split, name), []).append(figures.top1)
    for (split, name), values in sorted(scores.items()):
        show(f"{name}, {split}, other seeds", values)


if __name__ == "__main__":
    main()
