"""Shows the quantization of computed tensors on a screen: `inspect --verbose`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from edgeclf.cli.rendering_tables import Column, print_table

if TYPE_CHECKING:
    from edgeclf.artifact.inspection import InspectReport


def render_activations(console: Console, report: InspectReport) -> None:
    """Print a row for each quantized tensor that comes in or is computed; nothing for a float graph."""
    if not report.activations:
        return
    rows = []
    for tensor in report.activations:
        shape = "x".join(map(str, tensor["shape"]))
        rows.append([tensor["name"], tensor["dtype"], shape, f"{tensor['scale']:.6g}", str(tensor["zero_point"])])
    columns = [
        Column("name"),
        Column("type", text=True),
        Column("shape", text=True),
        Column("scale"),
        Column("zero point"),
    ]
    print_table(console, "Computed tensors", columns, rows)
