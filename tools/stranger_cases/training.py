"""Training: what begins, what is resumed, what is refused, and what is said on the way."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stranger_cases.case import Finding, case, run_command, run_process

QUICK = ("--epochs", "2", "--batch-size", "4", "--set", "mixed_precision=false")


def _photos(top: Path, each: Mapping[str, int] | None = None) -> Path:
    """Make class folders of flat colours with noise: a split folder each, so that their numbers are known."""
    import cv2

    random = np.random.default_rng(0)
    for split, count in (each or {"train": 4, "validation": 4}).items():
        for name, color in (("cat", 60), ("dog", 180)):
            for number in range(count):
                path = top / split / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), np.clip(random.normal(color, 20, (64, 64, 3)), 0, 255).astype(np.uint8))
    return top


def _network(path: Path) -> Path:
    import tf_keras

    layers = tf_keras.layers
    tf_keras.Sequential(
        [
            layers.Rescaling(1 / 255, input_shape=(16, 16, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    ).save(path)
    return path


class _Fails:
    """A callback that fails in the second epoch, as a power cut would end it."""

    def on_epoch_end(self, epoch: int, metrics: Mapping[str, float]) -> None:
        if epoch == 2:
            raise KeyboardInterrupt


def _interrupted(photos: Path, out: Path, **settings: Any) -> None:
    import edgeclf

    try:
        edgeclf.train(photos, out=out, callbacks=[_Fails()], epochs=2, batch_size=4, mixed_precision=False, **settings)
    except KeyboardInterrupt:
        return
    raise AssertionError("it was not interrupted")


@case("budget", "a file of 20 kB is asked for, which no pretrained network fits")
def nothing_fits(folder: Path) -> Finding:
    photos = _photos(folder / "photos")
    done = run_command("train", photos, "--for", "mcu", "--max-size", "20", folder=folder)
    named = re.search(r"the nearest, (\S+).*? takes .* of at most 20.0 kB", done.stderr)
    left = (folder / "runs").exists()
    got = f"{named[1] if named else 'nothing'} named, exit {done.code}{', a folder left' if left else ''}"
    return Finding("mobilenet-v1 named, exit 2", got, got == "mobilenet-v1 named, exit 2")


# tests/test_resume_starts.py resumes it too, from Python; the next case resumes on the command line
@case("resume", "a run that began from the shipped backbone, interrupted after its first epoch", slow=True)
def resume_from_backbone(folder: Path) -> Finding:
    os.environ["https_proxy"], before = "http://127.0.0.1:9", os.environ.get("https_proxy")
    try:
        photos = _photos(folder / "photos")
        _interrupted(photos, folder / "run", model="mobilenet-v1", image_size=32)
        done = run_command("train", photos, "--out", folder / "run", "--resume", "--json")
    finally:
        os.environ.pop("https_proxy") if before is None else os.environ.update(https_proxy=before)
    epochs = json.loads(done.stdout).get("epochs") if done.stdout else done.stderr
    return Finding("2 epochs", f"{epochs} epochs, exit {done.code}", (epochs, done.code) == (2, 0))


@case("resume", "a run that began from a file, interrupted after its first epoch")
def resume_from_file(folder: Path) -> Finding:
    photos, network = _photos(folder / "photos"), _network(folder / "net.h5")
    _interrupted(photos, folder / "run", weights=str(network))
    done = run_command("train", photos, "--out", folder / "run", "--resume", "--json")
    epochs = json.loads(done.stdout).get("epochs") if done.stdout else done.stderr
    return Finding("2 epochs", f"{epochs} epochs, exit {done.code}", (epochs, done.code) == (2, 0))


@case("failed commands", "the same --out after a training that failed in its first epoch")
def corrected_after_failure(folder: Path) -> Finding:
    import edgeclf

    class Fails:
        def on_epoch_end(self, epoch: int, metrics: Mapping[str, float]) -> None:
            raise OSError(28, "No space left on device")

    photos, network = _photos(folder / "photos"), _network(folder / "net.h5")
    try:
        edgeclf.train(photos, out=folder / "run", weights=str(network), callbacks=[Fails()])
    except OSError:
        left = sorted(path.name for path in (folder / "run").iterdir())
    done = run_command("train", photos, "--out", folder / "run", "--weights", network, "--image-size", "24", *QUICK)
    return Finding("the corrected command trains", f"exit {done.code}, where {', '.join(left)} lay", done.code == 0)


@case("two commands", "on one run folder; the first is then killed")
def two_commands(folder: Path) -> Finding:
    program = (
        "import sys, pathlib; from edgeclf.artifact.folder_lock import lock_folder\n"
        "with lock_folder(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", program, str(folder / "run")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert first.stdout is not None
    first.stdout.readline()
    second = run_command("train", "digits", "--out", folder / "run")
    first.send_signal(signal.SIGKILL)
    first.wait()
    third = run_command("train", "digits", "--out", folder / "run", "--weights", folder / "missing.h5")
    refused = second.code == 2 and "works in this folder" in second.stderr
    freed = "missing.h5" in third.stderr
    return Finding("refused, then free", f"refused: {refused}, then free: {freed}", refused and freed)


@case("damaged files", "a checkpoint of zero bytes")
def empty_checkpoint(folder: Path) -> Finding:
    photos, network = _photos(folder / "photos"), _network(folder / "net.h5")
    _interrupted(photos, folder / "run", weights=str(network))
    (folder / "run" / "checkpoint" / "state.npz").write_bytes(b"")
    done = run_command("train", photos, "--out", folder / "run", "--resume")
    right = done.code == 2 and "the file is empty; start again with --overwrite" in done.stderr
    return Finding("exit 2, the file is empty", done.stderr.strip().rpartition("/")[2], right)


@case("what train says", "40 photos, 24 of them for validation and test, offline")
def few_photos(folder: Path) -> Finding:
    photos = _photos(folder / "photos", {"train": 8, "validation": 6, "test": 6})
    done = run_command("train", photos, "--out", folder / "my run", "--weights", _network(folder / "net.h5"), *QUICK)
    said = [
        "network: net, ", "parameters, input 16×16 pixels, starts from net.h5",
        "images: 16 train, 12 validation, 12 test; 2 classes", "2 epochs of 4 steps of 4 images on ",
    ]  # fmt: skip
    shown = ["too few to tell", "Plots: ", "History: ", "Logs: ", "Run folder: ", "; ended 20", "'"]
    missing = [text for text in said if text not in done.stderr] + [text for text in shown if text not in done.stdout]
    verdict = re.search("overfitting|underfitting|healthy", done.stdout)
    right = done.code == 0 and not missing and verdict is None
    return Finding("all said, no verdict", f"missing: {missing}, verdict: {verdict}", right)


@case("refusals", "six misspelt or impossible commands")
def refusals(folder: Path) -> Finding:
    photos = _photos(folder / "photos")
    commands = {
        "train --lr 0.1": "--learning-rate",
        "train --device 0": "CUDA_VISIBLE_DEVICES",
        f"train {photos} --model resnet-8": "did you mean 'resnet8'",
        f"train {photos} --image-size 30": "multiple of 8",
        f"bench digits --data {photos} --split val": "did you mean 'validation'",
        "export digits": "did you mean 'compress'",
    }
    wrong = []
    for line, expected in commands.items():
        done = run_command(*line.split())
        if done.code != 2 or expected not in done.stderr or done.stderr.count("\n") != 1:
            wrong.append(line)
    slow = run_process("train", str(photos), "--weights", "missing.h5", "--debug")
    wrong += ["TensorFlow was imported"] if "training/run.py" in slow.stderr else []
    return Finding("one line each, exit 2", "all" if not wrong else f"not {wrong}", not wrong)


@case("Python", "EarlyStopping of tf_keras with restore_best_weights")
def early_stopping(folder: Path) -> Finding:
    import tf_keras

    import edgeclf

    photos, network = _photos(folder / "photos"), _network(folder / "net.h5")
    rates: list[float] = []
    watching = tf_keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: rates.append(logs["loss"]))
    # By hand: the loss of the first epoch is the highest, so the second is the last, and the first is kept.
    stopping = tf_keras.callbacks.EarlyStopping("loss", mode="max", patience=1, restore_best_weights=True)
    report = edgeclf.train(
        photos, out=folder / "run", weights=str(network), epochs=9, batch_size=4, callbacks=[watching, stopping]
    )
    best = 1 + rates.index(max(rates))
    expected, got = f"{best + 1} epochs, {best} kept", f"{report.epochs} epochs, {report.kept_epoch} kept"
    return Finding(expected, got, expected == got)
