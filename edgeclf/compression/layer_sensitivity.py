"""Describes what 8 bits cost in each layer of a network."""

from __future__ import annotations

from dataclasses import dataclass

from edgeclf.records import Record

SENSITIVITY_FILES = ("sensitivity.json", "sensitivity.png")
"""What is written of it, behind the name of the network."""


@dataclass(frozen=True)
class LayerSensitivity(Record):
    """What a network loses where one layer alone computes in 8 bits: its weights and its output are rounded.

    Its weights and bias are as `compress --int8` makes them by default: rounded adaptively, and corrected.

    Attributes:
        layer: name of the layer's output in the float graph, as `QuantizationPolicy` takes it.
        operator: as the TFLite specification calls it.
        macs: multiply-accumulates for one image.
        layer_db: signal to quantization noise at the layer's output, decibels: `10 log10(E[x^2] / E[(x - xq)^2])`.
        output_db: the same at the network's output.
        top1: fraction of correct predictions; the float network's is `top1 - difference`.
        difference: against the float network on the same images, as a fraction.
        lost: images that were right and became wrong.
        gained: images that were wrong and became right.
        flipped: images whose label changed.
        images: number of images.
    """

    layer: str
    operator: str
    macs: int
    layer_db: float
    output_db: float
    top1: float
    difference: float
    lost: int
    gained: int
    flipped: int
    images: int


@dataclass(frozen=True)
class SensitivityReport(Record):
    """What `compress --sensitivity` measured.

    Attributes:
        layers: in the order of computation.
        split: that the images are from: `validation`, or `train` where there is none.
        images: number of images.
        float_top1: of the float network on them, as a fraction.
        path: of the JSON file with these figures; empty until it is written.
        plot: of the drawing.
    """

    layers: tuple[LayerSensitivity, ...]
    split: str
    images: int
    float_top1: float
    path: str = ""
    plot: str = ""

    def ranked(self) -> list[LayerSensitivity]:
        """Return the layers, those that leave the most noise at the network's output first."""
        return sorted(self.layers, key=lambda layer: layer.output_db)
