"""Shows the candidates that a network was chosen from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from edgeclf.cli.rendering import line
from edgeclf.cli.rendering_tables import Column, print_table
from edgeclf.measure.formatting import counted, milliseconds, number, percent, size

if TYPE_CHECKING:
    from edgeclf.training.budget.candidates import Candidate
    from edgeclf.training.budget.choice import NetworkChoice


_SHORT = {"macs": "MACs", "size_bytes": "file", "ram_bytes": "RAM", "latency_ms": "time"}


def render_choice(console: Console, choice: NetworkChoice) -> None:
    """Print up to a dozen candidates, the best first, with what each costs and which limit it breaks."""
    shown, count = len(choice.candidates), counted(choice.considered, "candidate")
    which = count if shown == choice.considered else f"{shown} of {count}"
    columns = (
        Column("network"),
        Column("input"),
        Column("MACs"),
        Column("int8 file", name="the estimated size of the int8 file"),
        Column("RAM", drop=3, name="the RAM of the activations, at least"),
        Column("one image", drop=4),
        Column("ImageNet", drop=5, name="ImageNet top-1 at this size, a heuristic"),
        Column("start", text=True, drop=1),
        Column("", text=True, drop=2, name="the limits that are broken"),
    )
    rows = [_row(candidate, candidate == choice.chosen) for candidate in choice.candidates]
    print_table(console, f"{which} for {choice.budget}", columns, rows)
    if choice.latency_from:
        line(console, f"Times: {choice.latency_from}.")


def _row(candidate: Candidate, chosen: bool) -> list[str]:
    broken = [_SHORT.get(name, name) for name in candidate.breaks]
    return [
        candidate.name,
        f"{candidate.image_size} px",
        number(candidate.macs),
        size(candidate.size_bytes),
        size(candidate.activation_bytes),
        "" if candidate.latency_ms is None else milliseconds(candidate.latency_ms),
        percent(candidate.worth, 1) if candidate.worth > 0 else "",
        candidate.start,
        "chosen" if chosen else f"too much: {', '.join(broken)}" if broken else "fits",
    ]
