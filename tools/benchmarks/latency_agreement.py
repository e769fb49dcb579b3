"""Does `bench` measure the same latency as the stopwatch that ships with LiteRT?

    python tools/benchmarks/latency_agreement.py MODEL.tflite... [--runs 1000] [--rounds 5] [--threads 1]

Each round starts, for every model, `python -m ai_edge_litert.tools.benchmark_litert_model` and edgeclf's measurement
in a process of its own, in alternating order. A busy machine only ever slows a run down, so the best median of all
rounds is compared. The stopwatch rounds to 0.01 ms, so models below 0.4 ms are shown and not judged.
Exit status: 0 where every judged model agrees within 5 %, 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

TOLERANCE = 0.05
JUDGED_FROM_MS = 0.4


def stopwatch(model: Path, runs: int, threads: int) -> float:
    with tempfile.NamedTemporaryFile(suffix=".json") as result:
        command = [sys.executable, "-m", "ai_edge_litert.tools.benchmark_litert_model", f"--model={model}"]
        command += [f"--num_runs={runs}", "--warmup_runs=100", f"--num_threads={threads}"]
        subprocess.run([*command, f"--result_json={result.name}"], check=True, capture_output=True)
        return float(json.load(result)["latency"]["median_ms"])


def bench(model: Path, runs: int, threads: int) -> float:
    code = (
        "import sys; from edgeclf.artifact.model_file import ModelFile;"
        "from edgeclf.measure.latency import measure_latency;"
        "model, runs, threads = sys.argv[1:];"
        "print(measure_latency([ModelFile.read(model)], runs=int(runs), threads=[int(threads)])[0].latency_ms.median)"
    )
    command = [sys.executable, "-c", code, str(model), str(runs), str(threads)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    best: dict[Path, dict[str, float]] = {model: {} for model in options.models}
    for turn in range(options.rounds):
        for model in options.models:
            for clock in (stopwatch, bench) if turn % 2 == 0 else (bench, stopwatch):
                median, name = clock(model, options.runs, options.threads), clock.__name__
                best[model][name] = min(median, best[model].get(name, median))
                print(f"round {turn + 1}: {model.name}: {name} {median:.3f} ms", file=sys.stderr)
    agree = True
    print(f"{'model':44} {'stopwatch':>10} {'bench':>10} {'ratio':>7}")
    for model, times in best.items():
        ratio = times["bench"] / times["stopwatch"]
        judged = times["stopwatch"] >= JUDGED_FROM_MS
        agree &= not judged or abs(ratio - 1) <= TOLERANCE
        verdict = "" if judged else "  (too fast to judge)"
        print(f"{model.name:44} {times['stopwatch']:7.3f} ms {times['bench']:7.3f} ms {ratio:7.3f}{verdict}")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
