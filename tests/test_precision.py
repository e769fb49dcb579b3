"""Activations are in bfloat16 where that was measured to train faster, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from photo_folders import make_folder

pytest.importorskip("tensorflow")

from edgeclf import train
from edgeclf.training import precision
from edgeclf.training.config import TrainConfig

AMX = frozenset({"avx512f", "amx_bf16"})
AVX = frozenset({"avx512f", "avx512_bf16"})
OTHER = frozenset({"avx512f", "avx512_vnni"})


@pytest.mark.parametrize(
    ("model", "flags", "faster"),
    [
        ("resnet8", AMX, True),
        ("resnet8", AVX, True),
        ("cnn", AMX, True),
        ("mobilenet-v1", AMX, False),
        ("mobilenet-v1", AVX, False),
        ("resnet8", OTHER, False),
    ],
)
def test_bfloat16_is_for_plain_convolutions_on_processors_that_have_it(
    monkeypatch: pytest.MonkeyPatch, model: str, flags: frozenset[str], faster: bool
) -> None:
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    monkeypatch.setattr(precision, "processor_flags", lambda: flags)
    assert precision.bfloat16_is_faster(model) is faster
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert precision.bfloat16_is_faster(model) is False


@pytest.mark.slow
@pytest.mark.parametrize(("given", "flags", "used"), [(None, AMX, True), (None, OTHER, False), (False, AMX, False)])
def test_what_was_chosen_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: bool | None, flags: frozenset[str], used: bool
) -> None:
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    monkeypatch.setattr(precision, "processor_flags", lambda: flags)
    photos = make_folder(tmp_path / "photos", {"cat": 12, "dog": 12})
    config = TrainConfig(model="resnet8", image_size=8, epochs=1, weights="none", mixed_precision=given)
    train(photos, config, out=tmp_path / "run")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["config"]["mixed_precision"] is used
