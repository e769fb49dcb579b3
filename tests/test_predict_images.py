"""What `predict` takes and leaves: one path or several, subfolders, arrays, bytes, PIL images, annotated copies."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import tflite_models
from typer.testing import CliRunner

import edgeclf
from edgeclf.artifact.locate import locate_model
from edgeclf.errors import ImageError, InputError, ModelError, OutputError
from edgeclf.image.decoding import decode
from edgeclf.image.drawing import bar_height, class_color
from edgeclf.inference.annotated import LARGEST_SIDE, draw_prediction
from edgeclf.inference.classifier import LabelScore, Prediction
from edgeclf.measure.plan import BenchPlan
from edgeclf.measure.sources import find_sources

MODEL = tflite_models.FOLDER / "uint8.tflite"
IMAGES, LABELS = tflite_models.digits()


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`cat.png`, and `more/dog.png`, `more/1/dog.png`, and what is no photo; the current folder."""
    folder = tmp_path / "photos"
    for number, name in enumerate(("cat.png", "more/dog.png", "more/1/dog.png", "more/@eaDir/x.png", ".trash/x.png")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", IMAGES[number])[1].tobytes())
    (folder / "more" / "again").symlink_to(folder)
    monkeypatch.chdir(folder)
    return folder


class Folder:
    """A path of another library."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __fspath__(self) -> str:
        return self._path


@pytest.mark.parametrize("one", ["cat.png", Path("cat.png"), Folder("cat.png")])
def test_one_path_is_one_image(photos: Path, one: Any) -> None:
    for given in (one, [one], (one,), iter([one])):
        assert [photo.path for photo in edgeclf.predict(MODEL, given).predictions] == ["cat.png"]
    assert edgeclf.Classifier(MODEL).predict(one) == edgeclf.Classifier(MODEL).predict([one])[0]


@pytest.mark.parametrize("one", [str(MODEL), MODEL, Folder(str(MODEL))])
def test_one_path_is_one_model(one: Any) -> None:
    assert find_sources(one).models == find_sources([one]).models == (MODEL,)
    assert BenchPlan(one, threads=2).models == (str(MODEL),)
    report = edgeclf.bench(one, threads=1, runs=3)
    assert [model.path for model in report.models] == [str(MODEL)]


def test_what_is_no_path_is_refused() -> None:
    for wrong, name in ((b"cat.png", "bytes"), ([IMAGES[0]], "ndarray"), (3, "int"), ([None], "NoneType")):
        with pytest.raises(InputError, match=f"expected the path of an image, or several, got {name}"):
            edgeclf.predict(MODEL, wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="expected the path of an image, got an empty text"):
        edgeclf.predict(MODEL, ["cat.png", ""])  # the folder that one is in is not meant


def test_a_name_that_cannot_be_looked_up_leaves_the_others(photos: Path) -> None:
    long = "n" * 300 + ".png"
    report = edgeclf.predict(MODEL, ["cat.png", long])
    assert [photo.path for photo in report.predictions] == ["cat.png"]
    ((path, reason),) = [(one.path, one.reason) for one in report.unreadable]
    assert path == long
    assert "too long" in reason
    with pytest.raises(ModelError, match="cannot be read .file name too long"):
        edgeclf.predict("m" * 300 + ".tflite", "cat.png")


def test_subfolders_are_searched_when_asked(photos: Path) -> None:
    found = edgeclf.predict(MODEL, ".", recursive=True).predictions
    assert [photo.path for photo in found] == ["cat.png", "more/dog.png", "more/1/dog.png"]
    assert [photo.path for photo in edgeclf.predict(MODEL, ".").predictions] == ["cat.png"]
    (empty,) = edgeclf.predict(MODEL, photos / "more" / "@eaDir" / "..").unreadable or [None]
    assert empty is None
    (photos / "empty").mkdir()
    report = edgeclf.predict(MODEL, "empty")
    assert report.unreadable[0].reason == ("a folder without image files (--recursive searches its subfolders too)")


def test_arrays_bytes_and_lists_give_what_files_give(photos: Path) -> None:
    classifier = edgeclf.Classifier(MODEL)
    expected = classifier.predict("cat.png")
    content = Path("cat.png").read_bytes()
    for image in (decode("cat.png"), content, bytearray(content), memoryview(content), Path("cat.png")):
        assert classifier.predict(image) == expected
    several = classifier.predict(["cat.png", content, IMAGES[1]], top=1)
    assert [len(prediction.labels) for prediction in several] == [1, 1, 1]
    assert several[0].labels == several[1].labels == expected.labels[:1]
    assert classifier.predict(Path().glob("*.png")) == (expected,)
    assert classifier.predict([]) == ()
    bare = edgeclf.Classifier(tflite_models.FOLDER / "float_0_1.tflite")
    assert [int(p.labels[0].label) for p in bare.predict(list(IMAGES[:40]))].count(0) < 40
    assert bare.input_range is not None
    assert bare.input_range.scores is not None


def test_other_things_are_refused_with_what_is_expected() -> None:
    classifier = edgeclf.Classifier(MODEL)
    with pytest.raises(ImageError, match="expected a path, bytes, .* or a PIL image, got NoneType"):
        classifier.predict(None)  # type: ignore[call-overload]
    with pytest.raises(ImageError, match=r"expected uint8\[H, W, 3\] RGB pixels, got uint8\[200, 16, 16, 3\]"):
        classifier.predict(IMAGES)
    with pytest.raises(ImageError):
        classifier.predict(b"not an image")
    stranger = SimpleNamespace(mode="F", getexif=dict, convert=None, transpose=None)
    with pytest.raises(ImageError, match="PIL image of mode RGB or L, got mode 'F'"):
        classifier.predict(stranger)  # type: ignore[call-overload]


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "P", "1", "I;16"])
@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
def test_a_pil_image_gives_what_its_file_gives(mode: str, orientation: int, tmp_path: Path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    from edgeclf.inference.images import decode_any

    gray = IMAGES[7][:, :10, 0]
    if mode == "I;16":
        picture = image_module.fromarray(gray.astype(np.uint16) * 257)
    else:
        picture = image_module.fromarray(np.stack([gray, 255 - gray, gray], axis=-1)).convert(mode)
    exif = picture.getexif()
    exif[0x0112] = orientation
    stored = io.BytesIO()
    picture.save(stored, "PNG", exif=exif)
    (tmp_path / "x.png").write_bytes(stored.getvalue())
    opened = image_module.open(tmp_path / "x.png")
    found, expected = decode_any(opened), decode(tmp_path / "x.png")
    rgb = np.repeat(found[..., None], 3, axis=-1) if found.ndim == 2 else found[..., :3]
    assert np.array_equal(rgb, expected)


def test_annotated_copies_are_saved(photos: Path) -> None:
    report = edgeclf.predict(MODEL, ".", recursive=True, save="labelled/here")
    assert [photo.saved for photo in report.predictions] == [
        "labelled/here/cat.jpg",
        "labelled/here/dog.jpg",
        "labelled/here/dog-2.jpg",
    ]
    saved = decode("labelled/here/cat.jpg")
    # 16 pixels become 240 (15 times as many), and the bar comes below
    assert saved.shape == (240 + bar_height(240), 240, 3)
    enlarged = np.repeat(np.repeat(decode("cat.png"), 15, 0), 15, 1)
    assert np.abs(saved[:240].astype(int) - enlarged).mean() < 6
    blue, green, red = class_color(report.predictions[0].labels[0].index)
    assert np.abs(saved[250, 2].astype(int) - (red, green, blue)).max() < 30
    with pytest.raises(OutputError, match="labelled/here is not empty; choose another --save"):
        edgeclf.predict(MODEL, "cat.png", save="labelled/here")
    edgeclf.predict(MODEL, "cat.png", save="labelled/here", overwrite=True)
    with pytest.raises(OutputError, match=r"cat\.png is a file; --save takes a folder"):
        edgeclf.predict(MODEL, "cat.png", save="cat.png")
    with pytest.raises(OutputError, match=r"cat\.png/out: .*choose another place with --save"):
        edgeclf.predict(MODEL, "cat.png", save="cat.png/out")


def test_a_folder_for_copies_has_a_name_and_overwrite_has_a_folder(photos: Path) -> None:
    before = sorted(photos.iterdir())
    with pytest.raises(InputError, match=r"expected the path of a folder \(--save\), got an empty text"):
        edgeclf.predict(MODEL, "cat.png", save="", overwrite=True)
    with pytest.raises(InputError, match="--overwrite is for annotated copies: give --save FOLDER as well"):
        edgeclf.predict(MODEL, "cat.png", overwrite=True)
    assert sorted(photos.iterdir()) == before


@pytest.mark.parametrize("model", [str(MODEL), "digits+digits-copy"])
@pytest.mark.parametrize("top", [0, -1])
def test_at_least_one_label_is_returned(photos: Path, model: str, top: int) -> None:
    (photos / "digits-copy").mkdir()
    (photos / "digits-copy" / "int8.tflite").write_bytes(locate_model("digits").read_bytes())
    with pytest.raises(InputError, match=f"top must be 1 or more, got {top}"):
        edgeclf.predict(model, "cat.png", top=top)


def test_threads_that_no_machine_has_are_one_line(photos: Path) -> None:
    from edgeclf.cli.main import app

    result = CliRunner().invoke(app, ["predict", str(MODEL), "cat.png", "--threads", "99999999999"])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "threads must be from 1 to 256, got 99999999999" in result.stderr


def test_a_linked_folder_is_named_and_not_followed(photos: Path) -> None:
    (photos / "link").symlink_to(photos, target_is_directory=True)
    report = edgeclf.predict(MODEL, ".", recursive=True)
    assert len(report.predictions) == 3
    (passed,) = [one for one in report.unreadable if one.path == "./link" or one.path == "link"]
    assert passed.reason == "a link to a folder, which is not followed; name it itself"
    (photos / "only").mkdir()
    (photos / "only" / "link").symlink_to(photos, target_is_directory=True)
    (alone,) = edgeclf.predict(MODEL, "only", recursive=True).unreadable
    assert alone.path.endswith("link")


def test_copies_beside_the_originals_never_replace_them(photos: Path) -> None:
    edgeclf.predict(MODEL, "cat.png", save="labelled")
    original = (photos / "labelled" / "cat.jpg").read_bytes()
    report = edgeclf.predict(MODEL, "labelled/cat.jpg", save="labelled", overwrite=True)
    assert [photo.saved for photo in report.predictions] == ["labelled/cat-2.jpg"]
    assert (photos / "labelled" / "cat.jpg").read_bytes() == original


def test_the_command_says_what_it_saved(photos: Path) -> None:
    from edgeclf.cli.main import app

    arguments = ["predict", str(MODEL), ".", "--recursive", "--save", "out"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "wrote 3 annotated images to out"
    document = json.loads(CliRunner().invoke(app, [*arguments, "--overwrite", "--json"]).stdout)
    assert [photo["saved"] for photo in document["predictions"]] == ["out/cat.jpg", "out/dog.jpg", "out/dog-2.jpg"]
    assert document["label_source"] == "numbers"


def test_a_picture_of_any_shape_can_be_drawn_on() -> None:
    prediction = Prediction((LabelScore("猫 <b>" * 30, 0, 0.9), LabelScore("dog", 1, float("0.1"))))
    for height, width in ((1, 1), (1, 9000), (9000, 1), (300, 5000)):
        drawn = draw_prediction(np.zeros((height, width, 3), np.uint8), prediction)
        assert max(drawn.shape) <= LARGEST_SIDE + bar_height(LARGEST_SIDE)
        assert drawn.dtype == np.uint8
