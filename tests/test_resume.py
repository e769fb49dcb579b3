"""Recipes share trainings; a killed compression resumes, and takes nothing for finished that another call made."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import colored_squares
import numpy as np
import pytest
from colored_squares import short_recipe
from listener import Listener

from edgeclf import api
from edgeclf.artifact.normalization import RAW
from edgeclf.artifact.provenance import read_provenance
from edgeclf.compression import CompressedModel, Exporter, Recipe, StepContext, parse_recipe
from edgeclf.compression.exporter import ExportedFile
from edgeclf.compression.pipeline import model_folder
from edgeclf.compression.pipeline.context import RecipeContext
from edgeclf.compression.pipeline.model_folder import ModelFolder
from edgeclf.compression.pipeline.run_recipe import run_recipe
from edgeclf.compression.pipeline.stage_cache import StageCache, StageCheckpoints
from edgeclf.dataset import load_dataset
from edgeclf.errors import OutputError, RunFailedError
from edgeclf.graph.float_network import FloatNetwork, InputSpec
from edgeclf.inference.input_range import InputRange
from edgeclf.records import Record

REQUEST: dict[str, Any] = {"calibration": 30}
FIVE = ["int8", "qat-int8", "prune50-int8", "prune50-qat-int8", "cluster16-int8"]
TRAININGS = [
    "quantization-aware training",
    "pruning to 50 %",
    "quantization-aware training",
    "clustering to 16 weights",
]


BOTH = ("int8.tflite", "float16.tflite")


def folder(
    path: Path, request: dict[str, Any] = REQUEST, files: tuple[str, ...] = BOTH, *, overwrite: bool = False
) -> ModelFolder:
    return ModelFolder(path, "net", request, files, overwrite=overwrite)


def made(path: Path, recipe: str = "int8") -> dict[str, Any]:
    return {"model": CompressedModel(str(path / f"net-{recipe}.tflite"), recipe, 1, 1, None, None, 0.5, 3).to_dict()}


def test_a_killed_call_resumes_with_what_is_complete(tmp_path: Path) -> None:
    folder(tmp_path).write("int8.tflite", b"model", made(tmp_path), "key")
    again = folder(tmp_path)
    found = again.finished("int8.tflite", "key")
    assert found is not None
    assert found.sparsity == 0.5
    assert again.finished("float16.tflite", "key") is None
    again.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net-int8.json", "net-int8.tflite"]


def test_a_call_that_fails_before_it_comes_to_finished_models_leaves_them_to_the_next(tmp_path: Path) -> None:
    folder(tmp_path).write("int8.tflite", b"model", made(tmp_path), "key")
    folder(tmp_path).give_up()
    again = folder(tmp_path)
    assert again.interrupted
    assert again.finished("int8.tflite", "key") is not None


def test_what_a_kill_left_of_a_training_that_was_being_written_is_removed(tmp_path: Path) -> None:
    rest = folder(tmp_path).stages / ".abc.npz.1.partial"
    rest.write_bytes(b"half")
    folder(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_paths_that_are_not_utf_8_are_part_of_a_request(tmp_path: Path) -> None:
    request = {"data": os.fsdecode(b"ph\xffotos")}
    folder(tmp_path, request).write("int8.tflite", b"model", made(tmp_path), "key")
    assert folder(tmp_path, request).interrupted


def test_models_of_an_earlier_call_are_not_taken_for_finished(tmp_path: Path) -> None:
    first = folder(tmp_path)
    first.write("int8.tflite", b"model", made(tmp_path), "key")
    first.close()
    changed = {"calibration": 20}
    folder(tmp_path, changed, overwrite=True)  # and killed here
    again = folder(tmp_path, changed)
    assert again.interrupted
    assert again.finished("int8.tflite", "another key") is None


def test_neither_other_bytes_nor_other_data_nor_a_foreign_record_are_finished(tmp_path: Path) -> None:
    folder(tmp_path).write("int8.tflite", b"model", made(tmp_path), "key")
    again = folder(tmp_path)
    assert again.finished("int8.tflite", "the key after the photos have changed") is None
    (tmp_path / "net-int8.tflite").write_bytes(b"Model")
    assert again.finished("int8.tflite", "key") is None
    (tmp_path / "net-int8.json").write_text(json.dumps(made(tmp_path)))
    assert again.finished("int8.tflite", "key") is None
    (tmp_path / "net-int8.json").write_text("[1")
    assert again.finished("int8.tflite", "key") is None


def test_an_error_before_the_first_model_leaves_nothing(tmp_path: Path) -> None:
    folder(tmp_path).give_up()
    assert not list(tmp_path.iterdir())
    folder(tmp_path / "models").give_up()
    assert not list(tmp_path.iterdir())


def test_after_a_full_disk_the_same_command_resumes(tmp_path: Path) -> None:
    first = folder(tmp_path)
    first.write("int8.tflite", b"model", made(tmp_path), "key")
    first.give_up()
    assert folder(tmp_path).finished("int8.tflite", "key") is not None


def test_after_a_failure_a_corrected_command_replaces_what_the_failed_one_left(tmp_path: Path) -> None:
    first = folder(tmp_path)
    first.write("int8.tflite", b"model", made(tmp_path), "key")
    first.give_up()
    corrected = folder(tmp_path, {"calibration": 20})
    assert corrected.finished("int8.tflite", "key") is None
    corrected.write("int8.tflite", b"another", made(tmp_path), "another key")
    corrected.close()
    assert (tmp_path / "net-int8.tflite").read_bytes() == b"another"
    for request in ({"calibration": 20}, {"calibration": 30}):
        with pytest.raises(OutputError, match="exists"):
            folder(tmp_path, request)


def test_after_a_killed_overwrite_no_other_call_replaces_finished_models(tmp_path: Path) -> None:
    first = folder(tmp_path, files=("int8.tflite",))
    first.write("int8.tflite", b"model", made(tmp_path), "key")
    first.close()
    changed, other = {"calibration": 20}, {"calibration": 10}
    folder(tmp_path, changed, ("int8.tflite",), overwrite=True)  # and killed before it writes
    with pytest.raises(OutputError, match=r"net-int8\.tflite: exists; replace it with --overwrite"):
        folder(tmp_path, other, ("int8.tflite",))
    assert (tmp_path / "net-int8.tflite").read_bytes() == b"model"
    again = folder(tmp_path, changed, ("int8.tflite",))
    assert again.interrupted
    again.write("int8.tflite", b"another", made(tmp_path), "another key")  # and killed again: that one may be corrected
    corrected = folder(tmp_path, other, ("int8.tflite",))
    corrected.write("int8.tflite", b"corrected", made(tmp_path), "key of the correction")
    corrected.close()
    with pytest.raises(OutputError, match="exists"):
        folder(tmp_path, changed, ("int8.tflite",))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net-int8.json", "net-int8.tflite"]


def test_other_calls_take_nothing_from_an_interrupted_one(tmp_path: Path) -> None:
    first = folder(tmp_path, files=("int8.tflite",))  # and killed after a training and a model
    StageCheckpoints(first.stages, "stage", first.unfinished).save("pruning", [np.arange(3.0)])
    first.write("int8.tflite", b"model", made(tmp_path), "key")
    folder(tmp_path, {"calibration": 20}, ("float32.tflite",)).give_up()  # a call that is refused later on
    other = folder(tmp_path, {"calibration": 50}, ("float16.tflite",))
    other.write("float16.tflite", b"another", made(tmp_path), "another key")
    other.close()
    again = folder(tmp_path, files=("int8.tflite",))
    assert again.finished("int8.tflite", "key") is not None
    assert StageCheckpoints(again.stages, "stage", again.unfinished).load("pruning") is not None
    # a model that another call has finished meanwhile is its own
    other = folder(tmp_path, {"calibration": 40}, ("int8.tflite",))
    other.write("int8.tflite", b"another", made(tmp_path), "another key")
    other.close()
    with pytest.raises(OutputError, match="exists"):
        folder(tmp_path, files=("int8.tflite",))
    folder(tmp_path, files=("int8.tflite",), overwrite=True).close()
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".json", ".tflite", ".tflite"]


def test_a_disk_that_is_full_leaves_the_model_and_the_figures_that_were_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = folder(tmp_path, files=("int8.tflite",))
    first.write("int8.tflite", b"model", made(tmp_path), "key")
    first.close()
    record = (tmp_path / "net-int8.json").read_text()
    second = folder(tmp_path, {"calibration": 20}, ("int8.tflite",), overwrite=True)
    real = os.fsync

    def full(descriptor: int) -> None:
        if os.fstat(descriptor).st_size > 4000:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunFailedError, match=r"net-int8\.tflite: the disk is full"):
        second.write("int8.tflite", bytes(5000), made(tmp_path), "another key")
    assert (tmp_path / "net-int8.tflite").read_bytes() == b"model"
    assert (tmp_path / "net-int8.json").read_text() == record
    second.give_up()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net-int8.json", "net-int8.tflite"]


def test_a_call_that_is_killed_while_it_takes_over_a_model_leaves_it_in_the_way_of_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(tmp_path, files=("int8.tflite",)).write("int8.tflite", b"model", made(tmp_path), "key")  # and killed
    corrected, real = folder(tmp_path, {"calibration": 20}, ("int8.tflite",)), model_folder._release

    def killed(request: Path, file: str) -> None:
        real(request, file)
        raise KeyboardInterrupt

    monkeypatch.setattr(model_folder, "_release", killed)
    with pytest.raises(KeyboardInterrupt):
        corrected.write("int8.tflite", b"another", made(tmp_path), "another key")
    monkeypatch.undo()
    for calibration in (30, 20, 10):
        folder(tmp_path, {"calibration": calibration}, ("int8.tflite",))


def test_a_kill_at_the_very_end_leaves_a_call_that_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, real = folder(tmp_path, files=("int8.tflite",)), Path.unlink
    first.write("int8.tflite", b"model", made(tmp_path), "key")

    def killed(path: Path, *values: Any, **named: Any) -> None:
        if path.is_file():
            real(path, missing_ok=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "unlink", killed)
    monkeypatch.setattr(shutil, "rmtree", lambda path, **_: killed(next(path.iterdir())))
    with pytest.raises(KeyboardInterrupt):
        first.close()
    monkeypatch.undo()
    with pytest.raises(OutputError, match="exists"):
        folder(tmp_path, files=("int8.tflite",))
    folder(tmp_path, {"calibration": 20}, ("float16.tflite",)).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net-int8.json", "net-int8.tflite"]


def test_a_list_of_layers_is_replaced_by_the_call_that_was_to_replace_it_alone(tmp_path: Path) -> None:
    models, both = ("int8.tflite",), ("int8.tflite", "sensitivity.json")
    (tmp_path / "net-sensitivity.json").write_text("of a finished call")
    folder(tmp_path, files=models).write("int8.tflite", b"model", made(tmp_path), "key")  # and killed
    with pytest.raises(OutputError, match=r"net-sensitivity\.json: exists; replace it with --overwrite"):
        folder(tmp_path, files=both)
    folder(tmp_path, files=both, overwrite=True).give_up(interrupted=True)
    again = folder(tmp_path, files=both)
    again.claim("sensitivity.json")
    (tmp_path / "net-sensitivity.json").write_text("of this one")  # and killed
    folder(tmp_path, {"calibration": 20}, both)


def test_a_finished_training_is_kept_after_an_error_and_removed_at_the_end(tmp_path: Path) -> None:
    first = folder(tmp_path)
    StageCheckpoints(first.stages, "stage", first.unfinished).save("pruning", [np.arange(3.0)])
    first.give_up()
    again = folder(tmp_path)
    weights = StageCheckpoints(again.stages, "stage", again.unfinished).load("pruning")
    assert weights is not None
    np.testing.assert_array_equal(weights[0], np.arange(3.0))
    again.close()
    assert not list(tmp_path.iterdir())


def test_trainings_that_no_unfinished_call_has_are_removed(tmp_path: Path) -> None:
    killed = folder(tmp_path, files=("int8.tflite",))
    StageCheckpoints(killed.stages, "stage", killed.unfinished).save("pruning", [np.arange(3.0)])
    corrected = folder(tmp_path, {"calibration": 20}, ("int8.tflite",))
    for stage in ("stage", "another"):
        checkpoints = StageCheckpoints(corrected.stages, stage, corrected.unfinished)
        assert (checkpoints.load("pruning") is None) is (stage == "another")
        checkpoints.save("pruning", [np.ones(2)])
    corrected.write("int8.tflite", b"model", made(tmp_path), "key")
    corrected.close()
    assert len(list(killed.stages.glob("*.npz"))) == 1, "that of the killed call"
    again = folder(tmp_path, files=("int8.tflite",), overwrite=True)
    again.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net-int8.json", "net-int8.tflite"]
    # one that trained nothing yet is in nobody's way
    folder(tmp_path, {"calibration": 5}, ("float16.tflite",))  # and killed
    last = folder(tmp_path, {"calibration": 6}, ("float16.tflite",))
    last.write("float16.tflite", b"model", made(tmp_path, "float16"), "key")
    last.close()
    assert not list(tmp_path.glob(".*"))


def test_weights_of_another_stage_or_damaged_ones_are_not_taken(tmp_path: Path) -> None:
    checkpoints = StageCheckpoints(tmp_path, "stage")
    checkpoints.save("pruning", [np.arange(3.0), np.ones((2, 2), np.float32)])
    assert StageCheckpoints(tmp_path, "other").load("pruning") is None
    assert checkpoints.load("clustering") is None
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert checkpoints.load("pruning") is None


def test_a_stage_is_known_by_all_that_decides_it() -> None:
    prune, qat = parse_recipe("prune50-qat-int8").steps
    cache, same = (StageCache({"source": "a", "seed": 0}) for _ in range(2))
    other = StageCache({"source": "a", "seed": 1})
    # what is fitted on the outputs, and what converts, does not change what was trained
    fitted, unfitted, converted = (
        StageCache(
            {"source": "a", "settings": {"seed": 0, "probabilities": one, "versions": {"numpy": "2", "onnx": two}}}
        )
        for one, two in (([True, None], "1"), ([True, 0.95], "1"), ([True, None], "2"))
    )
    assert fitted.key(()) == unfitted.key(()) == converted.key(())
    assert len({one.candidate_key(Recipe()) for one in (fitted, unfitted, converted)}) == 3
    trained_otherwise = StageCache({"source": "a", "settings": {"seed": 0, "versions": {"numpy": "3"}}})
    assert trained_otherwise.key(()) != fitted.key(())
    assert cache.key([prune]) == same.key([prune])
    assert len({cache.key([prune]), cache.key([qat]), cache.key([prune, qat]), other.key([prune])}) == 4
    assert cache.key([prune]) != cache.key(short_recipe("prune50-int8").steps)
    assert cache.candidate_key(parse_recipe("int8")) != cache.candidate_key(parse_recipe("float16"))


@dataclasses.dataclass(frozen=True)
class Text(Exporter, Record):
    """A format that is no TFLite."""

    kind: ClassVar[str] = "text"
    suffix: ClassVar[str] = ".txt"

    def label(self) -> str:
        return "text"

    def export(self, network: FloatNetwork, context: StepContext) -> ExportedFile:
        return ExportedFile(b"numbers", "text.txt")


def test_a_format_that_is_no_tflite_is_made_and_not_measured() -> None:
    data = colored_squares.dataset()
    network = FloatNetwork(None, lambda x: x, None, InputSpec(16, 16, RAW), data.class_names)
    context = RecipeContext(original=network, data=data, name="net", network_input=InputRange(RAW, "given"))
    candidate = run_recipe(network, Recipe((), Text()), context, StageCache({}))
    assert candidate.file.content == b"numbers"
    assert candidate.file.name.endswith(".txt")
    model = candidate.model
    assert (model.size_bytes, model.top1, model.split, model.sparsity) == (7, None, None, None)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("tf_keras")
    path = tmp_path_factory.mktemp("net") / "net.keras"
    colored_squares.network(colored_squares.dataset()).save(path)
    return path


@pytest.mark.slow
def test_overwriting_with_another_calibration_survives_a_kill(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import edgeclf.compression.pipeline.run_recipe as module

    data, out = colored_squares.dataset(), tmp_path / "out"
    api.compress(source, recipes="int8", data=data, calibration=30, out=out)

    def dies(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, "package", dies)
        with pytest.raises(KeyboardInterrupt):
            api.compress(source, recipes="int8", data=data, calibration=20, out=out, overwrite=True)
    (model,) = api.compress(source, recipes="int8", data=data, calibration=20, out=out).models
    provenance = read_provenance(Path(model.path).read_bytes())
    assert provenance is not None
    assert len(provenance.data["calibration"]["gaps"].split()) == 20
    record = json.loads((out / "net-int8.json").read_text(encoding="utf-8"))
    assert len(record["calibration"]["indices"]) == 20
    assert not list(out.glob(".*"))


@pytest.mark.slow
def test_ctrl_c_before_anything_is_made_leaves_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import edgeclf.compression.pipeline.run_recipe as module

    def interrupt(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "package", interrupt)
    with pytest.raises(KeyboardInterrupt):
        api.compress(source, recipes="int8", data=colored_squares.dataset(), calibration=20, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_an_error_in_a_call_leaves_no_note(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import edgeclf.compression.pipeline.run_recipe as module

    def fails(*_: Any, **__: Any) -> Any:
        raise RunFailedError("the disk is full")

    monkeypatch.setattr(module, "package", fails)
    with pytest.raises(RunFailedError):
        api.compress(source, recipes="float32", data=colored_squares.dataset(), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_corrected_call_does_not_train_again(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What decides a training is in its key; which formats are made of it, and whether that failed, is not."""
    import edgeclf.compression.pipeline.run_recipe as module

    def fails(*_: Any, **__: Any) -> Any:
        raise RunFailedError("the disk is full")

    keywords: dict[str, Any] = {"data": colored_squares.dataset(), "calibration": 30, "out": tmp_path, "speed": False}
    first, other = short_recipe("prune50-int8"), short_recipe("prune50-float16")
    with monkeypatch.context() as patched:
        patched.setattr(module, "package", fails)
        with pytest.raises(RunFailedError):
            api.compress(source, recipes=first, **keywords)
    for recipe in (other, first):
        heard = Listener()
        api.compress(source, recipes=recipe, progress=heard, **keywords)
        assert "pruning to 50 %" not in heard.tasks
    assert len(list(tmp_path.glob("net-*"))) == 4
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
def test_five_recipes_train_each_shared_stage_once_and_resume_bit_for_bit(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import edgeclf.compression.pipeline.run_recipe as module

    first, second, real = Listener(), Listener(), module.package
    keywords: dict[str, Any] = {
        "recipes": FIVE, "data": colored_squares.dataset(), "calibration": 30, "epochs": 1, "batch_size": 16,
        "bias_correction": False, "out": tmp_path,
    }  # fmt: skip
    content = []

    def dies(*arguments: Any, **named: Any) -> Any:
        packaged = real(*arguments, **named)
        if named["recipe"]["name"] == "prune50-qat-int8":
            content.append(packaged)
            raise KeyboardInterrupt
        return packaged

    with monkeypatch.context() as patched:
        patched.setattr(module, "package", dies)
        with pytest.raises(KeyboardInterrupt):
            api.compress(source, progress=first, **keywords)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.glob("net-*")}
    assert len(stamps) == 6
    models = api.compress(source, progress=second, **keywords).models
    assert [model.recipe for model in models] == FIVE
    assert [[task for task in heard.tasks if task in TRAININGS] for heard in (first, second)] == [
        ["quantization-aware training", "pruning to 50 %", "quantization-aware training"],
        ["clustering to 16 weights"],
    ]
    # the float network and the pruned one, then the float network and the clustered one
    assert [heard.tasks.count("calibrating") for heard in (first, second)] == [2, 2]
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert Path(models[3].path).read_bytes() == content[0]
    assert all((model.sparsity or 0) >= 0.5 for model in models[2:4])
    assert not list(tmp_path.glob(".*"))


KILLED = """
import os, signal, sys
from edgeclf import api
from listener import Listener

class Deadly(Listener):
    def task(self, description, total):
        if description == sys.argv[2]:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().task(description, total)

api.compress(sys.argv[1], recipes=["prune50-int8", "prune50-qat-int8"], data="digits", epochs=1, calibration=50,
             out=sys.argv[3], progress=Deadly())
"""


@pytest.mark.slow
def test_kill_9_of_a_process_costs_no_finished_training(tmp_path: Path) -> None:
    tf_keras = pytest.importorskip("tf_keras")
    layers = tf_keras.layers
    network = tf_keras.Sequential(
        [layers.Rescaling(1 / 255, input_shape=(8, 8, 3)), layers.Conv2D(8, 3, activation="relu"),
         layers.GlobalAveragePooling2D(), layers.Dense(10, activation="softmax")]
    )  # fmt: skip
    # a network that is no better than chance would be refused
    scans = load_dataset("digits", image_size=8).splits["train"]
    network.compile(tf_keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    network.fit(np.asarray(scans.images[:], np.float32), scans.labels, epochs=3, verbose=0)
    network.save(tmp_path / "net.keras")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    out = tmp_path / "out"

    def call(moment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", KILLED, str(tmp_path / "net.keras"), moment, str(out)]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    assert call("top-1 on validation").returncode == -signal.SIGKILL
    assert not list(out.glob("*.tflite"))  # the pruning is finished, its model is not
    assert call("quantization-aware training").returncode == -signal.SIGKILL
    assert len(list(out.glob("*.tflite"))) == 1
    heard = Listener()
    recipes = ["prune50-int8", "prune50-qat-int8"]
    api.compress(
        tmp_path / "net.keras", recipes=recipes, data="digits", epochs=1, calibration=50, out=out, progress=heard
    )
    assert not any("pruning" in task for task in heard.tasks)
    assert "quantization-aware training" in heard.tasks
    assert sorted(path.suffix for path in out.iterdir()) == [".json", ".json", ".tflite", ".tflite"]
