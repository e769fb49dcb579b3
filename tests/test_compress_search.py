"""Searches for a budget on a real, tiny network: what is made, written and reported; a kill in the middle."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import colored_squares
import pytest
from colored_squares import SHORT
from command_line import edgeclf
from listener import Listener

from edgeclf import api
from edgeclf.artifact.provenance import integrity, read_provenance
from edgeclf.dataset.types import Dataset
from edgeclf.errors import InputError, OutputError
from edgeclf.measure.machine import describe_machine

pytest.importorskip("optuna")
pytest.importorskip("tensorflow_model_optimization")
from edgeclf.compression import CompressReport, Recipe
from edgeclf.compression.budget import making, means
from edgeclf.compression.pipeline import preparation

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data() -> Dataset:
    whole = colored_squares.dataset()
    return Dataset(
        whole.name, whole.source, whole.class_names, {**whole.splits, "test": colored_squares.split(20, 9)},
        whole.height, whole.width, whole.fingerprint, whole.split_seed,
    )  # fmt: skip


@pytest.fixture(scope="module")
def source(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("net") / "net.keras"
    colored_squares.network(data).save(path)
    return path


def run(source: Path, data: Dataset, out: Path, **keywords: Any) -> tuple[Any, Listener]:
    heard = Listener()
    settings = {"calibration": 30, "speed": False, **SHORT, **keywords}
    return api.compress(source, data=data, out=out, progress=heard, **settings), heard


def test_the_first_recipe_that_holds_is_written_and_the_rest_not_made(
    source: Path, data: Dataset, tmp_path: Path
) -> None:
    report, heard = run(source, data, tmp_path, max_drop=30, max_size=50_000)
    found = report.search
    assert (found.holds, found.picked.candidate.name, len(found.candidates)) == (True, "int8", 1)
    (model,) = report.models
    content = Path(model.path).read_bytes()
    assert found.path == model.path == str(tmp_path / "net-int8.tflite")
    assert integrity(content) == "verified"
    provenance = read_provenance(content)
    assert provenance is not None
    assert provenance.recipe["digest"] == found.picked.candidate.digest == model.digest
    stored = json.loads((tmp_path / "net-int8.json").read_text())
    assert Recipe.from_dict(stored["recipe"]).name == "int8"
    # the drop is that of the model's own figures, and the test split was looked at
    assert found.picked.drop == pytest.approx(-model.difference)
    assert found.picked.drop_interval == pytest.approx([-bound for bound in reversed(model.difference_interval)])
    assert found.test.images == 60
    assert found.provable_drop == pytest.approx(1.01 * 1.96 * 2**0.5 / 32, rel=0.01)
    assert any("30 validation images can prove a drop of 8.7" in one for one in heard.lines)
    assert CompressReport.from_json(report.to_json()) == report
    assert json.loads((tmp_path / "net-search.json").read_text())["picked"]["candidate"]["name"] == "int8"
    # the same model as that of the recipe alone
    plain = api.compress(source, data=data, out=tmp_path / "plain", recipes="int8", calibration=30, speed=False)
    assert Path(plain.models[0].path).read_bytes() == content
    # photos of other classes calibrate; nothing is judged by them, and nothing trained
    other, _ = run(source, data, tmp_path / "other", max_size=50_000, unlabelled=True)
    assert (other.search.holds, other.search.test, Path(other.search.path).is_file()) == (True, None, True)
    assert {one.name for one in other.search.refused} == {"qat", "shrink"}
    with pytest.raises(InputError, match="--max-drop needs labels that are the network's classes"):
        run(source, data, tmp_path / "other", max_drop=30, unlabelled=True)
    # beside a board's figures for the same file, the estimate is its time
    api.bench(model.path, out=tmp_path / "bench.json", runs=20)
    reported = json.loads((tmp_path / "bench.json").read_text())["models"][0]["latency_ms"]["median"]
    on_board, _ = run(
        source, data, tmp_path / "board", max_latency=2 * reported, board=str(tmp_path / "bench.json"), trials=0
    )
    assert on_board.search.holds
    assert on_board.search.picked.latency_ms == pytest.approx(reported)
    assert on_board.search.latency_from.startswith("an estimate: MACs times the time of")
    assert on_board.search.picked.candidate.cpu == ""


def test_reports_of_other_searches_stay_and_layers_are_measured_where_it_helps(
    source: Path, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(source, data, tmp_path, max_size=50_000)
    first = (tmp_path / "net-search.json").read_bytes()
    run(source, data, tmp_path, max_size=60_000)
    assert (tmp_path / "net-search.json").read_bytes() == first
    (second,) = tmp_path.glob("net-search-*.json")
    assert json.loads(second.read_text())["budget"]["max_size"] == 60_000
    kept = second.read_bytes()
    run(source, data, tmp_path, max_size=50_000)
    assert sorted(tmp_path.glob("net-search*.json")) == sorted([tmp_path / "net-search.json", second])
    assert second.read_bytes() == kept
    run(source, data, tmp_path, max_size=70_000, overwrite=True)
    assert json.loads((tmp_path / "net-search.json").read_text())["budget"]["max_size"] == 70_000
    # the drop holds, the size does not: no layer is kept in float for that
    monkeypatch.setattr(means, "measure_sensitivity", lambda *_, **__: pytest.fail("layers were measured"))
    small, _ = run(source, data, tmp_path / "small", max_drop=99, max_size=2000, hours=1e-6)
    assert not small.search.holds


def test_a_kept_candidate_with_a_time_of_another_processor_is_timed_again_and_not_made(
    source: Path, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(source, data, tmp_path, max_latency=1000.0)
    kept = [path for path in (tmp_path / ".net.search").rglob("*.json") if "measured" in path.read_text()]
    assert kept

    def refuse(*arguments: object) -> None:
        raise AssertionError("a candidate was made again")

    monkeypatch.setattr(making, "run_recipe", refuse)
    for path in kept:
        values = json.loads(path.read_text())
        values["measured"] |= {"cpu": "another processor", "latency_ms": 1e9}
        path.write_text(json.dumps(values))
    elsewhere, _ = run(source, data, tmp_path, max_size=50_000, overwrite=True)
    assert elsewhere.search.picked.candidate.cpu == "another processor", "no limit needs its time"
    report, _ = run(source, data, tmp_path, max_latency=900.0, overwrite=True)
    assert report.search.holds
    assert report.search.picked.candidate.cpu == describe_machine().processor
    assert report.search.picked.latency_ms < 900


def test_a_kept_candidate_without_a_time_is_timed_and_not_made(
    source: Path, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, _ = run(source, data, tmp_path, max_size=50_000)
    api.bench(report.models[0].path, out=tmp_path / "bench.json", runs=20)
    monkeypatch.setattr(making, "run_recipe", lambda *_: pytest.fail("a candidate was made again"))
    board, _ = run(source, data, tmp_path, max_latency=1e6, board=str(tmp_path / "bench.json"), overwrite=True)
    reported = json.loads((tmp_path / "bench.json").read_text())["models"][0]["latency_ms"]["median"]
    assert board.search.picked.latency_ms == pytest.approx(reported)
    monkeypatch.setattr(preparation, "load_average", lambda: 99.0)
    timed, _ = run(source, data, tmp_path, max_latency=1e6, overwrite=True)
    assert timed.search.picked.latency_ms != board.search.picked.latency_ms
    assert timed.search.picked.candidate.cpu == describe_machine().processor
    again, _ = run(source, data, tmp_path, max_latency=2e6, overwrite=True)
    assert again.search.picked.latency_ms == timed.search.picked.latency_ms, "once is enough"
    monkeypatch.setattr(preparation, "load_average", lambda: 0.0)
    untimed, _ = run(source, data, tmp_path, max_size=60_000, overwrite=True)
    assert untimed.search.picked.latency_ms == timed.search.picked.latency_ms, "no limit needs its time"
    calm, _ = run(source, data, tmp_path, max_latency=3e6, overwrite=True)
    loads = [one.search.picked.candidate.speed.load_average for one in (timed, calm)]
    assert loads == [99.0, 0.0], "other programs ran beside it"
    kept, _ = run(source, data, tmp_path, max_latency=4e6, overwrite=True)
    assert kept.search.picked.latency_ms == calm.search.picked.latency_ms


def test_settings_that_do_not_go_with_a_step_leave_it_out(source: Path, data: Dataset, tmp_path: Path) -> None:
    report, _ = run(source, data, tmp_path, max_size=100_000, rounding="nearest")
    assert report.search.holds
    (refused,) = [one for one in report.search.refused if one.name == "qat"]
    assert "leave rounding out" in refused.reason
    with pytest.raises(InputError, match="distill must be 0 to 1, got 2"):
        run(source, data, tmp_path / "wrong", max_size=100_000, qat_distill=2)


def refuse_to_look(*arguments: object) -> None:
    raise AssertionError("the test split was looked at for nothing")


def test_what_layers_in_float_cost_in_time_is_stated_in_a_search_too(
    source: Path, data: Dataset, tmp_path: Path
) -> None:
    report, _ = run(
        source, data, tmp_path, speed=True, recipes=["int8"], max_size=100_000, float_operators=("SOFTMAX",)
    )
    (model,) = report.models
    assert "the layers in float cost " in " ".join(model.notes)
    assert "the layers in float cost " in (tmp_path / f"{Path(model.path).stem}.json").read_text(encoding="utf-8")


def test_what_cannot_be_proven_is_not_trained_for_and_the_nearest_is_written(
    source: Path, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, heard = run(source, data, tmp_path, max_drop=1)
    found = report.search
    assert not found.holds
    assert {one.candidate.name for one in found.candidates} == {"int8"}
    assert found.binding == ("max_drop",)
    assert found.misses[0].startswith("int8: ")
    assert Path(found.path).name == "net-int8.tflite"
    (warning,) = [one for one in heard.lines if "--judge estimate" in one]
    assert "--max-drop 1 cannot be promised" in warning
    # another model of that name is not replaced unless asked
    (tmp_path / "net-int8.tflite").write_bytes(b"mine")
    with monkeypatch.context() as patched:
        patched.setattr(making.CandidateMaker, "test", refuse_to_look)
        with pytest.raises(OutputError, match="--overwrite"):
            run(source, data, tmp_path, max_drop=1, judge="estimate")
    # without the promise it holds, and nothing is made again
    again, _ = run(source, data, tmp_path, max_drop=1, judge="estimate", overwrite=True)
    assert again.search.holds
    assert again.search.picked.candidate == found.picked.candidate
    assert integrity((tmp_path / "net-int8.tflite").read_bytes()) == "verified"


def test_a_named_recipe_that_proves_nothing_is_not_trained_and_the_others_are_tried(
    source: Path, data: Dataset, tmp_path: Path
) -> None:
    report, heard = run(source, data, tmp_path, recipes=["qat-int8", "int8"], max_drop=9)
    found = report.search
    (refused,) = found.refused
    assert refused.name == "qat-int8"
    assert "30 validation images can prove a drop of" in refused.reason
    assert [one.candidate.name for one in found.candidates] == ["int8"]
    assert not [one for one in heard.tasks if one.startswith("quantization-aware training")]


def test_a_size_out_of_reach_ends_with_the_smallest_network_that_can_be_made(data: Dataset, tmp_path: Path) -> None:
    tf_keras = pytest.importorskip("tf_keras")
    layers = tf_keras.layers
    inputs = x = layers.Input((colored_squares.SIDE, colored_squares.SIDE, 3))
    for _ in range(2):
        x = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    colored_squares.trained(tf_keras.Model(inputs, x), data).save(tmp_path / "net.keras")
    report, _ = run(tmp_path / "net.keras", data, tmp_path / "out", max_size=2_000, shrink_epochs=1, trials=5)
    found = report.search
    # 8 of 32 channels stay: (8 x 8 x 27 x 8 + 4 x 4 x 72 x 8 + 8 x 3) of (8 x 8 x 27 x 32 + 4 x 4 x 288 x 32 + 32 x 3)
    assert [one.candidate.name for one in found.candidates] == ["int8", "int4", "shrink88-int8"]
    assert (found.refused, found.suggested) == ((), 0)
    assert found.candidates[found.nearest[0]].size_bytes == min(one.size_bytes for one in found.candidates)


def test_a_graph_for_one_image_is_searched_for(source: Path, data: Dataset, tmp_path: Path) -> None:
    import tensorflow as tf

    root, model = tf.Module(), pytest.importorskip("tf_keras").models.load_model(source, compile=False)
    shape = tf.TensorSpec((1, colored_squares.SIDE, colored_squares.SIDE, 3), name="image")
    root.model, serve = model, tf.function(lambda image: model(image, training=False), input_signature=[shape])
    tf.saved_model.save(root, str(tmp_path / "net"), signatures={"serving_default": serve})
    report, _ = run(
        tmp_path / "net", data, tmp_path / "out", max_size=50_000, normalize="raw", labels=colored_squares.NAMES
    )
    assert report.search.holds
    assert report.search.test.images == 60


def test_looks_count_every_network_that_validation_images_choose_from(data: Dataset) -> None:
    from edgeclf.compression import parse_recipe
    from edgeclf.compression.budget.looks import count_looks
    from edgeclf.compression.choice import with_settings
    from edgeclf.compression.step import StepContext

    context: Any = StepContext(original=None, data=data)  # type: ignore[arg-type]
    assert count_looks(parse_recipe("int8"), context) == 1
    # one batch of 120 images an epoch: 30 epochs, which is the most, and the state before the first
    assert count_looks(parse_recipe("qat-int8"), context) == 31
    # 6,000 batches would be more than 30 epochs as well; three rounds begin with a state each
    assert count_looks(parse_recipe("shrink50-int8"), context) == 33
    # sparsity rises until the end of epoch 18
    assert count_looks(parse_recipe("prune50-int8"), context) == 12
    # of 4 epochs of 8 batches sparsity rises in three, and the last one is kept
    four = with_settings(parse_recipe("prune50-int8"), {"prune_epochs": 4, "batch_size": 16})
    assert count_looks(four, context) == 1
    short = with_settings(parse_recipe("shrink50-qat-int8"), {"qat_epochs": 2, "shrink_epochs": 6, "batch_size": 16})
    assert count_looks(short, context) == (6 + 3) + (2 + 1)


def test_named_recipes_are_tried_in_order_and_training_is_counted(source: Path, data: Dataset, tmp_path: Path) -> None:
    report, _ = run(source, data, tmp_path, recipes=["int8", "qat-int8"], max_size=1000)
    found = report.search
    assert [one.candidate.name for one in found.candidates] == ["int8", "qat-int8"]
    assert [one.candidate.looks for one in found.candidates] == [1, 2], "the state before the epoch and after it"
    assert found.binding == ("max_size",)
    assert not list((tmp_path / ".net.search").glob("*/stages/*"))
    with pytest.raises(InputError, match="leave --prune out"):
        run(source, data, tmp_path, max_drop=1, prune=0.5)
    with pytest.raises(InputError, match="--data"):
        api.compress(source, max_drop=1, float32=True, out=tmp_path / "x")


def test_the_sampler_goes_on_where_the_ladder_ends(
    source: Path, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # nothing passes: what is left is the search, for as many trials as asked for
    monkeypatch.setattr("edgeclf.compression.budget.search.pick", lambda judged: None)
    heard = Listener()
    report = api.compress(
        source, data=data, out=tmp_path, progress=heard, calibration=30, speed=False, max_drop=60, trials=1,
        qat_epochs=0,
    )  # fmt: skip
    found = report.search
    assert found.suggested == 1
    names = [(one.candidate.name, one.candidate.calibration) for one in found.candidates]
    assert names == [("int8", 30), ("int8", 120), ("qat-int8", 30), ("qat-int8", 30)]
    known, suggested = (one.candidate.recipe["steps"][0]["training"] for one in found.candidates[-2:])
    assert known["epochs"] == suggested["epochs"] == 0
    assert known["learning_rate"] != suggested["learning_rate"]
    assert [one.candidate.label for one in found.candidates][:3] == [
        "int8", "int8 (120 calibration images)", "qat-int8 (epochs=0)"
    ]  # fmt: skip
    assert any(one.startswith("qat-int8 (epochs=0): drop") for one in heard.lines)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("digits") / "run"
    api.train("digits", out=out, model="resnet8", image_size=8, epochs=2, batch_size=256)
    return out


def test_a_killed_search_goes_on(digits: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(digits, folder)
    command = [
        "compress", folder, "--recipe", "int8", "--recipe", "dynamic", "--max-size", "1KB", "--max-latency", "9s"
    ]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeclf", *map(str, command), "--quiet"], stdout=subprocess.DEVNULL
    )
    # the whole test has a time limit; whatever happens, the process does not outlive it
    try:
        while not (made := list(folder.glob("compressed/.run.search/*/*.json"))) and process.poll() is None:
            time.sleep(0.01)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    before = {path: path.stat().st_mtime_ns for path in made}
    done = edgeclf(tmp_path, *command, "--json")
    # nothing holds: exit code 1, and the nearest was written
    assert done.exit_code == 1, done.stderr
    found = json.loads(done.stdout)["search"]
    assert [one["candidate"]["name"] for one in found["candidates"]] == ["int8", "dynamic"]
    assert {path: path.stat().st_mtime_ns for path in before} == before, "made again"
    assert not found["holds"]
    assert Path(found["path"]).is_file()
    # the next call has nothing left to make
    shown = edgeclf(tmp_path, *command)
    assert shown.exit_code == 1
    assert "Nothing holds 1.00 kB, 9,000 ms; what bound: --max-size." in shown.stdout
    assert "Test split, looked at for this model alone" in shown.stdout


def test_a_recipe_that_does_not_fit_into_memory_is_refused_alone(
    source: Path, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow as tf

    make = making.run_recipe

    def run_out(network: Any, recipe: Recipe, *arguments: Any) -> Any:
        if recipe.name == "int8":
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        return make(network, recipe, *arguments)

    monkeypatch.setattr(making, "run_recipe", run_out)
    report, _ = run(source, data, tmp_path, recipes=["int8", "dynamic"], max_size=50_000)
    assert report.search.picked.candidate.name == "dynamic"
    assert [(one.name, one.reason) for one in report.search.refused] == [("int8", "it does not fit into memory")]
