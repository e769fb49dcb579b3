"""Draws, beside the images whose prediction changed, where each of the two networks finds evidence for its class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgeclf.errors import EdgeclfError
from edgeclf.image.drawing import Pixels
from edgeclf.image.heatmap import draw_map
from edgeclf.image.shape import InputShape, show_size
from edgeclf.inference.explaining import Explainer

Draw = Callable[[Pixels], str]
"""Encodes a picture for the page."""
FLOAT_NETWORK = "float network"
"""What it is called among the paths of models."""


@dataclass(frozen=True)
class Panel:
    """One map: what it is of, and the picture as a data URI."""

    title: str
    source: str


@dataclass
class FlipMaps:
    """Maps of the images of a split, made when they are asked for; those of the float network once for all models.

    Args:
        open_baseline: opens the float network; None: there is none that maps can be had of.
        open_model: opens a model file.
        other_fits: by the path of a model, or `float network`: the fit by which it was measured, where the pictures of
            the page have another one.

    Attributes:
        notes: why there are no maps of something, a line each.
    """

    open_baseline: Callable[[], Explainer] | None
    open_model: Callable[[Path], Explainer]
    other_fits: Mapping[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _opened: dict[str, Explainer | None] = field(default_factory=dict)
    _baseline_maps: dict[int, Pixels] = field(default_factory=dict)

    def draw(self, path: str, index: int, image: Pixels, draw: Draw) -> tuple[Panel, ...]:
        """Draw the maps of one image: of the float network, then of a model.

        Args:
            path: of the model file.
            index: of the image in the split.
            image: uint8[H, W, 3] RGB.
            draw: encodes a picture.
        """
        panels = []
        baseline = None if self.open_baseline is None else self._open(FLOAT_NETWORK, self.open_baseline)
        if baseline is not None and self._takes(FLOAT_NETWORK, baseline, image):
            if index not in self._baseline_maps:
                self._baseline_maps[index] = _draw(baseline, image)
            panels.append(Panel("float network: Grad-CAM", draw(self._baseline_maps[index])))
        model = self._open(path, lambda: self.open_model(Path(path)))
        if model is not None and self._takes(path, model, image):
            panels.append(Panel("this model: class activation map", draw(_draw(model, image))))
        return tuple(panels)

    def _takes(self, name: str, explainer: Explainer, image: Pixels) -> bool:
        """Return whether a network has seen this very picture in the measurement; where not, a note says why."""
        size, fit = explainer.input_shape.size, self.other_fits.get(name)
        if size == image.shape[:2] and fit is None:
            return True
        measured = f"pictures of {show_size(size)} pixels, and these have {show_size(image.shape[:2])}"
        if size == image.shape[:2]:
            measured = f"pictures by the fit {fit}, and these have another"
        note = f"no maps of evidence of {name}: it was measured on {measured}"
        if note not in self.notes:
            self.notes.append(note)
        return False

    def _open(self, name: str, open_one: Callable[[], Explainer]) -> Explainer | None:
        if name not in self._opened:
            try:
                self._opened[name] = open_one()
            except EdgeclfError as error:  # the report is of other things; what is missing is named
                self._opened[name] = None
                self.notes.append(f"no maps of evidence: {error}")
        return self._opened[name]


def _draw(explainer: Explainer, image: Pixels) -> Pixels:
    _, values = explainer.explain(image, None)
    # the image has the fit behind it
    return draw_map(image, np.asarray(values, np.float32), InputShape(*image.shape[:2]))
