"""Shows the sensitivity of layers on a screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from edgeclf.cli.rendering import line
from edgeclf.cli.rendering_tables import Column, print_table
from edgeclf.measure.formatting import exact, percent, points

if TYPE_CHECKING:
    from edgeclf.compression.layer_sensitivity import SensitivityReport

SHOWN = 15


def render_sensitivity(console: Console, report: SensitivityReport) -> None:
    """Print the layers that leave the most noise at the network's output, and where all of them stand."""
    columns = (
        Column("layer"),
        Column("operator", drop=2),
        Column("at its output", drop=1, name="the noise at the layer's own output"),
        Column("at the network's"),
        Column("top-1"),
        Column("points"),
        Column("flipped", drop=3, name="flipped labels"),
    )
    rows = [
        [
            layer.layer,
            layer.operator.lower(),
            f"{layer.layer_db:.1f} dB",
            f"{layer.output_db:.1f} dB",
            percent(layer.top1),
            points(layer.difference),
            exact(layer.flipped),
        ]
        for layer in report.ranked()[:SHOWN]
    ]
    images = f"{exact(report.images)} {report.split} images"
    print_table(console, f"One layer in int8, all others in float: signal to noise; top-1 on {images}", columns, rows)
    line(console, f"All {exact(len(report.layers))} layers: {report.path}, drawn in {report.plot}")
