"""Reads photos by path or address, and downloads each address once however often it is read."""

from __future__ import annotations

from pathlib import Path

from edgeclf.errors import ImageError
from edgeclf.image.decoding import decode, decode_bytes
from edgeclf.image.download import download_image
from edgeclf.image.drawing import Pixels
from edgeclf.image.objects import draw_object, load_object
from edgeclf.image.shape import InputShape
from edgeclf.progress import Progress

_HELD_BYTES = 256 << 20
"""Of downloads that are kept in memory from the first look at an image to the second."""


class PhotoReader:
    """Reads files and addresses; what was downloaded ahead is kept in memory until it is read.

    Args:
        progress: where downloads are logged.
        shape: of the input of the model that the photos are for.
    """

    def __init__(self, progress: Progress, shape: InputShape) -> None:
        self._progress, self._shape = progress, shape
        self._held: dict[str, bytes | ImageError] = {}

    def read_ahead(self, photo: str | Path) -> Pixels:
        """Decode an image that will be read again.

        Raises:
            ImageError: it cannot be read, or is left for later; the message is the reason alone.
        """
        if isinstance(photo, Path):
            return self._open(photo)
        if photo not in self._held:
            if sum(len(content) for content in self._held.values() if isinstance(content, bytes)) > _HELD_BYTES:
                raise ImageError("left for later")
            self._held[photo] = self._download(photo)
        return self._decode(self._held[photo])

    def read(self, photo: str | Path) -> Pixels:
        """Decode an image.

        Raises:
            ImageError: it cannot be read; the message is the reason alone.
        """
        if isinstance(photo, Path):
            return self._open(photo)
        content = self._held.pop(photo) if photo in self._held else self._download(photo)
        return self._decode(content)

    def _open(self, photo: Path) -> Pixels:
        return load_object(photo, self._shape) if self._shape.views else decode(photo)

    def _decode(self, content: bytes | ImageError) -> Pixels:
        if isinstance(content, ImageError):
            raise content
        return draw_object(content, self._shape) if self._shape.views else decode_bytes(content)

    def _download(self, address: str) -> bytes | ImageError:
        self._progress.info(f"downloading {address}")
        try:
            return download_image(address)
        except ImageError as error:
            return error
