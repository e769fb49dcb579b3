"""Test cards in one colour, a network that tells red from blue, and what users' commands say of the same picture."""

from __future__ import annotations

import contextlib
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from linear_models import SIDE, write_float_model

from edgeclf.image.decoding import resize
from edgeclf.inference.classifier import Classifier
from edgeclf.streaming.camera.frame import Shot
from edgeclf.streaming.camera.source import EndOfSourceError, Source

Picture = npt.NDArray[np.uint8]
COLORS = {"red": (0, 0, 255), "blue": (255, 0, 0)}
"""Blue, green, red, as OpenCV has them."""
LABEL_OF = {"red": "0", "blue": "1"}


def card(color: str, height: int = 48, width: int = 64) -> Picture:
    """uint8[height, width, 3] BGR of one colour, with a darker band so that rows and columns are told apart."""
    made = np.full((height, width, 3), COLORS[color], np.uint8)
    made[height // 2 : height // 2 + 4, : width // 2] //= 2
    return made


def red_or_blue(folder: Path) -> Classifier:
    """Class 0 for red, 1 for blue: the channels' sums against each other."""
    weights = np.zeros((2, SIDE, SIDE, 3))
    weights[0, ..., 0] = weights[1, ..., 2] = 1 / SIDE**2  # channels are red, green, blue here
    path = write_float_model(folder / "red-or-blue.tflite", 8 * weights.reshape(2, -1), np.zeros(2))
    return Classifier(path, input_range=(0, 255))


def label_of_frame(classifier: Classifier, pixels: Picture) -> tuple[str, float]:
    """What the live loop says: resized, channels exchanged, classified."""
    small = resize(pixels, classifier.height, classifier.width)[..., ::-1]
    scores = classifier.scores(np.ascontiguousarray(small))
    return classifier.labels[int(scores.argmax())], float(scores.max())


def label_of_file(classifier: Classifier, pixels: Picture, folder: Path) -> tuple[str, float]:
    """What `predict` says of the same frame, saved by OpenCV without loss."""
    path = folder / "frame.png"
    assert cv2.imwrite(str(path), pixels)
    best = classifier.predict(path, top=1).labels[0]
    return best.label, best.probability


def write_video(path: Path, pictures: list[Picture], rate: float = 25.0, codec: str = "FFV1") -> Path:
    """A video file; FFV1 keeps every bit."""
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), rate, (width, height))
    assert writer.isOpened(), f"this OpenCV writes no {codec}"
    for picture in pictures:
        writer.write(picture)
    writer.release()
    return path


def all_shots(source: Source) -> list[Shot]:
    """Everything that a source shows until its end; closed afterwards."""
    shots: list[Shot] = []
    source.open()
    try:
        with contextlib.suppress(EndOfSourceError):
            while True:
                shots.append(source.read())
    finally:
        source.close()
    return shots


def read_on(source: Source, most: int = 1000) -> None:
    """Read until the source fails, or for `most` frames."""
    for _ in range(most):
        source.read()


def first_shot(source: Source) -> Shot:
    """The first frame of a source; closed afterwards."""
    source.open()
    try:
        return source.read()
    finally:
        source.close()
