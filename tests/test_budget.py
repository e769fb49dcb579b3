"""What a network costs, and the choice among networks by what a board can carry; nothing here loads TensorFlow."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeclf.artifact.graph_bounds import peak_bytes, peak_of_steps
from edgeclf.artifact.inspection import inspect
from edgeclf.artifact.model_file import ModelFile
from edgeclf.dataset.probing import DataProbe
from edgeclf.errors import InputError
from edgeclf.keras_files.configuration import read_configuration
from edgeclf.measure.machine import describe_machine
from edgeclf.measure.report import BenchReport, ModelResult
from edgeclf.measure.report_file import save_report
from edgeclf.measure.stopwatch import Percentiles
from edgeclf.training.budget import planning
from edgeclf.training.budget.candidates import Candidate
from edgeclf.training.budget.choice import NothingFitsError, choose
from edgeclf.training.budget.cost import CostLedger, UncountableError
from edgeclf.training.budget.counting import count_configuration, network_cost, own_side
from edgeclf.training.budget.limits import BOARDS, Limits
from edgeclf.training.budget.planning import choose_network
from edgeclf.training.budget.speed import BoardSpeed, estimate_latency
from edgeclf.training.budget.tflite_counting import count_tflite
from edgeclf.training.config import TrainConfig
from edgeclf.training.networks import find_network

ROOT = Path(__file__).resolve().parents[1]
PHOTOS = DataProbe("photos", tuple("abcdefghij"), 3000, {}, 400, 300)
ICONS = DataProbe("icons", tuple("ab"), 3000, {}, 32, 32)


class Heard:
    """A progress that keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.info = self.warn = self.lines.append


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No download works; the addresses that were asked for."""
    asked: list[str] = []

    def refuse(url: str, *_: object) -> bool:
        asked.append(url)
        return False

    monkeypatch.setattr(planning, "fetch_weights", refuse)
    return asked


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "fetch_weights", lambda *_: True)


def chosen(probe: DataProbe = PHOTOS, **given: object) -> tuple[str | None, float | None, int | None]:
    config, _ = choose_network(TrainConfig().replace(**given), probe, trust_model=False, progress=Heard())
    return config.model, config.width, config.image_size


def test_a_convolution_is_counted_as_by_hand() -> None:
    ledger = CostLedger()
    x = ledger.normalize(ledger.convolution(ledger.input(32, 32), 16, (3, 3), (2, 2), "same"))
    cost = ledger.cost_of(ledger.dense(ledger.add([x], (16,)), 10))
    assert cost.macs == 16 * 16 * 16 * 3 * 3 * 3 + 16 * 10
    assert cost.parameters == (3 * 3 * 3 * 16 + 16) + (16 * 10 + 10)
    # the image and the maps are alive together; everything behind is smaller
    assert cost.activation_bytes == 32 * 32 * 3 + 16 * 16 * 16


def test_networks_cost_what_is_published_of_them() -> None:
    # Howard et al., 2017, table 6: 41 and 76 M, 0.47 and 1.3 M parameters; Sandler et al., 2018, table 4: 300 M, 3.4 M
    assert round(network_cost("mobilenet-v1", 0.25, 224, 1000).macs / 1e6) == 41
    assert round(network_cost("mobilenet-v1", 0.5, 160, 1000).macs / 1e6) == 77
    full = network_cost("mobilenet-v2", 1.0, 224, 1000)
    assert (round(full.macs / 1e6), round(full.parameters / 1e5)) == (301, 35)


@pytest.mark.parametrize("name", ["cifar10", "digits"])
def test_a_network_costs_what_its_file_holds(name: str) -> None:
    path = ROOT / "models" / name / f"{name}-int8.tflite"
    report, side = inspect(path), ModelFile.read(path).shape.height
    cost = network_cost("resnet8", None, side, 10)
    assert (cost.macs, cost.parameters) == (report.macs, report.parameters)
    assert cost.activation_bytes == report.activation_bytes == peak_bytes(ModelFile.read(path).graph, {})
    # the estimate is of the network; what is fitted for unknown images takes a few kilobytes more
    assert cost.size_bytes == pytest.approx(report.size_bytes - 3_000, rel=0.03)


@pytest.mark.parametrize(
    ("name", "classes"), [("mobilenet_v2_1.0_224_int8", 1001), ("mobilenet_v1_0.5_160_uint8", 1001)]
)
def test_a_file_is_counted_at_its_own_size_and_at_others(shared_data: Path, name: str, classes: int) -> None:
    file = ModelFile.read(shared_data / "imagenet" / f"{name}.tflite")
    count, report = count_tflite(file, classes), inspect(file.path or "")
    own = count(file.shape.height)
    assert (own.macs, own.parameters) == (report.macs, report.parameters)
    assert own.activation_bytes == report.activation_bytes
    network = {"mobilenet_v2_1.0_224_int8": ("mobilenet-v2", 1.0), "mobilenet_v1_0.5_160_uint8": ("mobilenet-v1", 0.5)}
    assert count(96).macs == network_cost(*network[name], 96, classes).macs


def test_a_keras_file_is_counted_without_its_head(shared_data: Path) -> None:
    _, config = read_configuration(shared_data / "vww_96.h5")
    assert own_side(config) == 96
    assert count_configuration(config, 10)(96).macs == network_cost("mobilenet-v1", 0.25, 96, 10).macs
    with pytest.raises(UncountableError, match="neither functional nor sequential"):
        count_configuration({"config": {"layers": "none"}})


def test_memory_is_the_largest_sum_of_living_tensors() -> None:
    # 0 → 1 → 2, and 0 is read again at the end: 10 + 30 + 5
    steps = [((), (0,)), ((0,), (1,)), ((1,), (2,)), ((2, 0), (3,))]
    assert peak_of_steps(steps, {0: 10, 1: 30, 2: 5, 3: 1}, [3]) == 45
    assert peak_of_steps([], {}) == 0


candidate_lists = st.lists(
    st.builds(
        Candidate,
        network=st.sampled_from(["a", "b"]),
        width=st.sampled_from([None, 0.25, 0.5]),
        image_size=st.sampled_from([96, 128, 224]),
        macs=st.integers(1, 10**9),
        parameters=st.integers(1, 10**7),
        size_bytes=st.integers(1, 10**7),
        activation_bytes=st.integers(1, 10**6),
        start=st.just("x"),
        worth=st.floats(-1, 1),
        latency_ms=st.none(),
        breaks=st.just(()),
    ),
    min_size=1,
    max_size=20,
)
limits_of = st.builds(
    Limits,
    macs=st.none() | st.integers(1, 10**9),
    size_bytes=st.none() | st.integers(1, 10**7),
    ram_bytes=st.none() | st.integers(1, 10**6),
    latency_ms=st.none() | st.floats(0.01, 1000),
)


def fits(candidate: Candidate, limits: Limits, time: float | None) -> bool:
    pairs = [
        (candidate.macs, limits.macs),
        (candidate.size_bytes, limits.size_bytes),
        (candidate.activation_bytes, limits.ram_bytes),
        (time, limits.latency_ms),
    ]
    return all(limit is None or cost is None or cost <= limit for cost, limit in pairs)


@settings(max_examples=200, deadline=None)
@given(candidates=candidate_lists, limits=limits_of, timed=st.booleans())
def test_the_choice_breaks_no_limit_and_nothing_better_fits(
    candidates: list[Candidate], limits: Limits, timed: bool
) -> None:
    def time(candidate: Candidate) -> float:
        return candidate.macs / 1e6

    fitting = [c for c in candidates if fits(c, limits, time(c) if timed else None)]
    timer = time if timed else None
    if not fitting:
        with pytest.raises(NothingFitsError, match="no network fits a test: the nearest, ") as refused:
            choose(candidates, limits, "a test", time=timer)
        assert refused.value.nearest.breaks
        return
    choice = choose(candidates, limits, "a test", time=timer)
    assert max(fitting, key=lambda c: c.rank).rank == choice.chosen.rank
    assert choice.chosen.breaks == ()
    assert choice.chosen in choice.candidates
    assert len(choice.candidates) <= 12
    assert all((shown.breaks == ()) == fits(shown, limits, shown.latency_ms) for shown in choice.candidates)


@settings(max_examples=100, deadline=None)
@given(candidates=candidate_lists, limits=limits_of, factor=st.floats(1, 10))
def test_more_room_never_makes_the_choice_worse(candidates: list[Candidate], limits: Limits, factor: float) -> None:
    wider = Limits(
        *(
            None if value is None else int(value * factor)
            for value in (limits.macs, limits.size_bytes, limits.ram_bytes)
        )
    )
    narrow = dataclasses.replace(limits, latency_ms=None)
    try:
        before = choose(candidates, narrow, "little").chosen
    except NothingFitsError:
        return
    assert choose(candidates, wider, "more").chosen.rank >= before.rank


@pytest.mark.usefixtures("online")
@pytest.mark.parametrize("board", list(BOARDS))
def test_photos_get_a_network_that_the_board_carries(board: str) -> None:
    name, width, size = chosen(board=board)
    assert name is not None
    assert size is not None
    cost = network_cost(name, width, size, 10)
    assert fits(Candidate(name, width, size, **cost.to_dict(), start="", worth=0), BOARDS[board], None)
    assert size <= (224 if board == "pi5" else 160)


@pytest.mark.usefixtures("online")
def test_the_smallest_board_gets_a_narrow_network_and_given_numbers_hold() -> None:
    # 13.3 M of 15 M MACs; 160 pixels take 20.8 M
    assert chosen(board="mcu") == ("mobilenet-v1", None, 128)
    assert chosen(board="zero2", model="mobilenet-v1")[0] == "mobilenet-v1"
    assert chosen(board="zero2", image_size=96)[2] == 96
    assert chosen(board="zero2", model="mobilenet-v2", width=0.35)[1] == 0.35
    heard = Heard()
    config, choice = choose_network(TrainConfig(board="mcu", image_size=224), PHOTOS, trust_model=False, progress=heard)
    assert config.image_size == 224
    assert choice is not None
    assert choice.chosen.breaks
    assert any("as given, breaks --for mcu" in line for line in heard.lines)
    assert any("a heuristic" in line for line in heard.lines)


def test_photos_smaller_than_the_input_are_not_enlarged(online: None) -> None:
    small = dataclasses.replace(PHOTOS, median_height=100, median_width=120)
    assert chosen(small)[2] == 96


def test_offline_the_choice_is_among_what_is_here(offline: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeclf.training.starts.package.PackagedWeights.find", lambda self: None)
    assert chosen() == ("mobilenet-v1", None, 128), "the backbone that ships with edgeclf"
    assert len(offline) == 1, "one download is tried"
    assert chosen(model="mobilenet-v2") == ("mobilenet-v2", None, None), "as before, where nothing can be had"


def test_small_images_and_scratch_keep_their_defaults_unless_a_budget_is_given() -> None:
    assert chosen(ICONS) == (None, None, None)
    assert chosen(weights="none") == (None, None, None)
    assert chosen(ICONS, board="mcu") == ("resnet8", None, 32)
    assert chosen(board="mcu", weights="none") == ("mobilenet-v1", None, 96)
    smaller = chosen(ICONS, max_size=90)
    assert smaller[0] not in (None, "resnet8")


def test_a_file_gets_the_largest_input_that_fits(shared_data: Path) -> None:
    path = str(shared_data / "imagenet" / "mobilenet_v1_0.25_224_float32.tflite")
    assert chosen(weights=path) == (None, None, 160)
    assert chosen(weights=path, board="mcu") == (None, None, 128)
    assert chosen(weights=path, image_size=64) == (None, None, 64)
    with pytest.raises(NothingFitsError, match=r"float32 at 160 pixels, takes \d+ kB of at most 100 kB"):
        chosen(weights=path, max_size=100)


def test_a_rectangular_file_keeps_its_input(tmp_path: Path) -> None:
    tf_keras = pytest.importorskip("tf_keras")
    image = tf_keras.layers.Input((96, 128, 3))
    x = tf_keras.layers.GlobalAveragePooling2D()(tf_keras.layers.Conv2D(8, 3, strides=2)(image))
    tf_keras.Model(image, tf_keras.layers.Dense(3)(x)).save(tmp_path / "wide.keras")
    assert chosen(weights=str(tmp_path / "wide.keras")) == (None, None, None)


def measured(name: str, macs: int, median: float) -> ModelResult:
    """What `bench` measured of an int8 model."""
    return ModelResult(
        path=f"{name}.tflite", name=name, runtime="litert", runtime_version="2", threads=1, input_size=(96, 96),
        top1=None, top1_interval=None, difference=None, difference_interval=None, p_value=None, size_bytes=300_000,
        gzip_bytes=250_000, parameters=220_000, macs=macs, latency_ms=Percentiles(median, median, median), runs=100,
        warm_up_runs=10, steady=True, spread=0.0, load_ms=1.0, preprocessing_ms=None, peak_memory_bytes=10**7,
        model_memory_bytes=None, memory_kind="RssAnon", input_range=None, integrity="verified", notes=(),
    )  # fmt: skip


def test_a_boards_report_is_scaled_by_macs(tmp_path: Path, online: None) -> None:
    slow, other = measured("mobilenet-v1-int8", 10_000_000, 20.0), measured("resnet8-int8", 13_000_000, 1.0)
    report = BenchReport(describe_machine(), None, None, (slow, other), (), seed=0, seconds=1.0)
    path = save_report(report, tmp_path / "bench.json")
    candidate = Candidate("mobilenet-v1", 0.25, 128, 13_000_000, 1, 1, 1, "", 0.0)
    assert estimate_latency(candidate, (slow, other)) == pytest.approx(26.0), "the same network before a nearer one"
    assert "an estimate" in BoardSpeed.read(str(path)).source
    name, width, size = chosen(board=str(path), max_latency=27.0, model="mobilenet-v1")
    assert (name, width, size) == ("mobilenet-v1", None, 128)
    with pytest.raises(InputError, match="add --max-latency TIME"):
        chosen(board=str(path))
    given = TrainConfig().replace(board=str(path), max_latency=5.0, model="mobilenet-v1", width=0.25, image_size=128)
    heard = Heard()
    _, choice = choose_network(given, PHOTOS, trust_model=False, progress=heard)
    assert choice is not None
    assert choice.chosen.breaks == ("latency_ms",)
    assert "an estimate" in choice.latency_from
    assert "ms of at most 5 ms" in heard.lines[0], "which limit it breaks, and by how much"


def test_a_width_leaves_out_networks_that_have_none(offline: list[str]) -> None:
    for asked in ({"weights": "none", "width": 0.5, "max_size": 300.0}, {"width": 0.3, "board": "mcu"}):
        name, width, _ = chosen(**asked)
        network = find_network(name or "")
        assert network.default_width is not None
        assert (width or network.default_width) == asked["width"]


@pytest.mark.parametrize(("side", "taken"), [(150, 152), (100, 96), (50, 48)])
def test_a_file_whose_side_is_no_multiple_of_8_takes_the_nearest(side: int, taken: int, tmp_path: Path) -> None:
    tf_keras = pytest.importorskip("tf_keras")
    image = tf_keras.layers.Input((side, side, 3))
    x = tf_keras.layers.Conv2D(4, 3, padding="same")(image)
    x = tf_keras.layers.GlobalAveragePooling2D()(x)
    tf_keras.Model(image, tf_keras.layers.Dense(3)(x)).save(tmp_path / "net.keras")
    assert chosen(weights=str(tmp_path / "net.keras"), board="pi5")[2] == taken


def test_a_size_that_no_pretrained_network_takes_is_refused_with_its_neighbours(online: None) -> None:
    with pytest.raises(InputError, match=r"image_size 200: .* multiples of 32; take 192 or 224, or name a network"):
        chosen(board="pi5", image_size=200)
    for asked in ({"weights": "none", "board": "pi5"}, {"width": 0.3, "board": "mcu"}):
        name = chosen(image_size=200, **asked)[0]
        assert 200 % find_network(name or "").multiple == 0
    # an icon is trained from scratch
    assert chosen(ICONS, board="pi5", image_size=40)[2] == 40
