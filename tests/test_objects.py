"""Point clouds and meshes: read with bounds, drawn from several directions, one label, content and split an object."""

from __future__ import annotations

import io
import shutil
import struct
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tflite_models

from edgeclf.artifact.ensemble_folder import EnsembleSource
from edgeclf.dataset import audit, list_source, load_dataset, probe
from edgeclf.dataset.types import SPLITS
from edgeclf.errors import DataError, ImageError, InputError, ModelError
from edgeclf.image.decoding import decode_bytes, load_image
from edgeclf.image.objects import draw_object
from edgeclf.image.point_files import MAX_POINTS, SAMPLED_POINTS, name_point_format, read_points
from edgeclf.image.shape import InputShape, count_views, views_fit
from edgeclf.image.views import FARTHEST, MARGIN, NEAREST, average_views, cut_views, draw_frame, draw_views
from edgeclf.image.views import list_directions as directions
from edgeclf.inference import ensemble_classifier
from edgeclf.inference.classifier import Classifier
from edgeclf.inference.ensemble_classifier import EnsembleClassifier
from edgeclf.streaming.camera.source import EndOfSourceError
from edgeclf.streaming.camera.sources.registry import choose_source

CORNERS = np.array([[x, y, z] for x in (0, 2) for y in (0, 1) for z in (0, 1)], np.float64)
TETRAHEDRON = "OFF\n4 4 6\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"
PLY = (
    "ply\nformat ascii 1.0\ncomment made by hand\nelement vertex 3\nproperty float x\nproperty float y\n"
    "property float z\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n"
    "0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
)


def npy(array: npt.NDArray[np.generic], version: tuple[int, int] = (1, 0)) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version)
    return stream.getvalue()


def stl(triangles: npt.NDArray[np.float32]) -> bytes:
    faces = b"".join(np.zeros(3, "<f4").tobytes() + one.astype("<f4").tobytes() + b"\0\0" for one in triangles)
    return b"\0" * 80 + struct.pack("<I", len(triangles)) + faces


def ball(radius: tuple[float, float, float], seed: int = 0, count: int = 400) -> npt.NDArray[np.float64]:
    points = np.random.default_rng(seed).normal(size=(count, 3))
    return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True) * radius)


def write_balls(folder: Path, each: int = 8) -> Path:
    for name, radius in (("flat", (1.0, 1.0, 0.2)), ("long", (0.2, 0.2, 1.0))):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            (folder / name / f"{number}.npy").write_bytes(npy(ball(radius, number)))
    return folder


def test_arrays_of_three_columns_are_points() -> None:
    for array in (CORNERS, CORNERS.astype(np.float32), CORNERS.astype(">i2"), np.asfortranarray(CORNERS)):
        assert np.array_equal(read_points(npy(array)), CORNERS)
    assert np.array_equal(read_points(npy(CORNERS, (2, 0))), CORNERS)


def test_a_mesh_becomes_points_spread_by_area() -> None:
    pytest.importorskip("trimesh")
    square = np.array([[[0, 0, 0], [4, 0, 0], [0, 4, 0]], [[4, 4, 0], [4, 0, 0], [0, 4, 0]]], np.float32)
    tiny = np.array([[[9, 9, 9], [9.1, 9, 9], [9, 9.1, 9]]], np.float32)
    points = read_points(stl(np.concatenate([square, tiny])))
    assert points.shape == (SAMPLED_POINTS, 3)
    flat = points[points[:, 2] == 0]
    assert len(flat) > 0.99 * SAMPLED_POINTS, "the tiny face has 0.03 % of the area"
    assert np.allclose(flat[:, :2].mean(axis=0), 2, atol=0.05)
    assert abs((flat[:, 0] + flat[:, 1] < 4).mean() - 0.5) < 0.02
    assert np.array_equal(points, read_points(stl(np.concatenate([square, tiny])))), "the seed is fixed"
    assert read_points(TETRAHEDRON.encode()).min() >= 0
    assert np.all(read_points(PLY.encode())[:, 2] == 0)
    rings = [[np.cos(turn), np.sin(turn), level] for level in range(3) for turn in np.arange(5) * 2 * np.pi / 5]
    rows = [*(f"{x:.6f} {y:.6f} {z}" for x, y, z in rings), "5 0 1 2 3 4", "5 5 6 7 8 9", "5 10 11 12 13 14"]
    pentagons = PLY[: PLY.index("0 0 0\n")].replace("vertex 3", "vertex 15").replace("face 1", "face 3")
    spread = read_points("\n".join([pentagons.rstrip(), *rows, ""]).encode())
    assert set(spread[:, 2]) == {0, 1, 2}, "no triangle has corners of two faces"
    assert (spread[:, 0] < -0.6).mean() == pytest.approx(0.110, abs=0.02), "all of a face is covered"
    cloud = PLY.replace("element face 1", "element face 0").replace("3 0 1 2\n", "")
    assert read_points(cloud.encode()).tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]


HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "text": (b"hello, world", "no known format"),
    "no point": (npy(np.empty((0, 3))), "0 points"),
    "four columns": (npy(np.zeros((5, 4))), "N x 3"),
    "one row of words": (npy(np.array([["a", "b", "c"]])), "N x 3"),
    "NaN": (npy(np.where(CORNERS == 2, np.nan, CORNERS)), "NaN"),
    "cut": (npy(CORNERS)[:-1], "is cut"),
    "too many": (npy(CORNERS[:1]).replace(b"(1, 3), }    ", b"(6000000, 3)}"), f"{MAX_POINTS:,}"),
    "negative": (npy(CORNERS).replace(b"(8, 3)", b"(-8,3)"), "N x 3"),
    "half a header": (npy(CORNERS).replace(b"(8, 3), }", b"(8, 3,   "), "cannot be read"),
    "a pickle": (npy(np.zeros((3, 3))).replace(b"'<f8'", b"'|O8'"), "N x 3"),
    "off without faces": (TETRAHEDRON[:60].encode(), "cut"),
    "off of a million": (TETRAHEDRON.replace("4 4 6", "999999 4 6").encode(), "is cut"),
    "off of too many": (TETRAHEDRON.replace("4 4 6", "99999999999 4 6").encode(), "at most"),
    "off with a wrong corner": (TETRAHEDRON.replace("3 1 2 3", "3 1 2 7").encode(), "damaged|cannot be read"),
    "off of lines": (TETRAHEDRON.encode() + b"\n" * 20_000, "more lines"),
    "off with NaN": (TETRAHEDRON.replace("0 0 1\n", "0 0 nan\n").encode(), "NaN"),
    "off with infinity": (TETRAHEDRON.replace("0 0 1\n", "0 0 1e999\n").encode(), "NaN"),
    "ply without an end": (PLY[:100].encode(), "cut within its header"),
    "ply of a billion": (PLY.replace("vertex 3", "vertex 1000000000").encode(), "at most"),
    "ply with a hidden count": (PLY.replace("vertex 3", "vertex 1_000_000_000").encode(), "none of such a file"),
    "ply with a few more": (PLY.replace("vertex 3", "vertex 30").encode(), "is cut|cannot be read"),
    "ply of lines": (PLY.encode() + b"\r" * 20_000, "more lines"),
    "ply of faces with two corners": (PLY.replace("3 0 1 2", "2 0 1").encode(), "cannot be read"),
    "ply, a face of nothing": (PLY.replace("3 0 1 2", "3 0 0 0").encode(), "without area"),
    "stl of text, cut": (b"solid a\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\n", "is cut"),
    "stl of nothing": (b"\0" * 84, "cannot be read|no points|is cut|empty|points"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_cannot_be_read_has_a_reason(name: str) -> None:
    pytest.importorskip("trimesh")
    content, reason = HOSTILE[name]
    with pytest.raises(ImageError, match=reason) as caught:
        read_points(content)
    assert "\n" not in str(caught.value)


def test_without_the_library_the_install_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeclf.extras.installed", lambda module: False)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(3):
            (tmp_path / name / f"{number}.off").write_text(TETRAHEDRON.replace("1 0 0", f"1 0 0.{number}"))
    with pytest.raises(InputError, match=r'reading \.off files needs trimesh.*pip install "edgeclf\[3d\]"'):
        load_dataset(tmp_path, image_size=16, fit="views1")
    assert len(read_points(npy(CORNERS))) == 8, "arrays need no library"


def test_the_option_states_the_fit() -> None:
    pytest.importorskip("typer")
    from edgeclf.cli.fit_options import TRAINED_FIT, VIEWS
    from edgeclf.cli.options import Table
    from edgeclf.training.config import TrainConfig

    table = Table(lambda: TrainConfig, (TRAINED_FIT, VIEWS))
    assert table.read({"fit": None, "views": 12}) == {"fit": "views12"}
    with pytest.raises(InputError, match="--views cannot be combined with --fit"):
        table.read({"fit": "crop", "views": 12})
    with pytest.raises(InputError, match="from 1 to 64, got 0"):
        table.read({"fit": None, "views": 0})


def test_views_are_counted_by_their_names() -> None:
    assert [count_views(fit) for fit in ("views1", "views12", "stretch", "views0", "views65", "views", "views-1")] == [
        1, 12, 0, 0, 0, 0, 0,
    ]  # fmt: skip
    with pytest.raises(InputError, match="views must be from 1 to 64, got 65"):
        views_fit(65)
    assert InputShape(32, 48, "views3").stored.size == (3 * 32, 48)


@pytest.mark.parametrize("views", [1, 2, 3, 6, 12])
def test_directions_are_spread_over_the_sphere(views: int) -> None:
    found = directions(views)
    assert found.shape == (views, 3)
    assert np.allclose(np.linalg.norm(found, axis=1), 1)
    if views == 1:
        assert found.tolist() == [[0, 0, 1]]
    else:
        assert np.linalg.norm(found.mean(axis=0)) < 0.35
        assert (found @ found.T - 2 * np.eye(views)).max() < 0.95, "no two are alike"


def test_nearer_points_are_brighter_and_hide_those_behind() -> None:
    x, y = np.meshgrid(np.linspace(-1, 1, 60), np.linspace(-1, 1, 60))
    low = np.stack([x, y, np.full_like(x, -0.5)], axis=2).reshape(-1, 3)
    high = low[(abs(low[:, 0]) < 0.4) & (abs(low[:, 1]) < 0.4)] + [0, 0, 1.0]
    picture = draw_views(np.concatenate([low, high]), InputShape(64, 64, "views1"))
    assert picture.shape == (64, 64, 3)
    assert picture[0, 0, 0] == 0
    assert picture[32, 32, 0] > picture[32, 12, 0] >= FARTHEST
    assert len(np.unique(picture[26:38, 26:38])) == 1, "no hole shows what lies behind"


def test_pose_apart_from_rotation_does_not_matter() -> None:
    points, shape = ball((1.0, 0.5, 0.3)), InputShape(32, 32, "views6")
    moved = draw_views(points * 1024 + [0, 2048, -4096], shape)
    assert (abs(draw_views(points, shape).astype(int) - moved) > 1).mean() < 0.01
    huge = draw_views(points * 1e300, shape)
    assert (abs(draw_views(points, shape).astype(int) - huge) > 1).mean() < 0.01
    denser = np.concatenate([points, *[points[points[:, 0] > 0]] * 5])
    size = [np.argwhere(draw_views(one, InputShape(64, 64, "views1"))[..., 0]).mean(axis=0) for one in (points, denser)]
    assert abs(size[0] - size[1]).max() < 1, "more points on one side do not move it"
    with pytest.raises(ImageError, match="the same"):
        draw_views(np.ones((5, 3)), shape)


def test_the_object_fills_the_picture_from_all_sides() -> None:
    side = 64
    pictures = draw_views(ball((1.0, 1.0, 1.0), count=3000), InputShape(side, side, "views6"))
    for view in pictures.reshape(6, side, side, 3):
        rows = np.flatnonzero(view[..., 0].any(axis=1))
        assert rows[0] >= side * MARGIN - 2
        assert rows[-1] - rows[0] > 0.85 * side
        assert view[side // 2, side // 2, 0] > 0.9 * NEAREST


def test_a_depth_frame_is_drawn_like_a_cloud_from_above() -> None:
    """A ball of 0.2 m, 1 m away: a camera with a field of view of 60 degrees sees its near half."""
    height, width = 240, 320
    rows, columns = np.mgrid[:height, :width]
    x, y = ((values - middle) * (2 * np.tan(np.pi / 6) / width) for values, middle in ((columns, 159.5), (rows, 119.5)))
    inside = np.hypot(x, y) < 0.2
    depth = np.where(inside, 1000 * (1 - np.sqrt(np.maximum(0.04 - x**2 - y**2, 0))), 0).astype(np.uint16)
    frame = draw_frame(depth, InputShape(32, 32, "views1"))
    whole = ball((1.0, 1.0, 1.0), count=20_000)
    cloud = draw_views(whole, InputShape(32, 32, "views1"))
    seen, expected = frame[..., 0] > 0, cloud[..., 0] > 0
    assert (seen != expected).mean() < 0.1
    both = seen & expected
    assert abs(frame[both].astype(int) - cloud[both]).mean() < 12
    with pytest.raises(ImageError, match="no depths"):
        draw_frame(np.zeros((9, 9), np.uint16), InputShape(32, 32, "views1"))


def test_photos_and_objects_are_not_mistaken_for_each_other() -> None:
    _, photo = cv2.imencode(".png", np.full((9, 9, 3), 200, np.uint8))
    shape = InputShape(16, 16, "views2")
    with pytest.raises(ImageError, match="it is a picture .*depth frame"):
        draw_object(photo.tobytes(), shape)
    with pytest.raises(ImageError, match="point cloud or mesh"):
        decode_bytes(TETRAHEDRON.encode())
    _, frame = cv2.imencode(".png", np.arange(900, 1062, dtype=np.uint16).reshape(9, 18))
    assert draw_object(frame.tobytes(), shape).shape == (16, 16, 3), "a frame is one view"


def test_views_are_cut_and_averaged_by_object() -> None:
    stacked = np.arange(2 * 6 * 2 * 3, dtype=np.uint8).reshape(2, 6, 2, 3)
    views = cut_views(stacked, 2)
    assert views.shape == (6, 2, 2, 3)
    assert np.array_equal(views[4], stacked[1, 2:4])
    assert cut_views(stacked, 6) is stacked
    scores = np.array([[1, 0], [0, 1], [0.5, 0.5], [0, 1], [0, 1], [0, 1]], np.float32)
    assert average_views(scores, 2).tolist() == [[0.5, 0.5], [0, 1]]


def test_views_of_an_object_and_a_single_frame_decide_the_input_range_together() -> None:
    classifier = Classifier(tflite_models.FOLDER / "float_0_1.tflite", fit="views6")
    side, random = classifier.height, np.random.default_rng(0)
    stacked, frame = (random.integers(0, 256, (count * side, side, 3), dtype=np.uint8) for count in (6, 1))
    both = classifier.predict([stacked, frame])
    assert len(both) == 2
    given = Classifier(tflite_models.FOLDER / "float_0_1.tflite", fit="views6", input_range=(0, 1))
    assert classifier.input_range is not None
    assert [one.label for one in given.predict([stacked, frame])] == [one.label for one in both]


def test_members_that_draw_objects_otherwise_are_no_ensemble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects are drawn once for all members, and what was drawn cannot be resized."""
    fits = {"a.tflite": "views6", "b.tflite": "views3", "c.tflite": "views6"}
    for name in fits:
        shutil.copy(tflite_models.FOLDER / "float_0_1.tflite", tmp_path / name)
    # these files do not state their fit, which those of edgeclf do
    monkeypatch.setattr(
        ensemble_classifier, "Classifier", lambda file, **given: Classifier(file, fit=fits[file.name], **given)
    )
    same, other = (tuple(tmp_path / f"{name}.tflite" for name in pair) for pair in ("ac", "ab"))
    assert EnsembleClassifier(EnsembleSource("a+c", same)).input_shape == InputShape(16, 16, "views6")
    with pytest.raises(ModelError, match=r"takes 16x16 pixels by views6, and .*b\.tflite takes 16x16 pixels by views3"):
        EnsembleClassifier(EnsembleSource("a+b", other))


def test_all_views_of_an_object_are_in_one_split(tmp_path: Path) -> None:
    source = write_balls(tmp_path / "balls")
    again = source / "flat" / "copy.npy"
    again.write_bytes((source / "flat" / "0.npy").read_bytes())
    data = load_dataset(source, image_size=16, fit="views3")
    assert sum(split.objects for split in data.splits.values()) == 17
    assert data.splits["test"].images.shape[1:] == (48, 16, 3)
    views = data.train_on_views()
    train, objects = views.splits["train"], data.splits["train"]
    assert len(train) == 3 * len(objects)
    assert train.objects == len(objects)
    assert views.split_sizes() == data.split_sizes()
    assert np.array_equal(train.images[:3].reshape(48, 16, 3), objects.images[0])
    assert np.array_equal(train.labels, np.repeat(objects.labels, 3))
    assert np.array_equal(objects.images[0], load_image(objects.paths[0], 16, 16, "views3")), "as a device draws it"
    contents = [set(views.splits[name].hashes) for name in SPLITS]
    assert not contents[0] & contents[1] | contents[0] & contents[2] | contents[1] & contents[2]
    assert load_dataset(source, image_size=16, fit="views1").fingerprint == data.fingerprint
    assert load_dataset(source, image_size=16, fit="views3").load.images_decoded == 0


def test_folders_are_of_photos_or_of_objects(tmp_path: Path) -> None:
    source = write_balls(tmp_path / "balls", 4)
    assert list_source(source).holds_objects
    assert probe(source).holds_objects
    assert not audit(source).problems
    with pytest.raises(DataError, match="holds point clouds or meshes"):
        load_dataset(source, image_size=16)
    for name in ("flat", "long"):
        cv2.imwrite(str(source / name / "photo.png"), np.zeros((20, 20, 3), np.uint8))
    listing = list_source(source)
    assert [Path(item.path).name for item in listing.items] == ["photo.png"] * 2, "arrays beside photos are passed over"
    with pytest.raises(DataError, match="holds photos"):
        load_dataset(listing, image_size=16, fit="views3")


def test_a_damaged_object_is_left_out_and_named(tmp_path: Path) -> None:
    source = write_balls(tmp_path / "balls", 5)
    (source / "flat" / "bad.npy").write_bytes(npy(CORNERS)[:-9])
    data = load_dataset(source, image_size=16, fit="views2")
    assert [(Path(one.path).name, "is cut" in one.reason) for one in data.unreadable] == [("bad.npy", True)]


class Intruder:
    """Writes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_no_pickle_is_ever_opened(tmp_path: Path) -> None:
    array, stream = np.empty((3, 3), object), io.BytesIO()
    array[:] = Intruder(tmp_path / "written")
    np.save(stream, array, allow_pickle=True)
    with pytest.raises(ImageError, match="N x 3"):
        read_points(stream.getvalue())
    assert not (tmp_path / "written").exists()
    np.load(io.BytesIO(stream.getvalue()), allow_pickle=True)
    assert (tmp_path / "written").exists(), "it would have been"


def test_depth_frames_are_a_source(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:60, :80]
    frame = np.where(np.hypot(rows - 30, columns - 40) < 20, 900 + columns, 0).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "1.png"), frame)
    cv2.imwrite(str(tmp_path / "2.png"), np.zeros((9, 9, 3), np.uint8))
    lines: list[str] = []
    source = choose_source(f"depth:{tmp_path}", every_frame=True, log=lines.append)
    source.open()
    shot = source.read()
    assert shot.pixels.shape == (256, 256, 3)
    assert shot.pixels[128, 90].max() > shot.pixels[128, 160].max() > 0, "the left side is nearer"
    with pytest.raises(EndOfSourceError):
        source.read()
    assert len(lines) == 1
    assert "depth frame" in lines[0]
    with pytest.raises(InputError, match="16-bit PNGs"):
        choose_source("depth:/nowhere")


@pytest.mark.parametrize("kind", ["<U0", "|S0", "|V0", "<U4", "<c8"])
def test_an_array_of_no_numbers_is_refused(kind: str) -> None:
    with pytest.raises(ImageError, match="expected an array of N x 3 numbers"):
        read_points(npy(np.zeros((5, 3), kind)))


def test_a_long_comment_in_front_takes_no_time() -> None:
    assert name_point_format(b"# " * 1000 + b"x") is None
    assert name_point_format(b"# a comment\n\n# another # one\nOFF\n4 4 6\n") == "OFF"
