"""How `bench` shows a device: its sensors, another machine's figures beside its own, its first minute and its last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from edgeclf.cli.rendering import number, percent, points, size, table
from edgeclf.measure.device_words import celsius, duration, megahertz, slowed


def milliseconds(value: float | None) -> str:
    """Three significant digits, in microseconds below one millisecond."""
    if value is None:
        return "–"
    return f"{1000 * value:.0f} µs" if value < 1 else f"{value:.3g} ms"


def board_table(report: Mapping[str, Any]) -> Table | None:
    """The sensors before and after everything, and around sustained work; None where the board has none."""
    board, sustained = report.get("board") or {}, report.get("sustained") or {}
    rows = [("before", board.get("before"))]
    for length, sensors in (("window_seconds", "board_first"), ("seconds", "board_last")):
        if sustained:
            rows.append((f"after {duration(sustained[length])} of work", sustained[sensors]))
    rows.append(("after", board.get("after")))
    if not any(reading for _, reading in rows):
        return None
    shown = table("Board", "when", "temperature", "clock", "slowed down", "since its start")
    for when, reading in rows:
        if reading:
            words = (slowed(reading[key]) for key in ("throttled", "throttled_since_start"))
            shown.add_row(when, celsius(reading["temperature_celsius"]), megahertz(reading["clock_mhz"]), *words)
    return shown


def beside(report: Mapping[str, Any]) -> Table:
    """One row a model: what was measured there, and here."""
    own = {(model["name"], model["threads"]): model for model in report["models"]}
    against = report["against"]
    judged = any(pair["there"]["top1"] is not None for pair in against["models"])
    accuracy = ("top-1 there", "points there", "top-1 here") if judged else ()
    columns = ("model", "threads", *accuracy, "file there", "file here", "median there", "median here", "times")
    shown = table(f"There: {against['machine']['cpu']}; here: {report['machine']['cpu']}", *columns)
    for pair in against["models"]:
        here, there = own[pair["name"], pair["threads"]], pair["there"]
        judgement = [percent(there["top1"], 2), points(there["difference"]), percent(here["top1"], 2)]
        shown.add_row(
            pair["name"],
            number(pair["threads"]),
            *(judgement if judged else []),
            size(there["size_bytes"]),
            size(here["size_bytes"]),
            milliseconds(there["latency_ms"]["median"]),
            milliseconds(here["latency_ms"]["median"]),
            f"{pair['ratio']:.3g}",
        )
    return shown


def first_and_last(sustained: Mapping[str, Any]) -> Table:
    """One row a model: its first window of work and its last."""
    window, whole = duration(sustained["window_seconds"]), duration(sustained["seconds"])
    columns = ("model", "threads", "median first", "median last", "times", "p99 first", "p99 last")
    shown = table(f"The first {window} and the last of {whole} without a pause", *columns)
    for model in sustained["models"]:
        first, last = model["first_ms"], model["last_ms"]
        shown.add_row(
            model["name"],
            number(model["threads"]),
            milliseconds(first["median"]),
            milliseconds(last["median"]),
            f"{model['ratio']:.2f}",
            milliseconds(first["p99"]),
            milliseconds(last["p99"]),
        )
    return shown


def device_remarks(report: Mapping[str, Any]) -> list[str]:
    """What these tables do not say by themselves."""
    remarks: list[str] = []
    against = report.get("against") or {"models": (), "missing": ()}
    for pair in against["models"]:
        remarks.extend(f"{pair['name']}: {note}." for note in pair["notes"])
    remarks.extend(f"{name}: not in {against['path']}." for name in against["missing"])
    sustained = report.get("sustained")
    if sustained and sustained["interrupted"]:
        remarks.append(
            f"Interrupted after {duration(sustained['seconds'])} of {60 * sustained['minutes']:.0f} s of work."
        )
    if sustained and sustained["throttled"]:
        remarks.append(f"On the way the board was slowed down: {slowed(sustained['throttled'])}.")
    return remarks
