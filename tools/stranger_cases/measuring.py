"""Cases about figures: intervals that hold, speed that was measured, tables and pages that hide nothing."""

from __future__ import annotations

import functools
import importlib.util
import io
import json
import math
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from stranger_cases.case import Finding, case, run_command

COLOURS = {"blue": (40, 40, 200), "green": (40, 200, 40), "red": (200, 40, 40)}
NAME = "a-network-of-a-rather-long-name-160px"


@case("intervals", "300 images of which 0.5 % differ")
def few_images_differ(folder: Path) -> Finding:
    """Sum the coverage over all counts that matter, with probabilities from the trinomial distribution."""
    from edgeclf.measure.paired_interval import difference_interval

    images, lost_rate, gained_rate = 300, 0.001, 0.004
    coverage = 0.0
    for lost in range(12):
        for gained in range(20):
            ways = math.comb(images, lost) * math.comb(images - lost, gained)
            same = (1 - lost_rate - gained_rate) ** (images - lost - gained)
            low, high = difference_interval(lost, gained, images)
            if low <= gained_rate - lost_rate <= high:
                coverage += ways * lost_rate**lost * gained_rate**gained * same
    return Finding("the 95 % interval holds in 93 % or more", f"{100 * coverage:.1f} %", coverage >= 0.93)


@case("intervals", "one image lost, seven gained")
def interval_agrees_with_its_test(folder: Path) -> Finding:
    from edgeclf.measure.paired_interval import difference_interval
    from edgeclf.measure.statistics import mcnemar_p

    p = 2 * (1 + 8) / 2**8  # a fair coin, at most one of eight
    low, high = difference_interval(1, 7, 300)
    right = math.isclose(mcnemar_p(1, 7), p) and low < 0 < high
    return Finding(f"p = {p:.3f}, so 0 is inside", f"{100 * low:.2f} to {100 * high:.2f} points", right)


@case("speed", "what float16 and int8 gain here")
def speed_is_measured(folder: Path) -> Finding:
    """Compare with a stopwatch of ten lines; where other programs run the two may differ, here up to threefold."""
    report = _compressed()[0]
    stated = dict(re.findall(r"^(model name|flags)\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE))
    own = {model["recipe"]: _milliseconds(Path(model["path"])) for model in report["models"]}
    right, found = True, []
    for model in report["models"]:
        speed, times = model["speed"], own["float32"] / own[model["recipe"]]
        name = stated.get("model name", "").strip()
        named = speed["cpu"].removeprefix(name).replace(" with ", " ").replace(",", "").split()
        right &= speed["cpu"].startswith(name)
        right &= set(named) <= set(stated["flags"].split() if "flags" in stated else named)
        right &= 1 / 3 < speed["times_as_fast"] / times < 3
        found.append(f"{model['recipe']} {speed['times_as_fast']:.2f}× (stopwatch {times:.2f}×)")
    return Finding("measured, and the machine named", ", ".join(found), right)


@case("screens", "80 columns: the tables of compress and bench")
def eighty_columns(folder: Path) -> Finding:
    from rich.console import Console

    from edgeclf.cli.rendering_bench import render_bench
    from edgeclf.cli.rendering_host import render_compression
    from edgeclf.compression.compress_report import CompressReport
    from edgeclf.measure.report import BenchReport

    report, _, measured, _ = _compressed()
    console = Console(width=80, file=io.StringIO(), markup=False, highlight=False)
    with console.capture() as capture:
        render_compression(console, CompressReport.from_dict(report))
        render_bench(console, BenchReport.from_dict(measured))
    text = capture.get()
    # notes begin with two spaces or none, and the terminal breaks them
    tables = [line for line in text.splitlines() if line.startswith(" ") and not line.startswith("  ")]
    joined = "".join(line[1:].split("  ")[0].strip() for line in tables)
    whole = all(f" {model['recipe']} " in text for model in report["models"]) and f"{NAME}-int8" in joined
    widest = max(map(len, tables))
    return Finding(
        "names whole, 80 columns", f"{'whole' if whole else 'cut'}, {widest} columns", whole and widest <= 80
    )


@case("screens", "the last line of compress and of bench")
def what_was_written_comes_last(folder: Path) -> Finding:
    _, compressed, _, benched = _compressed()
    last = [text.strip().splitlines()[-1] for text in (compressed, benched)]
    named = f"{NAME}-int8.tflite" in last[0] and "bench.json" in last[1]
    return Finding("the files that were written", "; ".join(line[:40] for line in last), named)


@case("screens", "the report on a phone of 390 pixels")
def report_on_a_phone(folder: Path) -> Finding:
    chromium = shutil.which("chromium")
    if chromium is None or importlib.util.find_spec("playwright") is None:
        return Finding("390 pixels, 0 parts that scroll sideways", "no chromium or playwright here", None)
    from playwright.sync_api import sync_playwright

    page_file = Path(_compressed()[2]["written"][-1])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.goto(page_file.absolute().as_uri())
        width = page.evaluate("document.documentElement.scrollWidth")
        hidden = page.evaluate(
            "[...document.querySelectorAll('body *')].filter(e => e.clientWidth && e.scrollWidth > e.clientWidth + 1"
            " && getComputedStyle(e).overflowX !== 'visible').length"
        )
        browser.close()
    got = f"{width} pixels, {hidden} parts that scroll sideways"
    return Finding("390 pixels, 0 parts that scroll sideways", got, (width, hidden) == (390, 0))


@functools.cache
def _compressed() -> tuple[dict[str, Any], str, dict[str, Any], str]:
    """Compress and bench a network that names the strongest colour; documents and what is printed, of both."""
    import tf_keras

    folder = Path(tempfile.mkdtemp())
    random = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / "photos" / name).mkdir(parents=True)
        for index in range(20):
            image = np.clip(random.normal(colour, 40, (32, 32, 3)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / "photos" / name / f"{index}.png"), image[..., ::-1])
    layers = tf_keras.layers
    network = tf_keras.Sequential(
        [
            layers.Input((32, 32, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    # the convolution passes its three colours on; the classes are blue, green, red
    kernel, dense = np.zeros((3, 3, 3, 8), np.float32), np.zeros((8, 3), np.float32)
    kernel[1, 1, range(3), range(3)] = 1
    dense[range(3), [2, 1, 0]] = 8
    network.layers[1].set_weights([kernel, np.zeros(8, np.float32)])
    network.layers[3].set_weights([dense, np.zeros(3, np.float32)])
    network.save(folder / f"{NAME}.h5")
    names = [word for recipe in ("int8", "float16", "float32") for word in ("--recipe", recipe)]
    asked = ["compress", folder / f"{NAME}.h5", *names, "--data", folder / "photos", "--input-range", "0,255"]
    compressed = run_command(*asked, "--out", folder / "out", "--json")
    printed = run_command(*asked, "--out", folder / "again", "--no-speed")
    models = sorted((folder / "out").glob("*.tflite"))
    bench = ["bench", *models, "--data", folder / "photos", "--runs", "20"]
    measured = run_command(*bench, "--out", folder / "b", "--report", folder / "b" / "report.html", "--json")
    benched = run_command(*bench[:2], "--runs", "5", "--out", folder / "c")
    for done in (compressed, printed, measured, benched):
        if done.code:
            raise RuntimeError(done.stderr.strip())
    return json.loads(compressed.stdout), printed.stdout, json.loads(measured.stdout), benched.stdout


def _milliseconds(model: Path) -> float:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(model), num_threads=1)
    interpreter.allocate_tensors()
    times = []
    for _ in range(300):
        start = time.perf_counter()
        interpreter.invoke()
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times[50:]))
