"""A path, a run folder or a zoo name becomes a model file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tflite_models

from edgeclf.artifact import zoo
from edgeclf.artifact.ensemble_folder import find_ensemble
from edgeclf.artifact.locate import choose_model, list_zoo, locate_model
from edgeclf.artifact.run_folder import RunFolder
from edgeclf.errors import InputError, ModelError, UnknownNameError


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "cats"
    (folder / "compressed").mkdir(parents=True)
    values = {"name": "cats", "data": {"class_names": ["cat", "no cat"]}}
    (folder / "run.json").write_text(json.dumps(values))
    return folder


def _add(folder: Path, *names: str) -> None:
    for name in names:
        (folder / "compressed" / f"{name}.tflite").write_bytes(tflite_models.bare("uint8"))


def test_of_a_run_folder_the_plain_int8_model_is_taken(run_folder: Path) -> None:
    _add(run_folder, "cats-float16", "cats-prune50-int8", "cats-int8", "cats-qat-int8")
    assert locate_model(run_folder).name == "cats-int8.tflite"
    run = RunFolder(run_folder)
    assert (run.name, run.labels) == ("cats", ("cat", "no cat"))
    assert [p.stem for p in run.models()] == ["cats-float16", "cats-int8", "cats-prune50-int8", "cats-qat-int8"]
    assert run.keras_path == run_folder / "model.keras"


def test_the_name_of_a_run_is_no_format() -> None:
    names = ["photos-int8-dynamic", "photos-int8-float16", "photos-int8-int8", "photos-int8-qat-int8"]
    assert choose_model([Path(f"{name}.tflite") for name in names]).stem == "photos-int8-int8"
    assert choose_model([Path("digits-int8.tflite"), Path("digits-int8-other.tflite")]).stem == "digits-int8"
    with pytest.raises(ModelError, match="expected the name or path of a model, got nothing"):
        locate_model("")


def test_without_int8_the_first_is_taken(run_folder: Path) -> None:
    _add(run_folder, "cats-float32", "cats-float16")
    assert locate_model(run_folder).name == "cats-float16.tflite"


def test_a_run_without_models_names_the_next_step(run_folder: Path) -> None:
    with pytest.raises(ModelError, match=f"no .tflite file in this folder; run: edgeclf compress {run_folder}"):
        locate_model(run_folder)


def test_broken_run_folders_are_refused(run_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run folder, it has no run.json"):
        RunFolder(tmp_path)
    (run_folder / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"run\.json: cannot be read"):
        RunFolder(run_folder)


def test_a_missing_file_and_an_unknown_name_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "checkout" / "edgeclf" / "artifact"
    folder = tmp_path / "checkout" / "models" / "cifar10"
    folder.mkdir(parents=True)
    (folder / "cifar10-int8.tflite").write_bytes(tflite_models.bare("uint8"))
    monkeypatch.setattr(zoo, "__file__", str(package / "zoo.py"))
    assert list_zoo() == ["cifar10"]
    assert locate_model("cifar10") == folder / "cifar10-int8.tflite"
    with pytest.raises(UnknownNameError, match="unknown model 'cifar'; did you mean 'cifar10'"):
        locate_model("cifar")
    with pytest.raises(ModelError, match=r"gone/model\.tflite: no such file"):
        locate_model("gone/model.tflite")


def test_a_mistyped_path_with_a_plus_sign_is_no_ensemble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("c++", "a+b", "a", "runs/a"):
        (tmp_path / name).mkdir(parents=True)
    missing = ["c++/modle.tflite", "a+b/model.tflite", "d+e/model.tflite", "c+.tflite", "c++.tflite", "runs/b+a"]
    for name in (*missing, *(tmp_path / one for one in missing)):
        with pytest.raises(ModelError, match=r"^\S+: no such file$"):
            locate_model(name)
    for name in ("c++/modle.tflite", "a+b/model.tflite", "runs/b+a", "gone/c++/model.tflite"):
        assert find_ensemble(name) is None
    for name in ("digits+", "+runs/a", "gone+", "digits++cifar10"):
        with pytest.raises(ModelError, match="on both sides of each plus sign"):
            find_ensemble(name)
    # members that can be meant are members
    assert find_ensemble("runs/a+digits") is not None
    for name in ("runs/a+digits", "digits+cifar10", "runs/a+runs/b"):
        with pytest.raises(ModelError, match="is an ensemble of 2"):
            locate_model(name)


def test_no_name_stands_for_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ensemble.json").write_text('{"members": ["a", "b"], "class_names": ["x", "y"]}')
    assert find_ensemble(".") is not None
    assert find_ensemble("") is None


def test_the_zoo_in_a_wheel_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "site-packages" / "edgeclf" / "zoo" / "digits"
    inside.mkdir(parents=True)
    (inside / "digits-int8.tflite").write_bytes(tflite_models.bare("uint8"))
    place = tmp_path / "site-packages" / "edgeclf" / "artifact" / "zoo.py"
    monkeypatch.setattr(zoo, "__file__", str(place))
    assert locate_model("digits") == inside / "digits-int8.tflite"


def test_an_own_folder_of_models_goes_before_the_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "mine.tflite").write_bytes(tflite_models.bare("uint8"))
    assert locate_model("digits") == Path("digits/mine.tflite")


def test_each_model_of_the_zoo_is_one_file() -> None:
    # of two, as of another format that was made before, one would be carried in vain
    for name in list_zoo():
        path = locate_model(name)
        assert [path] == list(path.parent.glob("*.tflite"))
        assert path.stem.startswith(f"{name}-")
