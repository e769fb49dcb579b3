"""`train --from RUN`: what is taken over, what is new, what is refused, and what both networks do on unseen photos."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from color_photos import hues, photo, write_photo
from rich.console import Console
from typer.testing import CliRunner

from edgeclf.artifact.run_folder import RunFolder
from edgeclf.cli.main import app
from edgeclf.cli.rendering_growth import render_growth
from edgeclf.cli.rendering_host import render_training
from edgeclf.dataset import load_dataset
from edgeclf.dataset.known_images import (
    KnownImages,
    choose_unseen,
    collect_images,
    read_images,
    shorten,
    write_images,
)
from edgeclf.dataset.splitting import position
from edgeclf.errors import InputError, ModelError
from edgeclf.measure.paired_interval import difference_interval
from edgeclf.training import growing
from edgeclf.training.config import TrainConfig
from edgeclf.training.growth import GrowthReport, compare_networks, find_growth
from edgeclf.training.parent_run import ParentRun, choose_source, find_parent
from edgeclf.training.run_record import describe_optimism

CLASSES = ("blue", "none", "red")
COLORS = hues(6)


def write_class(top: Path, name: str, color: int, count: int, first: int = 0) -> Path:
    """`top/name` with photos of a colour, all different."""
    for number in range(first, first + count):
        write_photo(top / name / f"{number}.png", photo(COLORS[color], 1000 * color + number, 16))
    return top


def make_data(top: Path, counts: dict[str, int], *, splits: tuple[str, ...] = ()) -> Path:
    for color, (name, count) in enumerate(counts.items()):
        for place, split in enumerate(splits or ("",)):
            write_class(top / split, name, color, count, 100 * place)
    return top


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_data(tmp_path / "photos", dict.fromkeys(CLASSES, 20))


def folder_of(path: Path) -> RunFolder:
    path.mkdir(parents=True, exist_ok=True)
    return RunFolder(path, must_exist=False)


def refuse(*arguments: str | Path) -> str:
    """Run the command, which has to be refused in one line before TensorFlow is imported; return the line."""
    done = CliRunner().invoke(app, ["train", *map(str, arguments)], prog_name="edgeclf")
    lines = [line for line in done.output.splitlines() if line]
    assert (done.exit_code, len(lines)) == (2, 1), done.output
    return lines[0]


def test_a_run_records_its_images_by_content(photos: Path, tmp_path: Path) -> None:
    data, folder = load_dataset(photos, image_size=16), folder_of(tmp_path / "run")
    assert read_images(folder) is None
    write_images(folder, data)
    lines = folder.images_path.read_text().splitlines()
    assert (lines[0], len(lines)) == ("split,class,content", 1 + 60)
    assert read_images(folder) == collect_images(data)
    for text, message in (
        ("a,b\n", "expected the columns split, class, content"),
        ("split,class,content\ntrain,red,xyz\n", "line 2: expected a split, a class and 16 hexadecimal digits"),
        ('split,class,content\n"train', "cannot be read as a table of images"),
    ):
        folder.images_path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_images(folder)


def test_what_is_new_is_counted_by_content_and_class(photos: Path) -> None:
    before = load_dataset(photos, image_size=16)
    write_class(photos, "red", 2, 5, 500)
    write_class(photos, "cyan", 3, 6)
    (photos / "none" / "0.png").rename(photos / "blue" / "moved.png")
    shutil.copy(photos / "red" / "1.png", photos / "red" / "copy.png")
    now = load_dataset(photos, image_size=16)
    counts = {name: 20 for name in CLASSES}
    found = find_growth("runs/a", CLASSES, counts, collect_images(before), now)
    changes = {name: (one.before, one.now, one.added, one.removed) for name, one in found.photos.items()}
    assert changes == {"blue": (20, 21, 1, 0), "none": (20, 19, 0, 1), "red": (20, 25, 5, 0), "cyan": (0, 6, 6, 0)}
    assert (found.classes_added, found.classes_removed, found.known_by) == (("cyan",), (), "record")
    assert found.describe() == (
        "grows from runs/a: 12 new photos (blue 1, red 5, cyan 6); 1 removed (none 1)",
        "new classes: cyan",
    )
    unrecorded = find_growth("runs/a", (*CLASSES, "old"), {**counts, "old": 4}, None, now)
    assert (unrecorded.known_by, unrecorded.classes_removed) == ("split rule", ("old",))
    assert unrecorded.photos["red"].added is None
    assert any("did not record its photos" in line for line in unrecorded.describe())
    same = find_growth("runs/a", CLASSES, counts, collect_images(before), before)
    assert same.describe() == ("grows from runs/a: the photos are the same",)


def test_only_images_that_neither_was_trained_on_are_compared(photos: Path, tmp_path: Path) -> None:
    data = load_dataset(photos, image_size=16)
    everything = np.arange(len(data.splits["test"]))
    assert np.array_equal(choose_unseen(data, "test", collect_images(data), ()), everything)
    assert np.array_equal(choose_unseen(data, "test", None, ()), everything), "none of 20 photos a class is on loan"
    # An earlier run that trained on what is the test split now.
    seen = KnownImages({"train": {"red": frozenset(map(shorten, data.splits["test"].hashes[:3]))}})
    assert np.array_equal(choose_unseen(data, "test", seen, ()), everything[3:])
    # Where the source has splits of its own, a photo that lies in train too is left out as well.
    own = make_data(tmp_path / "own", dict.fromkeys(CLASSES, 4), splits=("train", "validation", "test"))
    shutil.copy(own / "train" / "red" / "0.png", own / "test" / "red" / "again.png")
    split = load_dataset(own, image_size=16)
    assert len(split.splits["test"]) == 13
    assert len(choose_unseen(split, "test", None, ("train", "validation", "test"))) == 12


def test_photos_that_went_while_a_run_trained_move_no_others(photos: Path) -> None:
    from edgeclf.training.growing import find_again

    before = load_dataset(photos, image_size=16)
    split = before.splits["test"]
    gone = split.paths[2]
    (photos / gone).unlink()
    write_class(photos, "blue", 0, 3, 700)
    later = load_dataset(photos, image_size=24).splits["test"]
    rows = np.array([0, 2, 3, 5])
    kept, places = find_again(rows, split, later)
    assert kept.tolist() == [0, 3, 5]
    assert [later.hashes[place] for place in places] == [split.hashes[row] for row in (0, 3, 5)]
    assert find_again(rows, split, None)[0].tolist() == []


def test_the_rule_of_the_split_leaves_out_what_is_on_loan(tmp_path: Path) -> None:
    # Three photos a class: each split gets one, wherever their positions are.
    few = make_data(tmp_path / "few", dict.fromkeys(CLASSES, 3))
    data = load_dataset(few, image_size=16)
    chosen = choose_unseen(data, "test", None, ())
    positions = [position(content, data.split_seed) for content in data.splits["test"].hashes]
    assert chosen.tolist() == [row for row, place in enumerate(positions) if place < 0.3]
    assert len(chosen) < 3, "at least one of these nine stands elsewhere by its position"


def test_both_networks_are_compared_class_by_class(photos: Path) -> None:
    data = load_dataset(photos, image_size=16)
    labels = data.splits["test"].labels
    rows = np.arange(len(labels))
    red, blue = labels == 2, labels == 0
    earlier = np.where(red, -1, labels)  # it does not know red
    new = np.where(blue, 1, labels)  # it takes blue for none
    found = compare_networks(data, "test", rows, (earlier, new), ("blue", "none"))
    assert found is not None
    total = len(labels)
    assert (found.all.images, found.left_out) == (total, 0)
    assert found.all.earlier_top1 == pytest.approx(1 - red.mean())
    assert found.all.difference == pytest.approx((int(red.sum()) - int(blue.sum())) / total)
    assert found.all.difference_interval == difference_interval(int(blue.sum()), int(red.sum()), total)
    assert found.known is not None
    assert found.known.images == total - red.sum()
    assert found.known.difference == pytest.approx(-blue.sum() / (total - red.sum()))
    by_class = {cost.label: (cost.baseline_top1, cost.top1) for cost in found.per_class}
    assert by_class == {"blue": (1.0, 0.0), "none": (1.0, 1.0), "red": (0.0, 1.0)}
    assert compare_networks(data, "test", rows[:0], (earlier[:0], new[:0]), ("blue",)) is None


def test_what_cannot_be_grown_is_refused_in_one_line(photos: Path, tmp_path: Path) -> None:
    missing, empty, file = tmp_path / "missing", tmp_path / "empty", tmp_path / "net.keras"
    empty.mkdir()
    file.touch()
    expected = "--from expected the run folder of an earlier training, got"
    assert f"{expected} no such folder" in refuse(photos, "--from", missing)
    assert f"{expected} a folder without run.json" in refuse(photos, "--from", empty)
    assert f"{expected} a file; a file is given to --weights" in refuse(photos, "--from", file)
    both = refuse(photos, "--from", missing, "--weights", file)
    assert "so --weights" in both
    assert "leave one of them out" in both
    run = tmp_path / "run"
    for record, message in (
        ({"finished": False, "config": {"model": "cnn"}}, "the run is not finished; finish it with edgeclf train"),
        ({"finished": True, "models": []}, "its run.json is not that of edgeclf train"),
        ({"finished": True, "config": {"model": "cnn"}, "data": {"class_names": ["a", "b"]}}, "is not that of edgeclf"),
    ):
        folder_of(run).write_record(record)
        assert message in refuse(photos, "--from", run, "--out", tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "resnet8"}, "model is cnn in .*, and the network that --from starts from stays what it is"),
        ({"width": 0.5}, "width is None in"),
        ({"l2": 0.1}, "l2 is 0.0 in"),
        ({"progressive": True}, "progressive is for training from scratch only"),
        ({"board": "mcu", "max_size": 50.0}, "--for and --max-size would choose a network, and --from keeps that of"),
        ({"image_size": 32}, "takes images of 16×16 pixels only, got 32×32 pixels; leave --image-size out"),
    ],
)
def test_settings_of_another_network_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    own = TrainConfig(model="cnn", image_size=16, epochs=4, augment="light", seed=7, learning_rate=0.3, name="mine")
    parent = ParentRun(RunFolder(tmp_path, must_exist=False), own.to_dict(), ("a", "b"), 1, {})
    with pytest.raises(InputError, match=message):
        parent.complete_config(TrainConfig(**changes))
    taken = parent.complete_config(TrainConfig(augment="strong", model="cnn"))
    assert (taken.model, taken.image_size, taken.augment, taken.seed) == ("cnn", 16, "strong", 7)
    assert (taken.epochs, taken.learning_rate, taken.name) == (None, None, None), "these are not taken over"
    assert parent.complete_config(TrainConfig(), frozenset({"seed", "augment"})).seed == 0, "named as its default"
    assert parent.complete_config(TrainConfig(), frozenset({"augment"})).augment == "light", "None leaves it open"
    wide = dataclasses.replace(parent, config={**own.to_dict(), "image_size": [16, 24]})
    assert wide.complete_config(TrainConfig(image_size=(16, 24))).image_size == (16, 24), "its own size may be named"


def test_the_next_run_has_the_next_name(tmp_path: Path) -> None:
    def next_of(name: str, **config: Any) -> str:
        return ParentRun(RunFolder(tmp_path / name, must_exist=False), config, (), 1, {}).next_name()

    assert next_of("photos") == "photos-2"
    assert next_of("photos-2024") == "photos-2024-2", "a number that the user gave is no count"
    assert next_of("photos-2", from_run="runs/photos") == "photos-3"


class Interrupted(Exception):
    pass


class InterruptSecondEpoch:
    def on_epoch_end(self, epoch: int, metrics: Mapping[str, float]) -> bool | None:
        if epoch == 2:
            raise Interrupted
        return None


QUICK: dict[str, Any] = {
    "model": "cnn",
    "image_size": 16,
    "batch_size": 16,
    "augment": "none",
    "mixed_precision": False,
}


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that knows blue, none and red, and its photos beside it."""
    pytest.importorskip("tensorflow")
    from edgeclf import train

    top = tmp_path_factory.mktemp("first")
    train(make_data(top / "photos", dict.fromkeys(CLASSES, 20)), out=top / "run", epochs=3, **QUICK)
    return top / "run"


@pytest.fixture
def grown_photos(first_run: Path, tmp_path: Path) -> Path:
    """Its photos and more: five of red, and the class cyan, which stands between the others in their order."""
    photos = tmp_path / "more"
    shutil.copytree(first_run.parent / "photos", photos)
    return write_class(write_class(photos, "red", 2, 5, 500), "cyan", 3, 10)


@pytest.mark.slow
def test_all_of_the_network_and_the_rows_of_known_classes_are_kept(first_run: Path, grown_photos: Path) -> None:
    from edgeclf.training.growing import find_grown_start
    from edgeclf.training.networks import NetworkSettings

    parent = find_parent(TrainConfig(from_run=str(first_run)))
    assert parent is not None
    start, data = find_grown_start(parent, trust_model=False), load_dataset(grown_photos, image_size=16)
    assert data.class_names == ("blue", "cyan", "none", "red")
    # rates by the norm of the filters are no more for it than they were for a run whose weights had been folded
    folded = dataclasses.replace(parent, config={**parent.config, "norm_rates": False})
    assert [find_grown_start(one, trust_model=False).folded for one in (parent, folded)] == [False, True]
    made = start.transfer(NetworkSettings(16, 4, dropout=0.2), data).network
    images = data.splits["validation"].images[:].astype(np.float32)
    before, after = start.network.predict(images, verbose=0), made.predict(images, verbose=0)[:, [0, 2, 3]]
    assert np.allclose(before, after / after.sum(axis=1, keepdims=True), atol=1e-5), "the same, but for cyan"


@pytest.mark.slow
def test_a_run_grows_and_both_networks_are_compared(first_run: Path, grown_photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = CliRunner().invoke(
        app,
        ["train", *map(str, (grown_photos, "--from", first_run, "--out", out, "--epochs", 2, "--json"))],
        prog_name="edgeclf",
    )
    assert done.exit_code == 0, done.output
    assert "grows from" in done.stderr
    assert "15 new photos (red 5, cyan 10)" in done.stderr
    growth = json.loads(done.stdout)["growth"]
    record = json.loads((out / "run.json").read_text())
    assert record["report"]["growth"] == growth
    assert (growth["classes_added"], growth["classes_removed"], growth["known_by"]) == (["cyan"], [], "record")
    assert growth["photos"]["red"] == {"before": 20, "now": 25, "added": 5, "removed": 0}
    test, validation = growth["comparisons"]
    assert (test["split"], validation["split"]) == ("test", "validation")
    assert test["all"]["images"] == record["data"]["splits"]["test"]["images"]
    assert test["known"]["images"] == test["all"]["images"] - record["data"]["splits"]["test"]["per_class"]["cyan"]
    (cyan,) = (one for one in test["per_class"] if one["label"] == "cyan")
    assert cyan["baseline_top1"] == 0
    config = record["config"]
    assert [config[name] for name in ("model", "image_size", "batch_size", "augment")] == ["cnn", 16, 16, "none"]
    assert (config["from_run"], config["weights"]) == (str(first_run), "auto")
    assert (record["start"]["origin"], record["start"]["covers"]) == ("run", "network and classes")
    earlier = json.loads((first_run / "run.json").read_text())["data"]
    assert record["data"]["none_classes"] == earlier["none_classes"] == ["none"]
    assert (out / "labels.txt").read_text().splitlines() == ["blue", "cyan", "none", "red"]
    assert record["data"]["split_seed"] == earlier["split_seed"]
    # The same command once more is refused, as is writing over the run that it starts from.
    assert "holds a run already" in refuse(grown_photos, "--from", first_run, "--out", out)
    assert "is the run that --from starts from" in refuse(
        grown_photos, "--from", first_run, "--out", first_run, "--overwrite"
    )
    other = make_data(tmp_path / "other", {"cat": 4, "dog": 4})
    assert "knows blue, none, red, and other holds cat, dog: no class in common" in refuse(other, "--from", first_run)
    # What is printed is what is in the report.
    shown = CliRunner().invoke(app, ["train", str(grown_photos), "--out", str(out), "--resume"], prog_name="edgeclf")
    assert "cyan (new)" in shown.output
    assert "classes that both know" in shown.output
    assert "or this network was trained on" not in shown.output
    # where the test photos were among those of the earlier run, the test figure is no honest one
    whole = GrowthReport.from_dict(growth)
    data = load_dataset(grown_photos, image_size=16)
    assert describe_optimism(data, TrainConfig(), whole).endswith("; the test split is not")
    seen = dataclasses.replace(whole, left_out={"test": 1, "validation": 0})
    assert describe_optimism(data, TrainConfig(), seen).endswith("so it is optimistic")
    assert whole.left_out == {"test": 0, "validation": 0}
    console = Console(file=io.StringIO(), width=200)
    render_growth(console, dataclasses.replace(whole, comparisons=whole.comparisons[1:], left_out={"test": 24}))
    printed = console.file.getvalue()
    assert "or this network was trained on 24 test images" in printed
    assert "no test image is left; the validation images above" in printed


@pytest.mark.slow
def test_test_images_that_the_earlier_run_learned_from_are_counted_and_said_once(
    first_run: Path, tmp_path: Path
) -> None:
    from edgeclf import train

    earlier, photos = tmp_path / "earlier", first_run.parent / "photos"
    shutil.copytree(first_run, earlier)
    data = load_dataset(photos, image_size=16)
    swapped = {**data.splits, "train": data.splits["test"], "test": data.splits["train"]}
    write_images(RunFolder(earlier), dataclasses.replace(data, splits=swapped))
    report = train(photos, from_run=str(earlier), epochs=1, out=tmp_path / "run")
    tested = len(data.splits["test"])
    assert report.in_training == {"validation": 0, "test": tested}
    assert json.loads((tmp_path / "run" / "run.json").read_text())["data"]["in_training"] == report.in_training
    console = Console(file=io.StringIO(), width=200)
    render_training(console, report)
    printed = console.file.getvalue()
    assert printed.count(f"{tested} of {tested} test images were seen in training, too") == 1
    assert "or this network was trained on" not in printed


@pytest.mark.slow
def test_a_run_that_cannot_be_compared_with_the_earlier_one_is_finished(
    first_run: Path, grown_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(folder: object) -> None:
        raise InputError("images.csv: line 3 is no line of it")

    monkeypatch.setattr(growing, "read_history", damaged)
    out = tmp_path / "run"
    done = CliRunner().invoke(
        app, ["train", *map(str, (grown_photos, "--from", first_run, "--out", out, "--epochs", 1, "--json"))]
    )
    assert done.exit_code == 0, done.output
    assert "images.csv: line 3 is no line of it" in done.stderr
    growth = json.loads(done.stdout)["growth"]
    assert (growth["classes_added"], growth["comparisons"]) == (["cyan"], [])
    notes = json.loads(done.stdout)["notes"]
    assert any("images.csv: line 3" in note for note in notes)
    assert not any("the test split is not" in note for note in notes), "nobody knows what the earlier run had"
    assert json.loads((out / "run.json").read_text())["finished"]
    for weights in (out, out / "model.keras"):
        refused = refuse(grown_photos, "--weights", weights, "--out", out, "--overwrite")
        assert "belongs to the run that would be replaced" in refused


@pytest.mark.slow
def test_an_interrupted_run_that_grew_is_resumed(first_run: Path, grown_photos: Path, tmp_path: Path) -> None:
    import tf_keras

    from edgeclf import train

    def resume(source: Path) -> Any:
        return train(grown_photos, out=tmp_path / "cut", from_run=str(source), resume=True)

    with pytest.raises(Interrupted):
        train(grown_photos, out=tmp_path / "cut", from_run=str(first_run), epochs=3, callbacks=[InterruptSecondEpoch()])
    # The earlier run may lie elsewhere by now; its network may not be another one.
    moved = tmp_path / "moved"
    shutil.copytree(first_run, moved)
    network = tf_keras.models.load_model(moved / "model.keras", compile=False)
    network.set_weights([values * 1.01 for values in network.get_weights()])
    network.save(moved / "model.keras")
    with pytest.raises(InputError, match="the run began from run, and its network or classes in .* have changed"):
        resume(moved)
    shutil.copy(first_run / "model.keras", moved / "model.keras")
    (moved / "images.csv").unlink()  # as of a run of an earlier version
    report = resume(moved)
    assert (report.epochs, report.started_from) == (3, "run"), "its name goes with it"
    assert report.growth.known_by == "split rule"
    assert [one.split for one in report.growth.comparisons] == ["test", "validation"]
    assert type(report).from_json(report.to_json()) == report


@pytest.mark.slow
def test_its_data_are_the_default(first_run: Path) -> None:
    assert Path(choose_source(TrainConfig(from_run=str(first_run)))) == (first_run.parent / "photos").resolve()
    assert choose_source(TrainConfig()) == "digits"


@pytest.mark.slow
def test_a_network_that_is_not_that_of_the_run_is_refused(first_run: Path, grown_photos: Path, tmp_path: Path) -> None:
    import tf_keras

    from edgeclf.training.growing import find_grown_start

    layers = tf_keras.layers
    folder = tmp_path / "run"
    shutil.copytree(first_run, folder)

    def start_with(*more: Any) -> None:
        tf_keras.Sequential([tf_keras.Input((16, 16, 3)), *more]).save(folder / "model.keras")
        parent = find_parent(TrainConfig(from_run=str(folder)))
        assert parent is not None
        find_grown_start(parent, trust_model=False)

    scaled, pooled = layers.Rescaling(1 / 255), layers.GlobalAveragePooling2D()
    start_with(scaled, layers.Conv2D(4, 3), pooled, layers.Dense(3, "softmax"))
    with pytest.raises(ModelError, match="takes pixels of another normalization"):
        start_with(layers.Conv2D(4, 3), pooled, layers.Dense(3, "softmax"))
    with pytest.raises(ModelError, match="names 3 classes, but its network has 5 outputs"):
        start_with(scaled, layers.Conv2D(4, 3), pooled, layers.Dense(5, "softmax"))
    with pytest.raises(ModelError, match="is not a network of edgeclf train"):
        start_with(scaled, layers.Conv2D(4, 3), pooled, layers.Dense(3))
