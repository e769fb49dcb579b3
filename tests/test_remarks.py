"""Remarks about a model file: where it falls short of the recipe, and sizes that were measured."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edgeclf.artifact.model_file import ModelFile
from edgeclf.compression.recipe import parse_recipe

pytest.importorskip("tensorflow")
import linear_models

from edgeclf.compression.export.int8_format import CORRECTION_BYTES, FEWEST_CORRECTION_IMAGES, correction_images
from edgeclf.compression.export.model_file_stats import ModelFileStats, model_file_stats
from edgeclf.compression.pipeline.remarks import remarks

FACTS = ModelFileStats(1000, 700, 0.5, 30, 16, (), ())


def said(recipe: str, facts: ModelFileStats = FACTS, plain: int | None = None) -> str:
    return "\n".join(remarks(parse_recipe(recipe), facts, plain))


def test_what_was_asked_for_and_is_there_is_no_shortfall() -> None:
    assert "asked for" not in said("prune50-int8")
    assert "asked for" not in said("cluster16-int8")
    assert "asked for" not in said("prune2of4-int8")


def test_shortfalls_are_said() -> None:
    assert "asked for 60.0 % zeros, but the file has 50.00 %" in said("prune60-int8")
    assert "asked for 8 distinct weights, but the file has up to 16 in one output channel" in said("cluster8-int8")
    broken = dataclasses.replace(FACTS, groups=100, groups_off_pattern=7)
    assert "asked for 2:4, but 7 of 100 groups of four input channels" in said("prune2of4-int8", broken)


def test_gzip_is_compared_only_with_what_was_made() -> None:
    assert "1,000 bytes, after gzip 700 bytes)" in said("prune50-int8")
    assert "after gzip 700 bytes; plain int8 after gzip: 900 bytes)" in said("prune50-int8", plain=900)
    assert "help" not in said("prune50-cluster16-int8")


@pytest.mark.parametrize("broken", [0, 3])
def test_two_of_four_is_counted_along_the_input_channels(broken: int, tmp_path: Path) -> None:
    weights = np.tile([0.5, 0.0, 0.0, 0.25], (10, 48))
    weights[0, 1 : 1 + 4 * broken : 4] = 0.125
    path = linear_models.write_int8_model(tmp_path / "model.tflite", weights, np.zeros(10))
    facts = model_file_stats(ModelFile.read(path))
    assert (facts.groups, facts.groups_off_pattern) == (480, broken)


def test_bias_correction_looks_at_fewer_images_in_large_networks() -> None:
    assert correction_images(12_500_000, 32 * 32 * 16) == correction_images(10**9, 80 * 80 * 96) == 256
    assert correction_images(10**10, 1) == 10**12 // 10**10 == 100
    assert correction_images(10**12, 1) == FEWEST_CORRECTION_IMAGES == 32
    assert correction_images(10**6, 5 * 10**6) == CORRECTION_BYTES // (3 * 5 * 10**6) == 66
    assert correction_images(10**6, 10**12) == 1
