"""`live --heatmap`: where the evidence for the label lies, drawn over what people watch."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import edgeclf
from digit_video import write_video

from edgeclf import api
from edgeclf.artifact.locate import locate_model
from edgeclf.artifact.model_file import ModelFile
from edgeclf.errors import ModelError
from edgeclf.image.decoding import fit_image
from edgeclf.inference.activation_maps import MappingClassifier
from edgeclf.streaming.loop.geometry import Geometry, Picture
from edgeclf.streaming.loop.result import Result
from edgeclf.streaming.loop.state import Snapshot
from edgeclf.streaming.outputs.annotate import annotate
from edgeclf.streaming.page.encoder import encode

TFLITE = Path(__file__).parent / "tflite"


class Seen:
    """An output that keeps what it gets."""

    def __init__(self) -> None:
        self.taken: list[tuple[Result, Picture]] = []

    def take(self, result: Result, picture: Picture) -> None:
        self.taken.append((result, picture))

    def close(self) -> None:
        """Do nothing."""


def watch(tmp_path: Path, *, heatmap: bool) -> list[tuple[Result, Picture]]:
    write_video(tmp_path / "three.avi", (3,), 2, side=32)
    seen = Seen()
    api.live(
        "digits",
        camera=str(tmp_path / "three.avi"),
        every_frame=True,
        window=False,
        web="0",
        threads=1,
        heatmap=heatmap,
        geometry=Geometry(roi=(0.5, 0, 0.5, 1)),
        outputs=seen,
    )
    return seen.taken


def decoded(jpeg: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


def test_the_map_is_drawn_over_what_is_watched_and_not_over_what_is_kept(tmp_path: Path) -> None:
    result, picture = watch(tmp_path, heatmap=True)[-1]
    mapping = MappingClassifier(ModelFile.read(locate_model("digits")))
    shape = mapping.input_shape
    image = np.ascontiguousarray(fit_image(picture.region(), shape)[..., ::-1])
    scores = mapping.scores(image)
    assert picture.heat is not None
    assert np.allclose(picture.heat, mapping.activation_map(int(scores.argmax())))
    pixels = picture.pixels()
    drawn = picture.draw_heat(pixels)
    half = pixels.shape[1] // 2
    # the left half is not looked at
    assert np.array_equal(drawn[:, :half], pixels[:, :half])
    assert np.abs(drawn[:, half:].astype(int) - pixels[:, half:]).max() > 50
    plain = Picture(picture.frame, picture.geometry, picture.shape)
    streamed = [decoded(encode(Snapshot(1, result, one), 95, 640)) for one in (picture, plain)]
    assert np.abs(streamed[0].astype(int) - streamed[1])[:, half + 8 :].max() > 50
    kept = [encode(Snapshot(1, result, one), 95, None) for one in (picture, plain)]
    assert kept[0] == kept[1]
    assert not np.array_equal(annotate(picture, result), annotate(plain, result))
    assert np.array_equal(picture.pixels(), pixels)


def test_without_the_option_there_is_no_map(tmp_path: Path) -> None:
    assert [picture.heat for _, picture in watch(tmp_path, heatmap=False)] == [None, None]


def test_a_model_without_maps_is_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "three.avi", (3,), 2, side=32)
    model = TFLITE / "int8.tflite"
    with pytest.raises(ModelError, match="int8.tflite: a class activation map needs global average pooling"):
        api.live(model, camera=str(tmp_path / "three.avi"), window=False, web="0", heatmap=True)
    done = edgeclf(tmp_path, "live", model, "--camera", "three.avi", "--heatmap", "--no-window", "--json", "--quiet")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
