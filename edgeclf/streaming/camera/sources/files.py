"""Choose the source that shows a path: a video, an image, a folder of images, or a recording."""

from __future__ import annotations

import dataclasses
import stat
from pathlib import Path

from edgeclf.errors import InputError
from edgeclf.image.decoding import IMAGE_SUFFIXES
from edgeclf.paths import expand_home, is_utf8
from edgeclf.streaming.camera.source import Source, SourceRequest
from edgeclf.streaming.camera.sources.image_folder import IMAGES_A_SECOND, ImageFolderSource
from edgeclf.streaming.camera.sources.recording import is_recording, read_recording
from edgeclf.streaming.camera.sources.video_file import VideoFileSource


def open_path(request: SourceRequest) -> Source | None:
    """Make the source that shows an existing file or folder; None where there is no such path.

    Raises:
        InputError: it cannot be shown, or has no size or rate to be asked for.
    """
    camera, rate = request.camera, request.rate
    path = expand_home(camera)
    if not camera.strip() or not _exists(path):
        return None
    request.refuse_size(camera)
    if path.is_dir() and is_recording(path):
        request.refuse_rate(str(path))
        return read_recording(path, flat_out=request.every_frame)
    if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageFolderSource(path, rate=rate or IMAGES_A_SECOND, every_frame=request.every_frame, log=request.log)
    if not path.is_file():
        raise InputError(f"{path}: expected a file or a folder, got {_describe_kind(path)}")
    if not is_utf8(path.absolute()):
        raise InputError(f"{path}: OpenCV cannot open a film whose name is not UTF-8; rename it")
    request.refuse_rate(str(path))
    return VideoFileSource(path, every_frame=request.every_frame, log=request.log)


FILE_ADDRESS = "file://"


def is_file_address(camera: str) -> bool:
    """Return whether a camera is given as `file://PATH`."""
    return camera[: len(FILE_ADDRESS)].lower() == FILE_ADDRESS


def open_file_address(request: SourceRequest) -> Source:
    """Make the source for `file://PATH`.

    Raises:
        InputError: there is no such path, or it cannot be shown.
    """
    request.refuse_size(request.camera)
    path = request.camera[len(FILE_ADDRESS) :]
    source = open_path(dataclasses.replace(request, camera=path))
    if source is None:
        raise InputError(f"--camera {path!r}: no such file or folder")
    return source


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or holds a zero byte
        return False


def _describe_kind(path: Path) -> str:
    mode = path.stat().st_mode
    kinds = {"a socket": stat.S_ISSOCK, "a pipe": stat.S_ISFIFO, "a device": stat.S_ISCHR, "a disk": stat.S_ISBLK}
    return next((kind for kind, is_kind in kinds.items() if is_kind(mode)), "something else")
