"""Latency and memory of real small models, and the plainly false results that must not come out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from linear_models import fit, load_digits, write_float_model, write_int8_model

from edgeclf.artifact.model_file import ModelFile
from edgeclf.errors import InputError, ModelError
from edgeclf.measure import latency
from edgeclf.measure.latency import Latency, measure_latency, preprocessing_latency
from edgeclf.measure.machine import describe_machine
from edgeclf.measure.memory import measure_memory
from edgeclf.measure.stopwatch import percentiles, warm_up

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    weights, bias = fit(load_digits())
    return (
        write_float_model(folder / "float.tflite", weights, bias),
        write_int8_model(folder / "int8.tflite", weights, bias),
    )


def files(paths: Sequence[Path]) -> list[ModelFile]:
    return [ModelFile.read(path) for path in paths]


def test_each_model_and_thread_count_is_timed_once_in_order(models: tuple[Path, Path]) -> None:
    results = measure_latency(files(models), threads=(1, 2), runs=60, rounds=7)
    assert [(r.path, r.threads) for r in results] == [(str(m), t) for m in models for t in (1, 2)]
    for result in results:
        assert result.runs == 60
        assert 0 < result.latency_ms.median <= result.latency_ms.p90 <= result.latency_ms.p99
        # 1,920 multiplications take microseconds, whatever else the machine does.
        assert result.latency_ms.median < 1.0
        assert result.load_ms > result.latency_ms.median
        assert result.warm_up_runs >= 6
        assert result == Latency.from_json(result.to_json())


def test_runs_are_kept_exactly_when_they_do_not_divide_into_rounds(models: tuple[Path, Path]) -> None:
    for runs in (1, 19, 41):
        assert measure_latency(files(models[:1]), runs=runs)[0].runs == runs


def test_warming_up_does_not_take_a_slow_model_for_one_that_gets_faster() -> None:
    durations = iter([0.2] * 100)
    made, steady, seconds = warm_up(lambda: time.sleep(next(durations)))
    assert steady
    assert made <= 8
    assert 0.2 <= seconds < 0.3


def test_models_take_turns(models: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[int] = []
    real = latency.burst

    def watched(invoke: Any, calls: int) -> Any:
        order.append(id(invoke.__self__))
        return real(invoke, calls)

    monkeypatch.setattr(latency, "burst", watched)
    measure_latency(files(models), runs=60, rounds=10)
    assert len(order) == 20
    rounds = [order[i : i + 2] for i in range(0, 20, 2)]
    assert all(len(set(pair)) == 2 for pair in rounds)  # each round has both
    assert len({tuple(pair) for pair in rounds}) == 2  # and either may come first


def test_percentiles_are_in_milliseconds() -> None:
    figures = percentiles(np.arange(101, dtype=np.int64) * 1_000_000)
    assert (figures.median, figures.p90, figures.p99) == (50.0, 90.0, 99.0)


@pytest.mark.parametrize(
    ("threads", "runs", "words"),
    [
        ((0,), 5, "threads must be from 1 to 256, got 0"),
        ((), 5, "expected a number of threads, got none"),
        ((1,), 0, "runs must be at least 1, got 0"),
    ],
)
def test_impossible_counts_are_refused(
    models: tuple[Path, Path], threads: tuple[int, ...], runs: int, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        measure_latency(files(models), threads=threads, runs=runs)


def test_preprocessing_is_timed_per_photo_and_grows_with_the_photo(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    medians = []
    for side in (32, 1024):
        photos = [tmp_path / f"{side}-{index}.jpg" for index in range(3)]
        for photo in photos:
            cv2.imwrite(str(photo), rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
        figures = preprocessing_latency(photos, 32, 32)
        assert figures is not None
        medians.append(figures.median)
    assert medians[1] > 5 * medians[0]
    assert preprocessing_latency([], 32, 32) is None


def test_memory_is_that_of_a_lean_process(models: tuple[Path, Path]) -> None:
    memory = measure_memory(models[1])
    # A Python process with NumPy and the runtime takes some ten megabytes; one with TensorFlow several hundred.
    assert 2e6 < memory.peak_bytes < 100e6
    if memory.kind == "anonymous":
        assert memory.model_bytes is not None
        # 1,920 weights: what is left is the interpreter itself, not the runtime's import.
        assert memory.model_bytes < 4e6
        assert memory.model_bytes < memory.peak_bytes <= memory.peak_resident_bytes


def test_memory_of_a_larger_model_is_larger_by_its_weights(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    peaks = []
    for outputs in (10, 20_000):
        path = write_float_model(tmp_path / f"{outputs}.tflite", rng.normal(size=(outputs, 192)), np.zeros(outputs))
        peaks.append(measure_memory(path).peak_resident_bytes)
    # 20,000 x 192 weights of four bytes, mapped from the file or copied.
    assert peaks[1] - peaks[0] > 0.8 * 20_000 * 192 * 4


def test_a_model_that_cannot_be_opened_gives_its_own_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"missing\.tflite"):
        measure_memory(tmp_path / "missing.tflite")


def test_the_machine_is_described() -> None:
    machine = describe_machine()
    assert machine.cores >= 1
    assert machine.cpu
    assert machine.python.count(".") == 2
    assert "numpy" in machine.packages
    assert machine == type(machine).from_json(machine.to_json())
    # two processors of one name differ by their instructions
    plain = replace(machine, cpu="AMD EPYC", cpu_flags=())
    assert plain.processor == "AMD EPYC"
    assert replace(plain, cpu_flags=("avx2", "avx512_vnni")).processor == "AMD EPYC with avx2, avx512_vnni"
