"""Shows the quantization of computed tensors on a screen: `inspect --verbose`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from edgeclf.cli.rendering import table
from edgeclf.cli.session import one_line


def render_activations(console: Console, report: Mapping[str, Any]) -> None:
    """Print a row for each quantized tensor that comes in or is computed; nothing for a float graph."""
    if not report["activations"]:
        return
    shown = table("Computed tensors", "name", "type", "shape", "scale", "zero point", left=3)
    for tensor in report["activations"]:
        shape = "x".join(map(str, tensor["shape"]))
        scale, zero = f"{tensor['scale']:.6g}", str(tensor["zero_point"])
        shown.add_row(one_line(tensor["name"]), tensor["dtype"], shape, scale, zero)
    console.print(shown)
