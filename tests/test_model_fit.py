"""The fit that a model file states: predict, bench and live honour it, inspect shows it, other fits are refused."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from linear_models import write_color_model
from photo_folders import write
from scripted_source import Kept
from typer.testing import CliRunner

import edgeclf
from edgeclf.artifact.input_fit import input_shape, resolve_fit, resolve_network_fit
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.provenance import Provenance
from edgeclf.cli.main import app
from edgeclf.compression.export.model_writer import package_model
from edgeclf.errors import InputError, ModelError
from edgeclf.image.decoding import decode, fit_image
from edgeclf.image.shape import FITS, InputShape
from edgeclf.inference.classifier import Classifier
from edgeclf.streaming.loop.settings import Smoothing

COLORS = np.array([[0, 0, 1], [1, 0, 0]])
NAMES = ("blue", "red")


def framed(inner: str, seed: int = 0) -> np.ndarray:
    """uint8[40, 120, 3]: the middle 40 x 40 in one colour, what is left and right of it in the other."""
    colors = {"red": (230, 20, 20), "blue": (20, 20, 230)}
    outer = "red" if inner == "blue" else "blue"
    picture = np.empty((40, 120, 3), np.int64)
    picture[:] = colors[outer]
    picture[:, 40:80] = colors[inner]
    noise = np.random.default_rng(seed).integers(-15, 16, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody else's model: the nearest of two colours, over all of its 8 x 8 pixels."""
    return write_color_model(tmp_path_factory.mktemp("foreign") / "colors.tflite", COLORS)


def own(foreign: Path, preprocessing: dict[str, object], path: Path) -> Path:
    """The same as a model of edgeclf's."""
    made = Provenance(preprocessing=preprocessing)
    path.write_bytes(package_model(foreign.read_bytes(), labels=NAMES, provenance=made, description="two colours"))
    return path


@pytest.fixture(scope="module")
def models(foreign: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("own")
    return {fit: own(foreign, {"fit": fit}, folder / f"{fit}.tflite") for fit in FITS}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos whose class is the colour in the middle, which is the smaller part."""
    folder = tmp_path_factory.mktemp("framed")
    for name in NAMES:
        for number in range(12):
            write(folder / name / f"{number:03}.png", framed(name, number + 100 * NAMES.index(name)))
    return folder


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return done.exit_code, done.stdout, done.stderr


def test_the_file_decides_in_predict_bench_and_live(models: dict[str, Path], data: Path) -> None:
    report = edgeclf.bench(list(models.values()), data=data, runs=5)
    assert [model.fit for model in report.models] == list(FITS)
    # Cropped the middle is all there is; stretched, and padded, there is twice as much of the other colour.
    assert [model.top1 for model in report.models] == [0.0, 1.0, 0.0]
    for fit, model in models.items():
        one = Classifier(model)
        assert one.input_shape == InputShape(8, 8, fit)
        predicted = edgeclf.predict(model, data / "red")
        assert predicted.fit == fit
        seen = Kept()
        settings = {"every_frame": True, "window": False, "smoothing": Smoothing(seconds=0)}
        edgeclf.live(model, camera=data / "red", outputs=[seen], **settings)
        assert len(seen.results) == len(predicted.predictions) == 12
        for result, photo in zip(seen.results, predicted.predictions, strict=True):
            pixels = fit_image(decode(photo.path), InputShape(8, 8, fit))
            scores = one.scores(pixels)
            assert [score.probability for score in photo.labels] == sorted(map(float, scores), reverse=True)
            assert (result.raw_label, result.raw_probability) == (photo.labels[0].label, float(scores.max()))
            assert one.predict(cv2.imread(photo.path)[..., ::-1]).labels == photo.labels


def test_a_file_from_elsewhere_takes_the_fit_that_is_given(foreign: Path, data: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(NAMES))
    common = ("--labels", labels, "--input-range", "0,255")
    for fit, expected in (("crop", "red"), ("pad", "blue"), (None, "blue")):
        options = (*common, *(() if fit is None else ("--fit", fit)))
        code, stdout, _ = run("--json", "predict", foreign, data / "red", *options)
        document = json.loads(stdout)
        assert (code, document["fit"]) == (0, fit or "stretch")
        assert {photo["labels"][0]["label"] for photo in document["predictions"]} == {expected}
    source = ("--camera", data / "red", "--every-frame")
    code, stdout, _ = run("--json", "live", foreign, *source, *common, "--fit", "crop")
    lines = [json.loads(line) for line in stdout.splitlines()]
    assert code == 0
    assert {line["raw_label"] for line in lines if "raw_label" in line} == {"red"}


def test_bench_applies_a_given_fit_to_files_that_state_none(foreign: Path, models: dict[str, Path], data: Path) -> None:
    report = edgeclf.bench([foreign, models["pad"]], data=data, fit="crop", labels=NAMES, input_range=(0, 255), runs=5)
    assert [(model.fit, model.top1) for model in report.models] == [("crop", 1.0), ("pad", 0.0)]
    refusal = "it knows how pictures are fitted to its input: expected pad (provenance), got crop"
    assert f"the fit crop was not applied to it: {refusal}" in report.models[1].notes
    assert not any("not applied" in note for note in report.models[0].notes)
    with pytest.raises(InputError, match=r"stretch\.tflite knows .*: expected stretch \(provenance\), got crop; leave"):
        edgeclf.bench([models["stretch"]], data=data, fit="crop", runs=5)


def test_a_model_that_states_its_fit_refuses_another(models: dict[str, Path], data: Path, tmp_path: Path) -> None:
    photo = data / "red" / "000.png"
    for command in (("predict", models["crop"], photo), ("live", models["crop"], "--camera", data / "red")):
        code, stdout, stderr = run(*command, "--fit", "pad")
        assert (code, stdout) == (2, "")
        last = stderr.splitlines()[-1]
        assert "crop.tflite knows how pictures are fitted to its input: expected crop (provenance), got pad" in last
        assert last.endswith("leave --fit out")
    assert run("predict", models["crop"], photo, "--fit", "crop")[0] == 0
    code, _, stderr = run("predict", models["crop"], photo, "--fit", "letterbox")
    assert (code, "unknown fit 'letterbox'; did you mean 'pad'?" in stderr) == (2, True)


def test_inspect_says_what_other_clients_do(models: dict[str, Path], foreign: Path) -> None:
    assert edgeclf.inspect(foreign).fit is None
    plain = edgeclf.inspect(models["stretch"])
    assert (plain.fit, plain.notes) == ("stretch", ())
    for fit in ("crop", "pad"):
        report = edgeclf.inspect(models[fit])
        assert report.fit == fit
        (note,) = report.notes
        assert f"by the fit {fit}" in note
        assert "other clients, such as MediaPipe, stretch them" in note
        assert edgeclf.verify(models[fit]).ok
    assert "letterboxed in gray 128" in edgeclf.inspect(models["pad"]).notes[0]
    code, stdout, stderr = run("inspect", models["crop"])
    assert code == 0
    assert "fit" in stdout
    assert "crop" in stdout
    assert "stretch them" in stderr


def test_files_of_earlier_versions_are_stretched_and_unknown_fits_are_refused(foreign: Path, tmp_path: Path) -> None:
    earlier = own(foreign, {"color": "RGB", "version": 3}, tmp_path / "earlier.tflite")
    assert edgeclf.inspect(earlier).fit == "stretch"
    with pytest.raises(InputError, match="expected stretch"):
        Classifier(earlier, fit="crop")
    for stated, shown in (("tile", "'tile'"), (7, "'7'"), (["crop"], "got"), (None, "'None'")):
        later = own(foreign, {"fit": stated}, tmp_path / "later.tflite")
        with pytest.raises(ModelError, match=rf"later.tflite: expected pictures fitted by one of .*{shown}.*update it"):
            Classifier(later)
        report = edgeclf.inspect(later)
        assert (report.fit, report.integrity) == (None, "verified")
        assert "expected pictures fitted by one of stretch, crop, pad" in report.notes[-1]


def test_what_states_a_fit_decides(foreign: Path, models: dict[str, Path], tmp_path: Path) -> None:
    file = ModelFile.read(foreign)
    assert (resolve_fit(file), resolve_fit(file, "pad")) == ("stretch", "pad")
    assert input_shape(file, "crop") == InputShape(8, 8, "crop")
    assert input_shape(ModelFile.read(models["pad"]), "crop") == InputShape(8, 8, "pad")
    run_folder = tmp_path / "run"
    run_folder.mkdir()
    (run_folder / "run.json").write_text(json.dumps({"config": {"fit": "crop"}}))
    for path in (run_folder, run_folder / "model.keras"):
        assert resolve_network_fit(path) == resolve_network_fit(path, "crop") == "crop"
        with pytest.raises(InputError, match="trained with the fit crop, got pad; leave --fit out"):
            resolve_network_fit(path, "pad")
    assert resolve_network_fit(run_folder / "start.h5", "pad") == "pad"
    assert resolve_network_fit(tmp_path / "net.keras") == "stretch"
    (run_folder / "run.json").write_text(json.dumps({"config": {}}))
    assert resolve_network_fit(run_folder) == "stretch", "an earlier version trained it"
    (run_folder / "run.json").write_text(json.dumps({"config": {"fit": {}}}))
    with pytest.raises(ModelError, match=r"run\.json: expected pictures fitted by one of stretch, crop, pad"):
        resolve_network_fit(run_folder)
