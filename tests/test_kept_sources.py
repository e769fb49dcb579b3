"""What a training starts or learns from is not replaced by it, and a run that goes on finds its own photos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from photo_folders import make_folder
from test_objects import write_balls

from edgeclf.artifact.ensemble_folder import RECORD
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.dataset import list_source, load_dataset
from edgeclf.errors import DataError, InputError
from edgeclf.progress import SILENT
from edgeclf.training.config import TrainConfig
from edgeclf.training.idle_settings import describe_idle
from edgeclf.training.kept_sources import check_kept
from edgeclf.training.parent_run import choose_source


def write_run(folder: Path, **record: Any) -> Path:
    """A run folder with a network of no content."""
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"name": folder.name, "finished": True, **record}))
    (folder / "model.keras").write_bytes(b"hours of work")
    return folder


@pytest.mark.parametrize(
    ("settings", "option"),
    [
        ({"weights": "run"}, "--weights"),
        ({"weights": "run/model.keras"}, "--weights"),
        ({"weights": "link"}, "--weights"),
        ({"teacher": "run"}, "--teacher"),
        ({"teacher": "run/compressed/run-int8.tflite"}, "--teacher"),
        ({"teacher": "other+run"}, "--teacher"),
    ],
)
def test_what_a_training_needs_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    run = write_run(tmp_path / "run")
    write_run(tmp_path / "other")
    (run / "compressed").mkdir()
    (run / "compressed" / "run-int8.tflite").write_bytes(b"a model")
    (tmp_path / "link").symlink_to(run)
    names = ("model.keras", "compressed")
    with pytest.raises(InputError, match=f"^{option} .* belongs to the run that would be replaced, run; choose"):
        check_kept(TrainConfig(**settings), Path("run"), names, "run")
    check_kept(TrainConfig(**settings), Path("elsewhere"), names, "run")


def test_names_of_the_zoo_and_files_beside_are_no_part_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write_run(tmp_path / "run"))
    Path("start.tflite").write_bytes(b"a file of the user's own")
    check_kept(TrainConfig(teacher="digits+cifar10", weights="start.tflite"), Path(), ("model.keras",), "run")


def test_an_ensemble_does_not_replace_its_teacher(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    from edgeclf.training.ensembles.plan import EnsemblePlan, begin_ensemble

    out = tmp_path / "e"
    members = [write_run(out / name) for name in ("e-seed0", "e-seed1")]
    record = {"members": [one.name for one in members], "class_names": ["a", "b"]}
    (out / RECORD).write_text(json.dumps(record))
    for teacher, what in ((str(out), "run"), (str(members[1]), "ensemble")):
        plan = EnsemblePlan(list_source("digits"), TrainConfig(model="cnn", teacher=teacher), 2, out, overwrite=True)
        with pytest.raises(InputError, match=f"belongs to the {what} that would be replaced"):
            begin_ensemble(plan, SILENT)
        assert all((one / "model.keras").exists() for one in members)


def test_a_search_does_not_replace_what_it_starts_from(tmp_path: Path) -> None:
    from edgeclf.training.tuning.plan import IDENTITY, Search, TuneFolder, TunePlan

    out = tmp_path / "tune"
    best = write_run(out / "trials" / "digits-003")
    (out / "best").symlink_to(best)
    (out / IDENTITY).write_text(json.dumps({"identity": "another", "search": Search().to_dict()}))
    config = TrainConfig(weights=str(out / "best"))
    plan = TunePlan(list_source("digits"), config, {}, Search(), out, overwrite=True)
    with pytest.raises(InputError, match="belongs to the search that would be replaced"):
        TuneFolder(out).begin(plan)
    assert (best / "model.keras").exists()


def test_a_run_that_goes_on_has_the_photos_that_it_began_with(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", finished=False, data={"source": "/photos"})
    assert choose_source(TrainConfig(), run) == "/photos"
    assert choose_source(TrainConfig(), tmp_path / "none") == "digits"
    assert choose_source(TrainConfig(), None) == "digits"
    done = write_run(tmp_path / "done", data={"source": "/photos"})
    assert choose_source(TrainConfig(), done) == "digits", "its report is read, and no photo"


def test_an_ensemble_that_goes_on_has_the_photos_that_it_began_with(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    import edgeclf

    out = tmp_path / "e"
    write_run(out / "e-seed0", finished=False, data={"source": str(tmp_path / "gone")})
    (out / RECORD).write_text(json.dumps({"members": ["e-seed0", "e-seed1"], "class_names": ["a", "b"]}))
    with pytest.raises(DataError, match="gone"):
        edgeclf.train_ensemble(members=2, model="cnn", out=out, resume=True)


def test_other_photos_are_named_before_anything_is_computed() -> None:
    pytest.importorskip("tensorflow")
    import colored_squares

    from edgeclf.training.run_record import check_photos

    data = colored_squares.dataset()
    check_photos(None, data, Path("run"))
    check_photos({"data": {"fingerprint": data.fingerprint, "source": "moved"}}, data, Path("run"))
    with pytest.raises(DataError, match="the run began with the photos of /photos, and those of .* are others"):
        check_photos({"data": {"fingerprint": "0", "source": "/photos"}}, data, Path("run"))
    same = {"data": {"fingerprint": "0", "source": data.root or data.source}}
    with pytest.raises(DataError, match="the photos have changed since the run began"):
        check_photos(same, data, Path("run"))


def test_the_same_photos_in_another_order_are_no_run_that_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    from edgeclf.training.run_record import RunRecord, check_photos

    photos = make_folder(tmp_path / "photos", {"cat": 12, "dog": 12})
    began = load_dataset(photos, image_size=8)
    RunRecord(RunFolder(tmp_path / "run", must_exist=False), TrainConfig(), began, {}).begin(None)
    record = RunFolder(tmp_path / "run").run_json
    check_photos(record, load_dataset(photos, image_size=16), tmp_path / "run")
    first = Path(began.splits["train"].paths[0])
    first.rename(first.with_name(f"zz{first.suffix}"))
    now = load_dataset(photos, image_size=8)
    assert now.fingerprint == began.fingerprint
    with pytest.raises(DataError, match="the photos are those that the run began with, in another order: files were"):
        check_photos(record, now, tmp_path / "run")
    del record["data"]["order"]  # as earlier versions recorded it
    check_photos(record, now, tmp_path / "run")


def test_the_order_of_objects_is_that_of_their_views(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    from edgeclf.training.run_record import digest_order

    data = load_dataset(write_balls(tmp_path / "balls", 8), image_size=8, fit="views2")
    assert data.train_on_views().splits["train"].views == 2
    assert digest_order(data) == digest_order(data.train_on_views())


@pytest.mark.parametrize(
    ("settings", "idle"),
    [
        ({"unaugmented_epochs": 1.0}, True),
        ({"unaugmented_epochs": 0.8, "epochs": 2}, True),
        ({"unaugmented_epochs": 0.8, "epochs": 5}, False),
        ({"unaugmented_epochs": 0.8}, False),
    ],
)
def test_views_that_no_epoch_shows_are_refused(settings: dict[str, Any], idle: bool) -> None:
    config = TrainConfig(teacher="digits", teacher_views=4, **settings)
    assert bool(describe_idle("teacher_views", config)) is idle
