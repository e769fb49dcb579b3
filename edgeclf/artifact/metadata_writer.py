"""Writes the TFLite Metadata of an image classifier, such that MediaPipe's ImageClassifier opens the file.

Slots are those of metadata_schema.fbs (in the mediapipe package, and in tflite-support). Host side: needs
`flatbuffers`.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import Any

from edgeclf.artifact.metadata import IDENTIFIER, LABELS_ON_AXIS, NORMALIZATION_OPTIONS
from edgeclf.artifact.normalization import Normalization

LABEL_FILE = "labels.txt"
_IMAGE_PROPERTIES, _FEATURE_PROPERTIES = 2, 1
_RGB, _GRAYSCALE = 1, 2


def metadata_buffer(name: str, description: str, height: int, width: int, channels: int, given: Normalization) -> bytes:
    """Write the FlatBuffer that describes one image input and one output of class scores.

    Args:
        name: of the model.
        description: of the model.
        height: of the input, pixels.
        width: of the input, pixels.
        channels: 3 (RGB) or 1 (gray).
        given: the normalization of a float input; clients feed raw bytes to an 8-bit one and ignore it.
    """
    import flatbuffers

    build = flatbuffers.Builder(1024)
    colour = _RGB if channels == 3 else _GRAYSCALE
    size = _table(build, [(0, "Uint32", width), (1, "Uint32", height)])
    image = _table(build, [(0, "Int8", colour), (1, "offset", size)])
    image_content = _table(build, [(0, "Uint8", _IMAGE_PROPERTIES), (1, "offset", image)])
    options = _table(build, [(0, "offset", _floats(build, given.mean)), (1, "offset", _floats(build, given.std))])
    unit = _table(build, [(0, "Uint8", NORMALIZATION_OPTIONS), (1, "offset", options)])
    stats = _table(build, [(0, "offset", _floats(build, [255.0])), (1, "offset", _floats(build, [0.0]))])
    image_input = _table(
        build,
        [
            (0, "offset", build.CreateString("image")),
            (1, "offset", build.CreateString(f"raw RGB pixels, {height} x {width}")),
            (3, "offset", image_content),
            (4, "offset", _tables(build, [unit])),
            (5, "offset", stats),
        ],
    )
    labels = _table(
        build,
        [
            (0, "offset", build.CreateString(LABEL_FILE)),
            (1, "offset", build.CreateString("class names, one a line, in index order")),
            (2, "Int8", LABELS_ON_AXIS),
        ],
    )
    feature = _table(build, [])
    feature_content = _table(build, [(0, "Uint8", _FEATURE_PROPERTIES), (1, "offset", feature)])
    scores = _table(
        build,
        [
            (0, "offset", build.CreateString("probability")),
            (1, "offset", build.CreateString("probability of each class")),
            (3, "offset", feature_content),
            (6, "offset", _tables(build, [labels])),
        ],
    )
    graph = _table(build, [(2, "offset", _tables(build, [image_input])), (3, "offset", _tables(build, [scores]))])
    root = _table(
        build,
        [
            (0, "offset", build.CreateString(name)),
            (1, "offset", build.CreateString(description)),
            (2, "offset", build.CreateString("v1")),
            (3, "offset", _tables(build, [graph])),
            (7, "offset", build.CreateString("1.0.0")),
        ],
    )
    build.Finish(root, file_identifier=IDENTIFIER)
    return bytes(build.Output())


def append_labels(content: bytes, labels: Sequence[str], comment: bytes) -> bytes:
    """Append a zip archive to `content` that holds the labels, STORED, and ends with `comment`."""
    stream = io.BytesIO()
    stream.write(content)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
        # a fixed date: the same model is the same file, whenever it is written
        archive.writestr(zipfile.ZipInfo(LABEL_FILE, (1980, 1, 1, 0, 0, 0)), "\n".join(labels) + "\n")
        archive.comment = comment
    return stream.getvalue()


def _table(build: Any, fields: list[tuple[int, str, int]]) -> Any:
    build.StartObject(max((slot for slot, _, _ in fields), default=-1) + 1)
    for slot, kind, value in fields:
        if kind == "offset":
            build.PrependUOffsetTRelativeSlot(slot, value, 0)
        else:
            getattr(build, f"Prepend{kind}Slot")(slot, value, 0)
    return build.EndObject()


def _tables(build: Any, tables: list[Any]) -> Any:
    build.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        build.PrependUOffsetTRelative(table)
    return build.EndVector()


def _floats(build: Any, values: Sequence[float]) -> Any:
    build.StartVector(4, len(values), 4)
    for value in reversed(values):
        build.PrependFloat32(value)
    return build.EndVector()
