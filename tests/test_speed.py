"""What compression gains in speed is measured where the model is made; no sentence claims it."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from linear_models import fit, load_digits, write_float_model, write_int8_model

from edgeclf.artifact.model_file import ModelFile
from edgeclf.measure.machine import describe_machine
from edgeclf.measure.speed import FEWEST_ROUNDS, ROUNDS, Speed, measure_speed, median_interval

CLAIM = re.compile(r"\b(fast|faster|fastest|slow|slower|slows|speeds?|quick\w*|latency)\b", re.IGNORECASE)


def test_a_median_lies_between_the_fourth_and_the_twelfth_of_fifteen() -> None:
    # By the binomial distribution: P(at most 3 of 15 below) = 576 / 32768 = 1.8 %, at most 4: 1941 / 32768 = 5.9 %.
    values = [float(n) for n in np.random.default_rng(0).permutation(15) + 1]
    assert median_interval(values) == (4.0, 12.0)
    assert sum(math.comb(15, k) for k in range(4)) == 576
    # of six, all: 2 / 64 = 3.1 % lie on one side alone
    assert median_interval([6.0, 1.0, 5.0, 2.0, 4.0, 3.0]) == (1.0, 6.0)
    assert median_interval([3.0]) == (3.0, 3.0)


@pytest.mark.alone
def test_a_model_beside_itself_is_as_fast_and_the_machine_is_named(tmp_path: Path) -> None:
    weights, bias = fit(load_digits())
    model = ModelFile.read(write_int8_model(tmp_path / "int8.tflite", weights, bias))
    same = measure_speed(model, model)
    assert same.times_as_fast_interval[0] <= same.times_as_fast <= same.times_as_fast_interval[1]
    assert 0.6 < same.times_as_fast < 1.7
    assert (same.cpu, same.threads, same.runtime) == (describe_machine().processor, 1, "litert")
    assert same.runtime_version
    assert same.runs >= FEWEST_ROUNDS
    assert Speed.from_json(same.to_json()) == same


@pytest.mark.alone
def test_a_larger_network_is_slower_than_its_small_one(tmp_path: Path) -> None:
    """Ten outputs beside 20,000 in float32: 2,000 times the work, of which a tenth must show."""
    small = write_float_model(tmp_path / "small.tflite", np.zeros((10, 192)), np.zeros(10))
    large = write_float_model(tmp_path / "large.tflite", np.zeros((20_000, 192)), np.zeros(20_000))
    speed = measure_speed(ModelFile.read(large), ModelFile.read(small))
    assert speed.times_as_fast_interval[1] < 0.1
    assert speed.median_ms > 10 * speed.float32_median_ms
    assert ROUNDS >= FEWEST_ROUNDS


def test_nothing_that_users_read_about_formats_and_steps_claims_a_speed() -> None:
    from edgeclf.cli.compress import OPTIONS
    from edgeclf.compression.export.model_file_stats import ModelFileStats
    from edgeclf.compression.exporter import known_exporters
    from edgeclf.compression.pipeline.remarks import remarks
    from edgeclf.compression.recipe import parse_recipe

    counted = ModelFileStats(1000, 700, 0.4, 300, 200, (), ("SOFTMAX",), groups=10, groups_off_pattern=2)
    said = [one.help() if callable(one.help) else one.help for one in OPTIONS if one.name != "speed"]
    for name in known_exporters():
        said += remarks(parse_recipe(name), counted)
    for name in ("prune50-int8", "prune2of4-int8", "cluster16-int8", "qat-int8", "prune50-cluster16-qat-int8"):
        said += remarks(parse_recipe(name), counted, 900)
    assert len(said) > 20
    assert [text for text in said if CLAIM.search(text)] == []
