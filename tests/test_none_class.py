"""The class `none` is trained and counted like any other, and shown as «unknown», wherever the model is from."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from color_photos import photo, write_folders, write_photo
from linear_models import write_color_model
from live_results import picture, wait_for
from typer.testing import CliRunner

import edgeclf
from edgeclf.artifact.none_class import describe_none_classes, find_none_classes, hide_none_classes
from edgeclf.cli.main import app
from edgeclf.dataset.loading import list_source, load_dataset
from edgeclf.errors import DataError
from edgeclf.inference.classifier import Classifier, LabelScore
from edgeclf.streaming.collection.collect import CollectionRule, Collector
from edgeclf.streaming.collection.index import read_index
from edgeclf.streaming.loop.result import Result
from edgeclf.streaming.loop.settings import Smoothing
from edgeclf.streaming.outputs.annotate import annotate
from edgeclf.streaming.supervision.problems import Problems

COLORS = np.eye(3)
NAMES = ("red", "none", "blue")
RAW = (0.0, 255.0)
NOTE = "class 'none' stands for none of these: it is trained and counted like any class, and predict and live show "
OTHER_NAME = "--labels FILE gives it another name"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A network from elsewhere that knows red, none of these (green) and blue; the list beside it names them so."""
    (tmp_path / "labels.txt").write_text("\n".join(NAMES))
    return write_color_model(tmp_path / "colors.tflite", COLORS)


def run_json(*arguments: str | Path) -> Any:
    done = CliRunner().invoke(app, [*map(str, arguments), "--json", "--quiet"], prog_name="edgeclf")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (("cat", "none"), ("none",)),
        (("None", "cat", "NONE"), ("None", "NONE")),
        (("cat", "nones", "no", "unknown", "none of these"), ()),
        (("none", "none"), ()),
        ((), ()),
    ],
)
def test_the_name_alone_decides_in_small_letters_or_capitals(labels: tuple[str, ...], found: tuple[str, ...]) -> None:
    assert find_none_classes(labels) == found
    shown = hide_none_classes(labels)
    assert len(shown) == len(labels)
    assert all((one == "unknown" and name in found) or one == name for one, name in zip(shown, labels, strict=True))
    assert bool(describe_none_classes(labels)) == bool(found)


def test_predict_shows_unknown_and_keeps_the_order_of_the_outputs(model: Path, tmp_path: Path) -> None:
    green = write_photo(tmp_path / "green.png", photo(COLORS[1]))
    (found,) = run_json("predict", model, green, "--top", "3", "--input-range=0,255")["predictions"]
    assert (found["labels"][0]["label"], found["labels"][0]["index"]) == ("unknown", 1)
    assert found["labels"][0]["probability"] > 0.9
    assert sorted(one["label"] for one in found["labels"]) == ["blue", "red", "unknown"]
    classifier = Classifier(model, input_range=RAW)
    assert classifier.labels == NAMES
    assert any(note.startswith(NOTE) and note.endswith(OTHER_NAME) for note in classifier.notes)
    named = Classifier(model, input_range=RAW, labels=("red", "green", "blue"))
    assert named.predict(green).labels[0].label == "green"
    assert not any("none of these" in note for note in named.notes)


def test_inspect_notes_it(model: Path) -> None:
    assert [note for note in edgeclf.inspect(model).notes if note.startswith(NOTE)]


def test_live_shows_unknown_in_its_place_and_calls_it_no_change(model: Path, tmp_path: Path) -> None:
    shots = tmp_path / "shots"
    for number, color in enumerate([0, 0, 1, 1, 2, 2]):
        write_photo(shots / f"{number}.png", photo(COLORS[color], number, 48))
    lines, events = io.StringIO(), tmp_path / "events"
    edgeclf.live(
        model,
        camera=str(shots),
        every_frame=True,
        window=False,
        smoothing=Smoothing(seconds=0),
        input_range=RAW,
        json_lines=lines,
        on_change=f"tee -a {events}",
    )
    results = [json.loads(line) for line in lines.getvalue().splitlines()]
    expected = ["red", "red", "unknown", "unknown", "blue", "blue"]
    assert [one["label"] for one in results] == expected
    assert [one["raw_label"] for one in results] == expected
    assert results[2]["probability"] > 0.9, "that of the best class, as below the threshold"
    assert "none" not in {json.loads(line)["label"] for line in events.read_text().splitlines()}


def of_none(number: int = 0) -> Result:
    top = (LabelScore("unknown", 1, 0.4), LabelScore("red", 0, 0.35), LabelScore("blue", 2, 0.25))
    return Result(number, "2026-01-01T00:00:00+00:00", "unknown", 0.4, "unknown", 0.4, 12.0, 3.0, 30.0, top)


def test_it_has_no_colour_and_can_be_sorted_into(tmp_path: Path) -> None:
    pixels = np.full((240, 320, 3), 90, np.uint8)
    drawn = annotate(picture(pixels), of_none())
    bar = drawn[-2, 5].astype(int)
    assert bar.max() - bar.min() == 0, "gray: the colour of what is not recognized"
    collector = Collector(tmp_path / "seen", Problems(), labels=NAMES, rule=CollectionRule(random_fraction=0))
    collector.take(of_none(), picture(photo(COLORS[1], 1, 64)))
    wait_for(lambda: not collector.busy)
    collector.close()
    (entry,) = read_index(tmp_path / "seen" / "unsorted")
    assert (entry.label, entry.raw_label) == ("unknown", "unknown")
    assert list(entry.scores) == ["none", "red", "blue"], "the folders that it can be sorted into"


def test_a_data_set_notes_it_and_one_class_beside_it_suffices(tmp_path: Path) -> None:
    data = write_folders(tmp_path / "data", ("cat", "none"), COLORS)
    listing = list_source(data)
    assert [note for note in listing.notes if note.startswith(NOTE)]
    assert load_dataset(listing, image_size=8).class_names == ("cat", "none")
    table = tmp_path / "table.csv"
    places = [(split, name) for split in ("train", "test") for name in ("cat", "none")]
    rows = [f"data/{split}/{name}/0.png,{name.title()},{split}" for split, name in places]
    table.write_text("\n".join(["path,label,split", *rows]))
    assert any(note.startswith(NOTE.replace("'none'", "'None'")) for note in list_source(table).notes)
    alone = write_folders(tmp_path / "alone", ("cat",), COLORS)
    with pytest.raises(DataError, match="of which one may be called none: what is in none of the others"):
        load_dataset(alone, image_size=8)


def test_bench_counts_it_as_a_class_and_notes_that(model: Path, tmp_path: Path) -> None:
    data = write_folders(tmp_path / "data", NAMES, COLORS)
    report = run_json("bench", model, "--data", data, "--input-range=0,255", "--runs", "3")
    assert report["data"]["class_names"] == ["blue", "none", "red"]
    assert report["models"][0]["top1"] == 1.0, "12 of 12, those of none among them"
    assert any(note.startswith(NOTE) for note in report["notes"])


@pytest.mark.slow
def test_a_model_file_records_it(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    from edgeclf.training.networks import NetworkSettings
    from edgeclf.training.networks.building import build_network

    build_network("cnn", NetworkSettings(image_size=16, classes=2)).save(tmp_path / "net.keras")
    (made,) = edgeclf.compress(
        tmp_path / "net.keras", float32=True, labels=("cat", "none"), out=tmp_path, speed=False
    ).models
    report = edgeclf.inspect(made.path)
    assert report.labels == ("cat", "none"), "outputs and labels stay aligned"
    assert report.provenance is not None
    assert report.provenance["data"]["none_classes"] == ["none"]
    assert [note for note in report.notes if note.startswith(NOTE)]
    classifier = Classifier(made.path)
    assert not any("none of these" in note for note in classifier.notes), "nothing is assumed"
    shown = {one.index: one.label for one in classifier.predict(photo(COLORS[0])).labels}
    assert shown == {0: "cat", 1: "unknown"}
