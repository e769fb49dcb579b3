"""Two workers on loopback train like one worker with the same global batch."""

from __future__ import annotations

import csv
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")

from edgeclf.errors import InputError
from edgeclf.training.config import TrainConfig
from edgeclf.training.distribution import choose_devices

# Each worker normalizes its own half of the batch, so the curves are close, not equal.
LOSS_TOLERANCE = 0.05
CONFIG = TrainConfig(model="cnn", image_size=16, epochs=3, batch_size=64, augment="light", dropout=0.0)
PROGRAM = """
import sys
from edgeclf.training.config import TrainConfig
from edgeclf.training.run import train
train("digits", TrainConfig.from_json(sys.argv[1]), out=sys.argv[2])
"""


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start(folder: Path, cluster: list[str] | None = None, worker: int = 0) -> subprocess.Popen[bytes]:
    environment = dict(os.environ)
    if cluster:
        task = {"type": "worker", "index": worker}
        environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": cluster}, "task": task})
    command = [sys.executable, "-c", PROGRAM, CONFIG.to_json(), str(folder)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)


def losses(folder: Path) -> list[float]:
    with (folder / "history.csv").open() as stream:
        return [float(row["loss"]) for row in csv.DictReader(stream)]


@pytest.mark.slow
def test_two_workers_follow_the_loss_curve_of_one(tmp_path: Path) -> None:
    cluster = [f"127.0.0.1:{port}" for port in free_ports(2)]
    workers = [start(tmp_path / "two", cluster, number) for number in range(2)]
    for worker in workers:
        _, errors = worker.communicate(timeout=600)
        assert worker.returncode == 0, errors.decode()[-2000:]
    alone = start(tmp_path / "one")
    _, errors = alone.communicate(timeout=600)
    assert alone.returncode == 0, errors.decode()[-2000:]
    two, one = losses(tmp_path / "two"), losses(tmp_path / "one")
    assert len(two) == len(one) == CONFIG.epochs
    assert two == pytest.approx(one, abs=LOSS_TOLERANCE)
    assert json.loads((tmp_path / "two" / "run.json").read_text())["report"]["device"] == "2 workers"


def test_a_cluster_that_names_no_workers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["127.0.0.1:1"]}, "task": {"type": "worker", "index": 3}}')
    with pytest.raises(InputError, match="TF_CONFIG names no cluster of workers"):
        choose_devices()
