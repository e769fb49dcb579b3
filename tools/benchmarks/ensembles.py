#!/usr/bin/env python3
"""What an ensemble is worth: its members together against the best one, and as the teacher of one small network.

    python tools/benchmarks/ensembles.py DATA --out FOLDER [--members 3] [--set model=resnet20] \\
        [--student model=resnet8] [--student-seeds 3]

Trains an ensemble with the settings of `--set`, averages and stacks its members, and compares both with the member that
is best on validation: McNemar's p and a 95 % interval on the test images. Then trains a student with those of
`--student`, with and without the ensemble as its teacher, with the same seeds; the difference is paired by seed, and by
image for each. What is finished already is not trained again.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import edgeclf
from edgeclf.cli.values import parse_settings
from edgeclf.measure.machine import describe_machine
from edgeclf.training.config import TrainConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--student", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--student-seeds", type=int, default=3)
    arguments = parser.parse_args()
    machine, progress = describe_machine(), edgeclf.ProgressBar()
    print(f"{machine.processor}, {machine.cores} cores; {arguments.data}, {arguments.members} members")
    config = TrainConfig(**parse_settings(arguments.set, TrainConfig))
    folder = arguments.out / "ensemble"
    edgeclf.train_ensemble(
        arguments.data, config, members=arguments.members, out=folder, resume=True, progress=progress
    )
    for way in ("average", "stack"):
        measured = edgeclf.bench(str(folder), data=arguments.data, combine=way, progress=progress).ensembles[0]
        found = measured.accuracy
        assert found is not None
        if way == "average":
            for member in measured.members:
                print(f"{member.name:32} {100 * (member.top1 or 0):6.2f} %, {member.latency_ms:.2f} ms")
        low, high = found.difference_interval
        print(
            f"{way:32} {100 * found.top1:6.2f} %, against {found.best_member} (best on {found.chosen_on}) "
            f"{100 * found.difference:+.2f} points ({100 * low:+.2f} to {100 * high:+.2f}), p {found.p_value:.3g}"
        )
    teach(arguments.data, TrainConfig(**parse_settings(arguments.student, TrainConfig)), folder, arguments)


def teach(data: str, student: TrainConfig, folder: Path, arguments: argparse.Namespace) -> None:
    """Train students with and without the ensemble, and compare them seed by seed."""
    differences = []
    for seed in range(arguments.student_seeds):
        runs = []
        for name, teacher in (("plain", None), ("taught", str(folder))):
            out = arguments.out / f"student-{name}-{seed}"
            config = student.replace(seed=seed, teacher=teacher)
            edgeclf.train(data, config, out=out, resume=True, progress=edgeclf.ProgressBar())
            runs.append(out)
        report = edgeclf.compare(*runs)
        low, high = report.difference_interval
        differences.append(report.difference)
        print(
            f"student, seed {seed}: {100 * report.first.top1:.2f} % alone, {100 * report.second.top1:.2f} % from the "
            f"ensemble: {100 * report.difference:+.2f} points ({100 * low:+.2f} to {100 * high:+.2f}), "
            f"p {report.p_value:.3g}, {report.data.images:,} images",
            flush=True,
        )
    error = statistics.stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else float("nan")
    print(f"mean difference over seeds: {100 * statistics.mean(differences):+.2f} ± {100 * error:.2f} points")


if __name__ == "__main__":
    main()
