"""Brings images to a model that is examined: those of `--data`, else the samples in the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.class_names import name_classes
from edgeclf.artifact.input_fit import resolve_fit
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import Normalization
from edgeclf.artifact.pixels import apply_table, pixel_table
from edgeclf.artifact.samples import MOST_SAMPLES, sample_image
from edgeclf.dataset.loading import list_source
from edgeclf.dataset.sources import Item, Listing
from edgeclf.errors import ImageError, InputError
from edgeclf.image.decoding import decode
from edgeclf.image.objects import load_object
from edgeclf.image.shape import InputShape
from edgeclf.image.views import cut_views
from edgeclf.inference.classifier import Classifier
from edgeclf.inference.images import load_pixels
from edgeclf.inference.input_range import KnownInput, resolve_input_range
from edgeclf.progress import Progress

MOST_IMAGES = 100
_NEVER_TRAINED_ON = ("test", "validation")


@dataclass(frozen=True)
class ExaminedImages:
    """Images as they enter a model.

    Attributes:
        source: `data` or `samples`.
        pixels: uint8[N, height, width, 3], fitted to the input.
        sizes: int64[N, 2], height and width of the photos before that; empty for samples.
        labels: int64[N], index of the right output; -1: not known.
        shape: of the input, with the fit.
    """

    source: str
    pixels: npt.NDArray[np.uint8]
    sizes: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    shape: InputShape


def take_samples(file: ModelFile) -> ExaminedImages:
    """Make the images that the samples of model files are chosen from; coloured cells and no photos."""
    shape = InputShape(file.shape.height, file.shape.width)
    pixels = np.stack([sample_image(index, shape.height, shape.width) for index in range(MOST_SAMPLES)])
    nothing = np.empty((0, 2), np.int64)
    return ExaminedImages("samples", pixels, nothing, np.full(len(pixels), -1, np.int64), shape)


def take_photos(file: ModelFile, data: str | Path, fit: str | None, progress: Progress) -> ExaminedImages:
    """Read up to `MOST_IMAGES` photos, spread over a source, of its test images where it has some.

    Raises:
        DataError: the source cannot be used.
        InputError: not one photo can be read.
    """
    listing = list_source(data, progress)
    numbers = [i for i, item in enumerate(listing.items) if item.split in _NEVER_TRAINED_ON]
    numbers = numbers or list(range(len(listing.items)))
    if not numbers:
        raise InputError(f"{data}: there is no image in it{listing.describe_empty()}")
    chosen = [numbers[i] for i in np.linspace(0, len(numbers) - 1, min(len(numbers), MOST_IMAGES)).astype(np.int64)]
    shape = InputShape(file.shape.height, file.shape.width, resolve_fit(file, fit))
    places = {name: index for index, name in enumerate(name_classes(file).names)}
    pixels: list[npt.NDArray[np.uint8]] = []
    sizes: list[tuple[int, ...]] = []
    labels: list[int] = []
    with progress.task("reading images", len(chosen)) as task:
        for number in chosen:
            task.advance()
            seen = _read(listing, number, listing.items[number], shape)
            pixels.extend(fitted for fitted, _ in seen)
            sizes.extend(size for _, size in seen)
            labels.extend([places.get(listing.items[number].label, -1)] * len(seen))
    if not pixels:
        raise InputError(f"{data}: none of {len(chosen)} images can be read")
    return ExaminedImages("data", np.stack(pixels), np.array(sizes, np.int64), np.array(labels, np.int64), shape)


def _read(
    listing: Listing, number: int, item: Item, shape: InputShape
) -> list[tuple[npt.NDArray[np.uint8], tuple[int, ...]]]:
    """Read a photo, or each view of an object, fitted, with the size that it had; empty: it cannot be read."""
    try:
        if shape.views:
            views = cut_views(load_object(item.path, shape)[None], shape.height)
            return [(view, shape.size) for view in views]
        if listing.pixels is None:
            photo = decode(item.path)
        else:
            stored = np.asarray(listing.pixels[number])
            photo = np.ascontiguousarray(stored if stored.ndim == 3 else np.repeat(stored[..., None], 3, axis=2))
    except ImageError:
        return []
    return [(load_pixels(photo, shape), photo.shape[:2])]


def choose_range(file: ModelFile, images: ExaminedImages, given: Normalization | None) -> KnownInput:
    """Choose how pixels enter a model: as its file or the caller says, else measured on the images and their labels.

    Raises:
        InputError: the model knows another normalization than the one given.
    """
    known = resolve_input_range(file, given)
    if known is not None:
        return known
    labels = images.labels if (images.labels >= 0).any() else None
    chosen = Classifier(file, normalize=given).choose_input_range(images.pixels, labels)
    return KnownInput(chosen, chosen.normalization)


def make_tensors(
    file: ModelFile, images: npt.NDArray[np.uint8], normalization: Normalization | None
) -> Sequence[npt.NDArray[Any]]:
    """Make a model's input tensors for uint8[N, height, width, 3]; a normalization of None: pixels as they are."""
    shape = file.shape
    table = pixel_table(shape.dtype, shape.scale, shape.zero_point, normalization)
    order = "RGB" if normalization is None else normalization.channel_order
    if shape.channels == 1:
        import cv2

        gray = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] for image in images]
        return [shape.arrange(apply_table(table, np.asarray(image, np.uint8))[None]) for image in gray]
    return [shape.arrange(apply_table(table, image, order)[None]) for image in images]
