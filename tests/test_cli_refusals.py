"""What cannot work is refused before TensorFlow is imported, in one line, and leaves nothing behind."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import pytest
from photo_folders import make_folder

from edgeclf.training.checkpoint import TrainingState, save_checkpoint
from edgeclf.training.config import TrainConfig

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """
import contextlib, io, json, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in ("tensorflow", "tf_keras", "tensorflow_model_optimization"):
            raise SystemExit(f"{name} is imported")

from typer.main import get_command
from edgeclf import extras
from edgeclf.cli.main import app

extras.require = lambda what, *modules: None
import edgeclf.api.on_host, edgeclf.api.benchmark, edgeclf.api.without_labels
edgeclf.api.without_labels.require = edgeclf.api.on_host.require = edgeclf.api.benchmark.require = extras.require
edgeclf.api.benchmark.installed = lambda module: True
sys.meta_path.insert(0, Refuse())
for arguments in json.load(sys.stdin):
    shown = io.StringIO()
    with contextlib.redirect_stderr(shown):
        try:
            code = get_command(app).main(arguments, prog_name="edgeclf", standalone_mode=False)
        except SystemExit as error:
            code, _ = 99, shown.write(f"{error}\\n")
    print(json.dumps([code, shown.getvalue().splitlines()[-1:]]))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("refusals")
    make_folder(top / "photos", {"cat": 4, "dog": 4})
    config = TrainConfig(model="resnet8", epochs=3).to_dict()
    for name, finished in (("done", True), ("damaged", False)):
        (top / name / "checkpoint").mkdir(parents=True)
        (top / name / "run.json").write_text(json.dumps({"name": name, "finished": finished, "config": config}))
        save_checkpoint(top / name / "checkpoint" / "state.npz", [], [], TrainingState(epoch=1))
    (top / "damaged" / "history.csv").write_text("epoch\n1\n2\n")
    (top / "damaged" / "checkpoint" / "state.npz").write_bytes(b"")
    (top / "start").mkdir()
    start = {"name": "start", "finished": True, "pretraining": "rotation", "config": {}, "data": {"class_names": []}}
    (top / "start" / "run.json").write_text(json.dumps(start))
    (top / "start" / "model.keras").touch()
    (top / "empty.h5").touch()
    with zipfile.ZipFile(top / "net.keras", "w") as archive:
        archive.writestr("metadata.json", '{"keras_version": "2.21.0"}')
        archive.writestr("config.json", '{"class_name": "Sequential", "config": {"name": "net", "layers": []}}')
        weights = io.BytesIO()
        h5py.File(weights, "w").close()
        archive.writestr("model.weights.h5", weights.getvalue())
    (top / "out").mkdir()
    (top / "out" / "net-int8.tflite").touch()
    return top


CASES = [
    ("train photos --model resnet-8", "unknown model 'resnet-8'; did you mean 'resnet8'?"),
    ("train photos --set lr=1", "unknown setting 'lr'; did you mean 'learning_rate'?"),
    ("train photos --image-size 30", "image_size must be a multiple of 8, got 30"),
    (
        "train photos --weights none --model mobilenet-v1 --image-size 40",
        "image_size of mobilenet-v1 must be a multiple of 32, got 40",
    ),
    ("train photos --model resnet8 --width 2", "resnet8 has no width multiplier, got --width 2"),
    ("train photos --model cnn --set progressive=true", "cnn is built for one size"),
    ("train photos --set l1=0.1 --model mobilenet-v1", "l1 can be set for training from scratch only"),
    ("train photos --weights missing.h5", "missing.h5: cannot be read (no such file or folder)"),
    ("train photos --weights empty.h5", "empty.h5: the file is empty"),
    ("train photos --for pi6", "unknown board 'pi6'; did you mean 'pi5'? (known: mcu, pi4, pi5, zero2)"),
    ("train photos --for missing.json --max-latency 5", "missing.json: no such file or directory; expected the bench"),
    ("train photos --for missing.json", "--for missing.json says how fast a board is; add --max-latency TIME"),
    ("train photos --max-size 20", "no network fits --max-size 20 (600 M MACs, 20.0 kB): the nearest, "),
    ("train photos --max-size 20KB", "no network fits --max-size 20 (600 M MACs, 20.0 kB): the nearest, "),
    ("train photos --max-size 0", "max_size must be between 1 and 1e+06, got 0"),
    ("train photos --max-size small", "--max-size takes a size such as 500MB or 2GB, got 'small'"),
    ("train photos --max-latency nan", "--max-latency must be above 0 and finite, got 'nan'"),
    ("tune photos --max-latency 5mm", "--max-latency takes a time such as 5ms or 800us, got '5mm'"),
    ("train nothing/there", "nothing/there"),
    ("train ~nobody-here/photos", "~nobody-here/photos: does not exist"),
    (f"audit {'x' * 300}", "file name too long"),
    ("train photos --teacher nowhere", "--teacher nowhere: expected a run folder, a model file, recorded predictions"),
    ("train photos --teacher gone.npz", "--teacher gone.npz: expected a run folder, a model file, recorded"),
    ("train photos --resume --overwrite", "--resume continues an earlier run and --overwrite replaces it; give one of"),
    ("train photos --out done", "done: holds a run already; continue it with --resume"),
    ("train photos --out damaged --resume", "state.npz: the run cannot be resumed, the file is empty"),
    ("train photos --out empty.h5", "empty.h5: is a file; a run folder was expected"),
    ("pretrain photos", "photos: expected at least 16 images to learn from, got 8"),
    ("pretrain done", "done: no images found"),
    ("pretrain photos --method simclr", "unknown method 'simclr'; known: barlow-twins, rotation"),
    ("pretrain photos --method rotation --image-size 32x16", "rotation turns images by 90 degrees and needs a square"),
    ("pretrain photos --set balance=over", "balance cannot be set for pretrain, which has no labels"),
    ("pretrain digits --model resnet-8", "unknown model 'resnet-8'; did you mean 'resnet8'?"),
    ("pretrain digits --out done --resume", "done is a run of edgeclf train, which edgeclf pretrain cannot continue"),
    ("train photos --out start --resume", "start is a run of edgeclf pretrain, which edgeclf train cannot continue"),
    *(
        (line, "start: has no classes, because it learned without labels; train from it: edgeclf")
        for line in (
            "compress start",
            "compress start/model.keras",
            "bench start",
            "predict start photos/cat/000.png",
            "live start",
            "train photos --from start",
        )
    ),
    ("compress missing.h5", "missing.h5: cannot be read (no such file or folder)"),
    ("compress done", "done: has no model.keras yet"),
    (
        "compress net.keras --int8 --data photos --out out",
        "out/net-int8.tflite: exists; replace it with --overwrite or use another --out",
    ),
    ("compress net.keras --int8 --data nothing/there", "nothing/there"),
    ("compress net.keras --int8 --set lr=1", "unknown setting 'lr'; did you mean 'learning_rate'?"),
    (
        "bench MODEL --split val",
        "unknown split 'val'; did you mean 'validation'? (known: all, test, train, validation)",
    ),
    ("bench MODEL --data nothing/there", "nothing/there"),
    ("bench MODEL --data photos --baseline missing.h5", "missing.h5: cannot be read (no such file or folder)"),
]


def test_refusals_come_before_tensorflow_and_leave_nothing(place: Path) -> None:
    model = str(ROOT / "models" / "digits" / "digits-int8.tflite")
    before = sorted(path.relative_to(place) for path in place.rglob("*"))
    commands = [[model if word == "MODEL" else word for word in line.split()] for line, _ in CASES]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(commands),
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    for (command, expected), (code, lines) in zip(CASES, results, strict=True):
        assert code == 2, (command, lines)
        assert expected in lines[0], (command, lines)
    assert sorted(path.relative_to(place) for path in place.rglob("*")) == before
