"""The live loop: how old its results are, what it costs beside the network, and whether it grows.

    python tools/benchmarks/live_loop.py age --minutes 10
    python tools/benchmarks/live_loop.py speed --rounds 7
    python tools/benchmarks/live_loop.py endurance --frames 200000

`age`: a 30 frames/s replay with a network slowed to 100 ms, and to 5 ms. Wanted: p95 of the frame age at most a frame's
period and 1.1 times the processing, not growing; and 99 % of the frames classified at 5 ms.
`speed`: results a second, flat out, against a bare loop of preprocess and invoke on the same frames, taking turns.
`endurance`: memory of this process alone (RssAnon), threads and descriptors over many frames.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import threading
import time
from pathlib import Path

import numpy as np

from edgeclf import Classifier
from edgeclf.image.decoding import resize
from edgeclf.streaming.camera.capture import Capture
from edgeclf.streaming.camera.sources.replay import ReplaySource
from edgeclf.streaming.loop.loop import Loop
from edgeclf.streaming.loop.result import LiveSummary, Result
from edgeclf.streaming.loop.settings import Limits, LiveSettings
from edgeclf.streaming.loop.state import LiveState
from edgeclf.streaming.supervision.problems import Problems

RATE = 30.0


class Slowed:
    """A classifier that takes as long as it is told, all in all, spending the time asleep as an accelerator would."""

    def __init__(self, classifier: Classifier, seconds: float) -> None:
        self._classifier, self._seconds = classifier, seconds
        self.labels, self.input_shape, self.rule = classifier.labels, classifier.input_shape, classifier.rule
        self.took: list[float] = []

    def scores(self, image: np.ndarray) -> np.ndarray:
        began = time.perf_counter()
        scores = self._classifier.scores(image)
        time.sleep(max(0.0, self._seconds - (time.perf_counter() - began)))
        self.took.append(time.perf_counter() - began)
        return scores

    def novelty(self) -> float | None:
        return self._classifier.novelty()


class Ages:
    """Keeps the frame ages, each with its moment."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.ages: list[float] = []

    def take(self, result: Result, picture: object) -> None:
        self.at.append(time.monotonic())
        self.ages.append(result.frame_age_ms)

    def close(self) -> None:
        pass


def pictures(count: int = 60, height: int = 480, width: int = 640) -> list[np.ndarray]:
    """Noise that changes: uint8[height, width, 3] each."""
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (height, width, 3), np.uint8) for _ in range(count)]


def run(
    source: ReplaySource, classifier: object, *, flat_out: bool, outputs: tuple = (), **limits: object
) -> LiveSummary:
    capture = Capture(lambda: source, every_frame=flat_out)
    state = LiveState("benchmark", classifier.labels, source.name, Problems())
    loop = Loop(
        capture, classifier, state, LiveSettings(every_frame=flat_out, limits=Limits(**limits)), outputs=outputs
    )
    ended = loop.run(threading.Event())
    capture.close()
    return loop.summary(ended)


def age(options: argparse.Namespace, classifier: Classifier) -> dict:
    frames, told = pictures(), {}
    for milliseconds, minutes in ((100, options.minutes), (5, min(options.minutes, 2.0))):
        slow, ages = Slowed(classifier, milliseconds / 1000), Ages()
        source = ReplaySource(frames, rate=RATE, loop_count=10**6)
        summary = run(source, slow, flat_out=False, outputs=(ages,), seconds=minutes * 60)
        took = statistics.median(slow.took) * 1000
        fifth = max(1, len(ages.ages) // 5)
        told[f"{milliseconds} ms"] = {
            "minutes": minutes,
            "results": summary.frames_classified,
            "classified_share": round(summary.frames_classified / summary.frames_captured, 4),
            "processing_ms": round(took, 2),
            "age_ms": {
                "median": summary.frame_age_ms.median,
                "p95": summary.frame_age_ms.p95,
                "max": summary.frame_age_ms.max,
            },
            "allowed_p95_ms": round(1000 / RATE + 1.1 * took, 2),
            "p95_first_fifth_ms": round(float(np.quantile(ages.ages[:fifth], 0.95)), 2),
            "p95_last_fifth_ms": round(float(np.quantile(ages.ages[-fifth:], 0.95)), 2),
        }
    return told


def speed(options: argparse.Namespace, classifier: Classifier) -> dict:
    height, width = (int(side) for side in reversed(options.size.split("x")))
    frames, count = pictures(40, height, width), options.frames or 4000

    def bare() -> float:
        began = time.perf_counter()
        for number in range(count):
            small = resize(frames[number % len(frames)], classifier.height, classifier.width)[..., ::-1]
            classifier.raw(np.ascontiguousarray(small))
        return count / (time.perf_counter() - began)

    def live() -> float:
        source = ReplaySource(frames, flat_out=True, loop_count=-(-count // len(frames)))
        began = time.perf_counter()
        summary = run(source, classifier, flat_out=True, frames=count)
        seconds = time.perf_counter() - began
        assert summary.frames_classified == count
        return count / seconds

    rounds = []
    for _ in range(options.rounds):
        rounds.append((bare(), live()))
        print(
            f"bare {rounds[-1][0]:8.0f}   live {rounds[-1][1]:8.0f}   ratio {rounds[-1][1] / rounds[-1][0]:.3f}",
            file=sys.stderr,
        )
    ratios = [after / before for before, after in rounds]
    return {
        "frames": options.size,
        "bare_per_second": round(statistics.median(b for b, _ in rounds)),
        "live_per_second": round(statistics.median(a for _, a in rounds)),
        "ratio_median": round(statistics.median(ratios), 3),
        "ratios": [round(r, 3) for r in ratios],
    }


def endurance(options: argparse.Namespace, classifier: Classifier) -> dict:
    frames, count = pictures(40, 120, 160), options.frames or 200_000
    seen: list[tuple[int, int, int, int]] = []

    class Watch:
        def take(self, result: Result, picture: object) -> None:
            if result.frame in (5000, count - 1) or result.frame % max(1, count // 10) == 0:
                seen.append((result.frame, *resources()))

        def close(self) -> None:
            pass

    before = resources()
    source = ReplaySource(frames, flat_out=True, loop_count=-(-count // len(frames)))
    summary = run(source, classifier, flat_out=True, outputs=(Watch(),), frames=count)
    after = resources()
    at_5000 = next(row for row in seen if row[0] >= min(5000, count - 1))
    return {
        "frames": summary.frames_classified,
        "seconds": summary.seconds,
        "grown_bytes_after_5000": seen[-1][1] - at_5000[1],
        "threads": {"before": before[1], "during": seen[-1][2], "after": after[1]},
        "descriptors": {"before": before[2], "during": seen[-1][3], "after": after[2]},
        "rows": [{"frame": f, "rss_anon_bytes": m, "threads": t, "descriptors": d} for f, m, t, d in seen],
    }


def resources() -> tuple[int, int, int]:
    """Anonymous memory in bytes, threads, descriptors of this process."""
    status = Path("/proc/self/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return int(fields["RssAnon"].split()[0]) * 1024, int(fields["Threads"]), len(os.listdir("/proc/self/fd"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["age", "speed", "endurance"])
    parser.add_argument("--model", default="cifar10")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--frames", type=int)
    options = parser.parse_args()
    classifier = Classifier(options.model)
    told = {"age": age, "speed": speed, "endurance": endurance}[options.what](options, classifier)
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
