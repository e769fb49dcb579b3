"""Reads a TFLite classifier as the start of a training: its network, and how pixels enter it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import RAW, Normalization
from edgeclf.artifact.tflite import TfliteModel
from edgeclf.errors import InputError
from edgeclf.inference.input_range import resolve_input_range
from edgeclf.inference.range_measurement import CANDIDATES, MODEL_CONVENTION

MOST_SCALED = 20.0
"""What 255 becomes at most where raw pixels are scaled inside: 5 by the deviations of ImageNet."""
HIGHEST_CENTER = 2.0
"""What is made zero of is below it where fractions enter, about 0.5, and far above it where pixels do, about 127."""
_SCALING = ("MUL", "ADD", "SUB", "DIV")
_MOST_SCALINGS = 8
"""Operators that may scale an input one after the other; a file may lead in a circle."""
_ZERO_OF_PIXELS = {"uint8": 0, "int8": -128}
"""The number of an 8-bit input that stands for pixel value 0."""


def is_tflite_start(weights: str | Path) -> bool:
    """Return whether a start is a TFLite file, by its name."""
    return Path(weights).suffix.lower() == ".tflite"


def check_tflite_start(path: str | Path) -> ModelFile:
    """Read a file and refuse what cannot be a start, as far as that shows without TensorFlow.

    Raises:
        ModelError: it cannot be read, is damaged, or is no image classifier.
        InputError: it takes gray pictures, or its input is of 16 bits.
    """
    file = ModelFile.read(path)
    file.check()
    shape = file.shape
    if shape.channels != 3:
        raise InputError(f"{file.name}: expected an input of 3 channels (RGB) to start from, got {shape.channels}")
    if shape.channels_first:
        raise InputError(
            f"{file.name}: expected an input with channels last to start from, got channels first; export it with "
            "litert_torch.to_channel_last_io(network, args=[0])"
        )
    if shape.dtype not in ("float32", *_ZERO_OF_PIXELS):
        raise InputError(f"{file.name}: expected an input of float32, uint8 or int8 to start from, got {shape.dtype}")
    return file


def read_tflite_start(path: str | Path) -> tuple[Any, Normalization, tuple[str, ...]]:
    """Read a file into a network that can be trained.

    Returns:
        the network (see `read_tflite_network`), how pixels enter it, and what was assumed of that, a line each.

    Raises:
        ModelError, InputError: it cannot be a start.
    """
    from edgeclf.keras_files.tflite_network import read_tflite_network

    file = check_tflite_start(path)
    normalization, notes = find_normalization(file)
    return read_tflite_network(file), normalization, notes


def find_normalization(file: ModelFile) -> tuple[Normalization, tuple[str, ...]]:
    """Find how pixels enter a file that `check_tflite_start` has passed, and what was assumed of that, a line each."""
    shape, known = file.shape, resolve_input_range(file, None)
    if known is not None and known.applied is not None:
        return known.applied, known.notes
    if shape.dtype in _ZERO_OF_PIXELS:
        scale = shape.scale or 1.0
        # the real value of pixel p is (p + low - zero point) * scale
        mean = float(np.float64(shape.zero_point) - _ZERO_OF_PIXELS[shape.dtype])
        return Normalization((mean,), (1 / scale,)), () if known is None else known.notes
    unstated, (factor, center) = f"{file.name} does not state how pixels enter it", _find_scaling(file.graph)
    if center is not None:
        assumed = RAW if center > HIGHEST_CENTER else CANDIDATES["0..1"]
        return assumed, (f"{unstated}, and centers its input on {center:.3g}; assumed is {assumed.text}",)
    if factor != 1.0:
        assumed = RAW if 255 * factor <= MOST_SCALED else CANDIDATES["0..1"]
        return assumed, (f"{unstated}, and multiplies its input by {factor:.3g}; assumed is {assumed.text}",)
    assumed = CANDIDATES[MODEL_CONVENTION[0]]
    return assumed, (f"{unstated}; assumed is {assumed.text}, the most common",)


def _find_scaling(graph: TfliteModel) -> tuple[float, float | None]:
    """Find what a graph does to its input before all else.

    Returns:
        the factor that it multiplies by, 1 where there is none; and the value of the input that it makes zero of, where
        it adds or subtracts something, else None. Means over the channels.
    """
    factor, center, tensor = 1.0, None, graph.input_indices[0]
    seen = set[int]()
    while tensor not in seen and len(seen) < _MOST_SCALINGS:
        seen.add(tensor)
        readers = graph.consumers(tensor)
        if len(readers) != 1 or readers[0].name not in _SCALING or not readers[0].outputs:
            break
        operator = readers[0]
        others = [graph.tensors[index].values() for index in operator.inputs if index != tensor and index >= 0]
        values = others[0] if others else None
        if values is None or values.dtype != np.float32 or not np.isfinite(values).all() or not values.all():
            break
        mean = float(np.abs(values).mean()) if values.size else 0.0
        if not mean:
            break
        if operator.name in ("MUL", "DIV"):
            factor *= mean if operator.name == "MUL" else 1 / mean
        elif center is None:
            center = mean / factor
        tensor = operator.outputs[0]
    return factor, center
