"""Reads a TFLite classifier as the start of a training: its network, and how pixels enter it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import Normalization
from edgeclf.errors import InputError
from edgeclf.inference.input_range import resolve_input_range
from edgeclf.inference.range_measurement import CANDIDATES, MODEL_CONVENTION

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
    shape = file.shape
    if shape.dtype in _ZERO_OF_PIXELS:
        scale = shape.scale or 1.0
        # the real value of pixel p is (p + low - zero point) * scale
        mean = float(np.float64(shape.zero_point) - _ZERO_OF_PIXELS[shape.dtype])
        return Normalization((mean,), (1 / scale,)), ()
    known = resolve_input_range(file, None)
    if known is not None and known.applied is not None:
        return known.applied, ()
    assumed = CANDIDATES[MODEL_CONVENTION[0]]
    return assumed, (f"{file.name} does not state how pixels enter it; assumed is {assumed.text}, the most common",)
