"""What is in a folder decides whether a run begins there, is resumed, or is refused; other files stay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeclf.artifact import run_folder
from edgeclf.artifact.run_folder import RUN_FILES, RunFolder
from edgeclf.dataset import list_source
from edgeclf.errors import InputError, ModelError, OutputError
from edgeclf.training.checkpoint import TrainingState, epochs_done, read_state, save_checkpoint
from edgeclf.training.config import TrainConfig
from edgeclf.training.earlier_run import find_earlier, resume_config
from edgeclf.training.plan import TrainPlan
from edgeclf.training.run_plan import hold_run


def make(folder: Path, *names: str) -> RunFolder:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    return RunFolder(folder, must_exist=False)


@pytest.mark.parametrize("resume", [True, False])
def test_logs_and_plots_alone_are_no_run(tmp_path: Path, resume: bool) -> None:
    folder = make(tmp_path, "logs/mine.txt", "plots/mine.png", "bench/mine.json", "labels.txt")
    assert find_earlier(folder, resume=resume, overwrite=False) is None
    folder.clear(everything=True)
    assert (folder.path / "logs" / "mine.txt").exists()
    assert (folder.path / "plots" / "mine.png").exists()


@pytest.mark.parametrize("mark", ["run.json", "model.keras", "checkpoint/state.npz"])
def test_a_run_is_known_by_any_of_its_main_files(tmp_path: Path, mark: str) -> None:
    folder = make(tmp_path, mark, "logs/of_the_run")
    with pytest.raises(
        OutputError, match="holds a run already; continue it with --resume; replace it with --overwrite"
    ):
        find_earlier(folder, resume=False, overwrite=False)
    assert find_earlier(folder, resume=False, overwrite=True) is None
    folder.clear(everything=True)
    assert not list(folder.path.iterdir())


@pytest.mark.parametrize("mark", ["model.keras", "checkpoint/state.npz"])
def test_what_has_no_record_is_not_resumed(tmp_path: Path, mark: str) -> None:
    with pytest.raises(OutputError, match=f"holds {mark}, but no run.json to resume from"):
        find_earlier(make(tmp_path, mark), resume=True, overwrite=False)


def test_a_removal_that_was_killed_leaves_no_checkpoint_and_still_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    original = run_folder.explained
    for survived in range(len(RUN_FILES)):
        folder = make(tmp_path / str(survived), "run.json", "model.keras", "checkpoint/state.npz", "logs/x", "bench/x")
        left = [survived]

        def explained(path: Path, left: list[int] = left) -> object:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return original(path)

        monkeypatch.setattr(run_folder, "explained", explained)
        with pytest.raises(Killed):
            folder.clear(everything=True)
        monkeypatch.undo()
        if survived:
            assert not (folder.path / "checkpoint").exists()
        with pytest.raises(OutputError):
            find_earlier(folder, resume=False, overwrite=False)


def unfinished(folder: Path, *names: str) -> RunFolder:
    """A run that began, with what its training had written when it failed."""
    made = make(folder, *names)
    (folder / "run.json").write_text(json.dumps({"finished": False, "config": TrainConfig().to_dict(), "data": {}}))
    return made


def checkpoint(folder: Path, epochs: int) -> None:
    (folder / "checkpoint").mkdir(exist_ok=True)
    save_checkpoint(folder / "checkpoint" / "state.npz", [], [], TrainingState(epoch=epochs))


@pytest.mark.parametrize("left", [(), ("labels.txt",), ("labels.txt", "model.keras", "logs/x")])
@pytest.mark.parametrize("resume", [True, False])
def test_a_folder_without_a_finished_epoch_is_no_run(tmp_path: Path, left: tuple[str, ...], resume: bool) -> None:
    folder = unfinished(tmp_path, *left)
    folder.write_history([{"epoch": 1, "loss": 2.0}])  # the disk was full when the checkpoint was to be written
    assert find_earlier(folder, resume=resume, overwrite=False) is None
    folder.begin(("cat", "dog"), {"finished": False})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.txt", "run.json"]


def test_a_folder_with_a_finished_epoch_or_somebodys_models_is_a_run(tmp_path: Path) -> None:
    (tmp_path / "epoch").mkdir()
    checkpoint(tmp_path / "epoch", 1)
    without = unfinished(tmp_path / "without", "model.keras")
    without.write_history([{"epoch": 1}, {"epoch": 2}])
    for folder in (
        unfinished(tmp_path / "epoch"),
        without,
        unfinished(tmp_path / "models", "compressed/a.tflite"),
        unfinished(tmp_path / "bench", "bench/bench.json"),
    ):
        with pytest.raises(OutputError, match="holds a run already"):
            find_earlier(RunFolder(folder.path, must_exist=False), resume=False, overwrite=False)
        assert find_earlier(folder, resume=True, overwrite=False) == folder.run_json


def test_half_written_files_of_killed_processes_go(tmp_path: Path) -> None:
    partials = ["checkpoint/.state.npz.a.partial", "plots/.curves.png.b.partial", ".run.json.c.partial"]
    folder = make(tmp_path, "run.json", "checkpoint/state.npz", *partials, ".model.d.partial/model.keras")
    folder.clear(everything=False)
    left = {str(path.relative_to(folder.path)) for path in folder.path.rglob("*") if path.is_file()}
    assert left == {"run.json", "checkpoint/state.npz"}


def test_a_file_in_the_way_and_a_broken_record_are_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a file; a run folder was expected"):
        find_earlier(RunFolder(make(tmp_path, "file").path / "file", must_exist=False), resume=False, overwrite=True)
    for broken, reason in (
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("[]", "expected a JSON object, got list"),
        ('{"data": null}', "expected an object in 'data', got None"),
        ('{"config": [1]}', r"expected an object in 'config', got \[1\]"),
    ):
        (tmp_path / "run.json").write_text(broken)
        with pytest.raises(ModelError, match=rf"run\.json: {reason}.*; start again with --overwrite"):
            find_earlier(RunFolder(tmp_path, must_exist=False), resume=True, overwrite=False)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"text"])
def test_a_damaged_checkpoint_counts_no_epoch(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.npz").write_bytes(content)
    assert epochs_done(tmp_path / "state.npz") == 0
    with pytest.raises(ModelError, match=r"state\.npz: the run cannot be resumed, .*; start again with --overwrite"):
        read_state(tmp_path / "state.npz")


def test_an_empty_and_a_missing_checkpoint_are_named_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be resumed, there is no such file; start again"):
        read_state(tmp_path / "state.npz")
    (tmp_path / "state.npz").touch()
    with pytest.raises(ModelError, match="cannot be resumed, the file is empty; start again"):
        read_state(tmp_path / "state.npz")


def test_a_run_that_an_older_version_began_is_not_resumed(tmp_path: Path) -> None:
    began = TrainConfig().to_dict()
    del began["unaugmented_epochs"]  # a setting that was added later had another effect in the first epochs
    with pytest.raises(InputError, match=r"an older edgeclf, which had no setting unaugmented_epochs; .* --overwrite"):
        resume_config(TrainConfig(), {"config": began}, tmp_path)


def test_open_settings_are_those_of_the_run_that_is_resumed(tmp_path: Path) -> None:
    record = json.loads(json.dumps({"config": TrainConfig(model="resnet8", epochs=3, learning_rate=0.1).to_dict()}))
    went_on = resume_config(TrainConfig(epochs=3), record, tmp_path)
    assert went_on == TrainConfig(model="resnet8", epochs=3, learning_rate=0.1)
    record["config"] |= {"weights": "net.h5", "balance": "over", "l1": 1e-4}
    assert resume_config(TrainConfig(epochs=3), record, tmp_path).weights == "net.h5"
    assert resume_config(TrainConfig(weights="moved/net.h5"), record, tmp_path).weights == "moved/net.h5"
    for other, message in (
        ({"epochs": 4}, "epochs 3, not 4"),
        ({"weights": "none"}, r"weights net\.h5, not none"),
        ({"seed": 1}, "seed 0, not 1"),
        ({"width": 2.0}, "None"),
    ):
        with pytest.raises(InputError, match=message):
            resume_config(TrainConfig(**other), record, tmp_path)  # type: ignore[arg-type]


def test_a_setting_that_is_named_is_compared_also_where_it_is_the_default(tmp_path: Path) -> None:
    record = {"config": TrainConfig(balance="over", label_smoothing=0.1).to_dict()}
    assert resume_config(TrainConfig(), record, tmp_path).balance == "over"
    # a None leaves a setting open, whoever wrote it
    assert resume_config(TrainConfig(), record, tmp_path, frozenset({"epochs"})).balance == "over"
    with pytest.raises(InputError, match="was trained with balance over, not none"):
        resume_config(TrainConfig(), record, tmp_path, frozenset({"balance"}))
    with pytest.raises(InputError, match="label_smoothing 0.1, not 0.05"):
        resume_config(TrainConfig(), record, tmp_path, frozenset({"label_smoothing"}))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run", must_exist=False)
    folder.begin(("cat", "dog"), {"name": "pets", "finished": False})
    folder.write_history([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])
    with folder.replacing_model() as path:
        path.write_bytes(b"network")
    found = RunFolder(tmp_path / "run")
    assert (found.name, found.labels, found.run_json["finished"]) == ("pets", ("cat", "dog"), False)
    assert found.history() == [{"epoch": "1", "loss": "0.5"}, {"epoch": "2", "loss": "0.25"}]
    assert found.keras_path.read_bytes() == b"network"
    assert found.marks() == ["run.json", "model.keras"]


def test_a_network_that_could_not_be_saved_leaves_the_one_before(tmp_path: Path) -> None:
    folder = make(tmp_path, "model.keras")

    def save() -> None:
        with folder.replacing_model() as path:
            path.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        save()
    assert folder.keras_path.read_text() == "{}"
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]


def test_runs_of_versions_without_a_fit_were_stretched(tmp_path: Path) -> None:
    began = TrainConfig(epochs=3).to_dict()
    del began["fit"]
    assert resume_config(TrainConfig(), {"config": began}, tmp_path) == TrainConfig(epochs=3, fit="stretch")
    with pytest.raises(InputError, match="was trained with fit stretch, not crop; --resume cannot change it"):
        resume_config(TrainConfig(fit="crop"), {"config": began}, tmp_path)


def test_a_folder_that_cannot_be_written_is_refused_before_photos_are_read() -> None:
    place = Path("/proc/run")  # where root cannot write either
    request = TrainPlan(list_source("digits"), TrainConfig(model="cnn", weights="none"), out=place)
    with pytest.raises(OutputError, match="/proc/run: cannot be written"), hold_run(request):
        pytest.fail("the run was planned")
