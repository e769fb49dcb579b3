"""What `compress` measures of each model: speed beside the float32 model, and the difference to the float network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import colored_squares
import numpy as np
import pytest

from edgeclf.dataset.types import Dataset
from edgeclf.inference.classifier import Classifier
from edgeclf.measure.machine import describe_machine
from edgeclf.measure.paired_interval import difference_interval
from edgeclf.measure.statistics import mcnemar_p, wilson_interval

tf_keras = pytest.importorskip("tf_keras")
pytest.importorskip("tensorflow_model_optimization")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Dataset]:
    """Two models of one call, their float network, and the data; with labels that chance decides in a tenth."""
    folder = tmp_path_factory.mktemp("speed")
    data = colored_squares.dataset()
    network = colored_squares.network(data)
    labels = data.splits["validation"].labels
    labels[:: len(labels) // 3] = (labels[:: len(labels) // 3] + 1) % 3
    network.save(folder / "net.h5")
    report = colored_squares.compress(
        folder / "net.h5", ["int8", "float32"], data=data, calibration=100, out=folder / "out", speed=True
    )
    return report, network, data


def test_speed_is_measured_beside_the_float32_model_and_kept(made: tuple[Any, Any, Dataset]) -> None:
    report, _, _ = made
    for model in report.models:
        speed = model.speed
        assert speed is not None
        low, high = speed.times_as_fast_interval
        assert 0 < low <= speed.times_as_fast <= high
        assert (speed.cpu, speed.runtime, speed.threads) == (describe_machine().processor, "litert", 1)
        record = json.loads(Path(model.path).with_suffix(".json").read_text())
        assert record["model"]["speed"] == speed.to_dict()
        assert model.written_bytes == model.size_bytes == Path(model.path).stat().st_size


def test_accuracy_is_paired_with_the_float_network_by_hand(made: tuple[Any, Any, Dataset]) -> None:
    report, network, data = made
    split = data.splits["validation"]
    images = np.asarray(split.images)
    before = network.predict(images.astype(np.float32), verbose=0).argmax(1) == split.labels
    for model in report.models:
        after = Classifier(model.path).top1(images) == split.labels
        lost, gained = int((before & ~after).sum()), int((~before & after).sum())
        assert model.images == len(images)
        assert model.top1 == after.mean() < 1
        assert model.top1_interval == wilson_interval(int(after.sum()), len(after))
        assert model.float_top1_interval == wilson_interval(int(before.sum()), len(before))
        assert model.difference == pytest.approx(after.mean() - before.mean())
        assert model.difference_interval == difference_interval(lost, gained, len(images))
        assert model.p_value == mcnemar_p(lost, gained)


def test_a_call_may_leave_timing_out(made: tuple[Any, Any, Dataset], tmp_path: Path) -> None:
    _, network, data = made
    network.save(tmp_path / "net.h5")
    (model,) = colored_squares.compress(tmp_path / "net.h5", "float16", data=data, out=tmp_path, speed=False).models
    assert model.speed is None
