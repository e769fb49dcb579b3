"""Shows the quantization of computed tensors on a screen: `inspect --verbose`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from edgeclf.cli.rendering import table
from edgeclf.printable import one_line

if TYPE_CHECKING:
    from edgeclf.artifact.inspection import InspectReport


def render_activations(console: Console, report: InspectReport) -> None:
    """Print a row for each quantized tensor that comes in or is computed; nothing for a float graph."""
    if not report.activations:
        return
    shown = table("Computed tensors", "name", "type", "shape", "scale", "zero point", left=3)
    for tensor in report.activations:
        shape = "x".join(map(str, tensor["shape"]))
        scale, zero = f"{tensor['scale']:.6g}", str(tensor["zero_point"])
        shown.add_row(one_line(tensor["name"]), tensor["dtype"], shape, scale, zero)
    console.print(shown)
