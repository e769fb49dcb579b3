"""What is in a folder decides whether a run begins there, goes on, or is refused; nothing of the user's is removed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")

from edgeclf.errors import InputError, ModelError, OutputError
from edgeclf.training import earlier_run
from edgeclf.training.config import TrainConfig
from edgeclf.training.earlier_run import RUN_FILES, clear, continued, find_earlier


def make(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    return folder


@pytest.mark.parametrize("resume", [True, False])
def test_logs_and_plots_alone_are_no_run(tmp_path: Path, resume: bool) -> None:
    folder = make(tmp_path, "logs/mine.txt", "plots/mine.png", "bench/mine.json", "labels.txt")
    assert find_earlier(folder, resume=resume, overwrite=False) is None
    clear(folder, everything=True)
    assert (folder / "logs" / "mine.txt").exists()
    assert (folder / "plots" / "mine.png").exists()


@pytest.mark.parametrize("mark", ["run.json", "model.keras", "checkpoint/state.npz"])
def test_a_run_is_known_by_any_of_its_main_files(tmp_path: Path, mark: str) -> None:
    folder = make(tmp_path, mark, "logs/of_the_run")
    with pytest.raises(OutputError, match="holds a run already; go on with --resume; replace it with --overwrite"):
        find_earlier(folder, resume=False, overwrite=False)
    assert find_earlier(folder, resume=False, overwrite=True) is None
    clear(folder, everything=True)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("mark", ["model.keras", "checkpoint/state.npz"])
def test_what_has_no_record_is_not_gone_on_with(tmp_path: Path, mark: str) -> None:
    with pytest.raises(OutputError, match=f"holds {mark}, but no run.json to go on with"):
        find_earlier(make(tmp_path, mark), resume=True, overwrite=False)


def test_a_removal_that_was_killed_leaves_no_checkpoint_and_still_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    original = earlier_run.explained
    for survived in range(len(RUN_FILES)):
        folder = make(tmp_path / str(survived), "run.json", "model.keras", "checkpoint/state.npz", "logs/x", "bench/x")
        left = [survived]

        def explained(path: Path, left: list[int] = left) -> object:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return original(path)

        monkeypatch.setattr(earlier_run, "explained", explained)
        with pytest.raises(Killed):
            clear(folder, everything=True)
        monkeypatch.undo()
        if survived:
            assert not (folder / "checkpoint").exists()
        with pytest.raises(OutputError):
            find_earlier(folder, resume=False, overwrite=False)


def test_half_written_files_of_killed_processes_go(tmp_path: Path) -> None:
    partials = ["checkpoint/.state.npz.a.partial", "plots/.curves.png.b.partial", ".run.json.c.partial"]
    folder = make(tmp_path, "run.json", "checkpoint/state.npz", *partials, ".model.d.partial/model.keras")
    clear(folder, everything=False)
    left = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert left == {"run.json", "checkpoint/state.npz"}


def test_a_file_in_the_way_and_a_broken_record_are_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a file; a run folder was expected"):
        find_earlier(make(tmp_path, "file") / "file", resume=False, overwrite=True)
    for broken in ("{", "[]"):
        (tmp_path / "run.json").write_text(broken)
        with pytest.raises(ModelError, match=r"run\.json: is not JSON of a run"):
            find_earlier(tmp_path, resume=True, overwrite=False)


def test_a_run_that_an_older_version_began_is_not_gone_on_with(tmp_path: Path) -> None:
    began = TrainConfig().to_dict()
    del began["settle"]  # a setting that came later would be another now than it was in the first epochs
    with pytest.raises(InputError, match=r"was trained by an older edgeclf, which knew no settle; .* --overwrite"):
        continued(TrainConfig(), {"config": began}, tmp_path)


def test_open_settings_are_those_of_the_run_that_goes_on(tmp_path: Path) -> None:
    record = json.loads(json.dumps({"config": TrainConfig(model="resnet8", epochs=3, learning_rate=0.1).to_dict()}))
    went_on = continued(TrainConfig(epochs=3), record, tmp_path)
    assert went_on == TrainConfig(model="resnet8", epochs=3, learning_rate=0.1)
    for other, message in (
        ({"epochs": 4}, "epochs 3, not 4"),
        ({"seed": 1}, "seed 0, not 1"),
        ({"width": 2.0}, "None"),
    ):
        with pytest.raises(InputError, match=message):
            continued(TrainConfig(**other), record, tmp_path)  # type: ignore[arg-type]
