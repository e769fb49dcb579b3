"""A training whose network was chosen by a budget, from the command to the file for the board."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")
from photo_folders import make_folder

import edgeclf
from edgeclf.dataset.probing import DataProbe
from edgeclf.progress import SILENT
from edgeclf.training.budget.choice import NothingFitsError
from edgeclf.training.budget.planning import choose_network
from edgeclf.training.config import TrainConfig

pytestmark = pytest.mark.slow


class Interrupts:
    """A callback that ends the training in its second epoch, as Ctrl-C does."""

    def on_epoch_end(self, epoch: int, metrics: Mapping[str, float]) -> None:
        if epoch == 2:
            raise KeyboardInterrupt


def test_a_run_keeps_its_choice_and_the_file_is_compared_with_the_budget(tmp_path: Path) -> None:
    photos, out = make_folder(tmp_path / "photos", {"cat": 12, "dog": 12}), tmp_path / "run"
    common = {"out": out, "epochs": 2, "batch_size": 4, "max_size": 120.0}
    with pytest.raises(KeyboardInterrupt):
        edgeclf.train(photos, callbacks=[Interrupts()], **common)
    began = json.loads((out / "run.json").read_text())
    assert (began["config"]["model"], began["config"]["image_size"]) == ("resnet8", 48)
    assert began["config"]["max_size"] == 120
    report = edgeclf.train(photos, out=out, resume=True)
    assert report.epochs == 2
    assert report.choice is not None
    assert report.choice.to_dict() == began["choice"]
    assert (report.model, report.image_size) == (report.choice.chosen.network, report.choice.chosen.image_size)
    assert any("fits --max-size 120" in note for note in report.notes)
    (model,) = edgeclf.compress(out, int8=True, speed=False).models
    assert model.size_bytes == pytest.approx(report.choice.chosen.size_bytes, rel=0.05)
    assert model.size_bytes <= 120_000
    inspected = edgeclf.inspect(model.path)
    assert inspected.macs == report.choice.chosen.macs
    assert inspected.activation_bytes == report.choice.chosen.activation_bytes
    assert any("within --max-size 120" in note for note in model.notes)


def test_latency_is_measured_from_the_best_down() -> None:
    icons = DataProbe("icons", ("a", "b"), 100, {}, 16, 16)
    fast = TrainConfig(model="resnet8", max_latency=1000.0)
    config, choice = choose_network(fast, icons, trust_model=False, progress=SILENT)
    assert (config.model, config.image_size) == ("resnet8", 16)
    assert choice is not None
    assert choice.chosen.latency_ms is not None
    assert 0 < choice.chosen.latency_ms < 1000
    assert "measured on" in choice.latency_from
    with pytest.raises(NothingFitsError, match=r"resnet8 at \d+ pixels, takes .* µs of at most 1 µs"):
        choose_network(fast.replace(max_latency=0.001), icons, trust_model=False, progress=SILENT)
