"""Two workers on loopback, and two devices of one worker, train like one with the same global batch."""

from __future__ import annotations

import csv
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from edgeclf.dataset import load_dataset
from edgeclf.errors import InputError
from edgeclf.measure.formatting import counted
from edgeclf.training.augmentation import LEVELS
from edgeclf.training.config import TrainConfig
from edgeclf.training.distribution import choose_devices
from edgeclf.training.pipeline import TrainingBatches, WorkerPart

# Batch normalization sees the whole batch, so only the order of sums differs. Measured: 2e-7 in three epochs, with a
# tenth of the usual learning rate; without dropout, whose masks are others on each device.
LOSS_TOLERANCE = 1e-5
CONFIG = TrainConfig(
    model="small",
    image_size=8,
    epochs=3,
    batch_size=64,
    learning_rate=0.007,
    augment="light",
    dropout=0.0,
    mixed_precision=False,
)
SMALL = """
import sys
from edgeclf import train
from edgeclf.training import run
from edgeclf.training.config import TrainConfig
from edgeclf.training.networks import NETWORKS, Network
def build(x, width, blocks):
    return blocks.layers.GlobalAveragePooling2D()(blocks.convolution(blocks.convolution(x, 16), 16))
NETWORKS["small"] = Network(build, "two convolutions with batch normalization")
"""
"""What every program begins with: a network that TensorFlow traces in little time."""
PROGRAM = """
from edgeclf.errors import EdgeclfError
devices = run.choose_devices()  # TensorFlow joins a cluster once a process
run.choose_devices = lambda: devices
for call in sys.argv[2:]:
    out, _, resume = call.partition("?")
    try:
        print(train("digits", TrainConfig.from_json(sys.argv[1]), out=out, resume=bool(resume)).epochs)
    except EdgeclfError as error:
        print(f"{type(error).__name__}: {error}")
"""
RESUMED = "?resume"
"""Behind the folder of a call that is to go on with what is there."""
TWO_DEVICES = """
import tensorflow as tf
from edgeclf.errors import InputError
from edgeclf.training.distribution import Devices
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
run.choose_devices = lambda: Devices(strategy, 0, 1, "2 CPUs")
config = TrainConfig.from_json(sys.argv[1])
try:
    train("digits", config.replace(batch_size=63), out=sys.argv[2])
except InputError as error:
    print(error)
train("digits", config, out=sys.argv[2])
"""


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start(program: str, workers: list[list[str]]) -> list[subprocess.Popen[str]]:
    """One process for each list of calls, made in order; several are workers of one cluster."""
    cluster = [f"127.0.0.1:{port}" for port in free_ports(len(workers))]
    processes = []
    for worker, calls in enumerate(workers):
        environment = dict(os.environ)
        if len(workers) > 1:
            task = {"type": "worker", "index": worker}
            environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": cluster}, "task": task})
        command = [sys.executable, "-c", SMALL + program, CONFIG.to_json(), *calls]
        pipe = subprocess.PIPE
        processes.append(subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True))
    return processes


def finish(processes: list[subprocess.Popen[str]]) -> list[str]:
    """Output and errors of each, once all have ended well."""
    try:
        outputs = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, outputs, strict=True):
        assert process.returncode == 0, errors[-2000:]
    return [output + errors for output, errors in outputs]


def curve(folder: Path, column: str = "loss") -> list[float]:
    with (folder / "history.csv").open() as stream:
        return [float(row[column]) for row in csv.DictReader(stream)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one") / "run"
    finish(start(PROGRAM, [[str(folder)]]))
    return folder


class Two(NamedTuple):
    """What two workers made, and printed: of training, of beginning there again, of going on with what is finished."""

    folder: Path
    outputs: list[str]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Two:
    folder = tmp_path_factory.mktemp("two") / "run"
    calls = [str(folder), str(folder), str(folder) + RESUMED]
    return Two(folder, finish(start(PROGRAM, [calls, calls])))


def normalizations(folder: Path) -> list[dict[str, object]]:
    import tf_keras

    model = tf_keras.models.load_model(folder / "model.keras", compile=False)
    return [layer.get_config() for layer in model.layers if isinstance(layer, tf_keras.layers.BatchNormalization)]


@pytest.mark.slow
def test_two_workers_follow_the_loss_curve_of_one(alone: Path, two: Two) -> None:
    assert len(curve(two.folder)) == CONFIG.epochs
    assert curve(two.folder) == pytest.approx(curve(alone), abs=LOSS_TOLERANCE)
    assert json.loads((two.folder / "run.json").read_text())["report"]["device"] == "2 workers"
    # What one device is to run knows nothing of several.
    assert not any(config.get("synchronized") for config in normalizations(two.folder))


@pytest.mark.slow
def test_workers_that_find_a_run_end_together(two: Two) -> None:
    for output in two.outputs:
        printed = [line for line in output.splitlines() if line == "3" or line.startswith("OutputError: ")]
        assert (printed[0], printed[2]) == ("3", "3")
        assert "holds a run already" in printed[1]


@pytest.mark.slow
def test_a_killed_worker_ends_the_other_and_both_resume(alone: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    left, killed = start(PROGRAM, [[str(folder)]] * 2)
    waited = time.monotonic()
    while not (folder / "checkpoint" / "state.npz").exists():
        assert time.monotonic() < waited + 300
        time.sleep(0.05)
    killed.kill()
    killed.communicate()
    (output,) = finish([left])
    assert "RunFailedError: another worker was lost" in output
    done = len(curve(folder))
    assert 0 < done < CONFIG.epochs
    copied = shutil.copytree(folder, tmp_path / "copied")
    shutil.rmtree(copied / "checkpoint")
    calls = [[str(place) + RESUMED, str(folder) + RESUMED] for place in (folder, copied)]
    both = finish(start(PROGRAM, calls))
    found = f"different runs there ({counted(done, 'epoch')}, 0 epochs)"
    assert all(found in text for text in both), both
    assert curve(folder) == pytest.approx(curve(alone), abs=LOSS_TOLERANCE)


@pytest.mark.slow
def test_two_devices_divide_each_batch(alone: Path, tmp_path: Path) -> None:
    (output,) = finish(start(TWO_DEVICES, [[str(tmp_path / "run")]]))
    assert "batch_size must be a multiple of the 2 devices that divide it (2 CPUs), got 63; choose" in output
    assert curve(tmp_path / "run") == pytest.approx(curve(alone), abs=LOSS_TOLERANCE)


def test_the_devices_of_a_worker_divide_its_part_of_the_batch() -> None:
    split = load_dataset("digits", image_size=8).splits["train"]
    batches = TrainingBatches(split, 10, 64, LEVELS["light"], "none", 0)
    whole = [[np.asarray(part) for part in step] for step in batches.epoch(1)]
    shared = [[np.asarray(part) for part in step] for step in batches.epoch(1, part=WorkerPart(1, 2, 2))]
    assert len(shared) == 2 * len(whole)
    for number, step in enumerate(whole):
        for index, values in enumerate(step):
            of_both = np.concatenate([shared[2 * number][index], shared[2 * number + 1][index]])
            np.testing.assert_array_equal(of_both, values[32:])


def test_a_cluster_that_names_no_workers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["127.0.0.1:1"]}, "task": {"type": "worker", "index": 3}}')
    with pytest.raises(InputError, match="TF_CONFIG names no cluster of workers"):
        choose_devices()
