"""Measures the sensitivity of a source's layers for `compress`, and writes it as JSON and as a drawing."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from edgeclf.atomic import write_bytes, write_text
from edgeclf.compression.layer_sensitivity import SENSITIVITY_FILES, LayerSensitivity, SensitivityReport
from edgeclf.compression.pipeline.context import RecipeContext
from edgeclf.compression.sensitivity import measure_sensitivity
from edgeclf.errors import InputError
from edgeclf.json_text import write_json
from edgeclf.printable import printable

MOST_IMAGES = 500
SHOWN_LAYERS = 40
"""Layers in the drawing, those with the most noise; all are in the JSON."""
BLUE, ORANGE = "#2f6db3", "#c8641a"


def measure_source(context: RecipeContext) -> SensitivityReport:
    """Measure each layer of the source on at most `MOST_IMAGES` images, evenly spaced over the validation split.

    Raises:
        InputError: there are no images.
    """
    if context.data is None:
        raise InputError("the sensitivity of layers is measured on images with labels; name them with --data")
    validation = context.data.splits.get("validation")
    name = "validation" if validation is not None and len(validation) else "train"
    split = context.data.splits[name].each_view(context.data.height)
    rows = np.linspace(0, len(split) - 1, min(MOST_IMAGES, len(split))).astype(np.int64)
    images, labels = np.asarray(split.images[rows]), np.asarray(split.labels[rows], np.int64)
    layers = measure_sensitivity(
        context.original,
        images,
        labels,
        calibration=context.calibration_images,
        observed=context.observed,
        progress=context.progress,
    )
    top1 = layers[0].top1 - layers[0].difference if layers else 0.0
    return SensitivityReport(tuple(layers), name, len(rows), top1)


def write_sensitivity(report: SensitivityReport, folder: Path, name: str) -> SensitivityReport:
    """Write `NAME-sensitivity.json` and `NAME-sensitivity.png`; returns the report with their paths."""
    data, plot = (folder / f"{name}-{file}" for file in SENSITIVITY_FILES)
    written = dataclasses.replace(report, path=str(data), plot=str(plot))
    write_bytes(plot, draw_sensitivity(report))
    write_text(data, write_json(written.to_dict(), indent=1) + "\n")
    return written


def draw_sensitivity(report: SensitivityReport) -> bytes:
    """Draw each layer's signal to noise at the network's output, and top-1 with it alone quantized: a PNG."""
    noisiest = {id(layer) for layer in report.ranked()[:SHOWN_LAYERS]}
    layers = [layer for layer in report.layers if id(layer) in noisiest]
    figure = Figure(figsize=(9, 1.6 + 0.2 * len(layers)))
    left, right = figure.subplots(1, 2, sharey=True)
    places = np.arange(len(layers))[::-1]
    left.barh(places, [layer.output_db for layer in layers], color=BLUE)
    left.set_xlabel("signal to quantization noise at the output, dB")
    right.barh(places, [100 * layer.difference for layer in layers], color=ORANGE)
    right.set_xlabel(f"top-1 against float, points ({report.images} {report.split} images)")
    left.set_yticks(places, [_label(layer) for layer in layers], fontsize=6)
    figure.suptitle("One layer at a time in int8, all others in float")
    figure.tight_layout()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _label(layer: LayerSensitivity) -> str:
    name = printable(layer.layer).replace("$", r"\$")
    return f"{name[-40:]} ({layer.operator.lower()})"
