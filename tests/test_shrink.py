"""The step `shrink`: its names and refusals, its criteria, and a file made through the pipeline."""

from __future__ import annotations

import dataclasses
import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow_model_optimization")
import colored_squares
import tf_keras
from network_builds import float_network
from typer.testing import CliRunner

import edgeclf
from edgeclf.artifact.graph_bounds import peak_bytes
from edgeclf.artifact.macs import count_macs, parameter_tensors
from edgeclf.artifact.model_file import ModelFile
from edgeclf.cli.main import app
from edgeclf.compression import Cluster, FineTuning, Prune, QuantizeAware, Recipe, Shrink, StepContext, parse_recipe
from edgeclf.compression.choice import Asked, choose_recipes, with_settings
from edgeclf.compression.pipeline import budget as pipeline_budget
from edgeclf.compression.pipeline.stage_cache import StageCheckpoints
from edgeclf.compression.steps import latency_goal, shrinking
from edgeclf.compression.steps import shrink as shrink_step
from edgeclf.compression.steps.channel_choice import Widths, choose_channels, smallest_network
from edgeclf.compression.steps.criteria import CRITERIA
from edgeclf.compression.steps.fine_tune import FineTuningData, automatic_batch, fine_tune, recent_statistics
from edgeclf.compression.steps.goals import Goals
from edgeclf.compression.steps.latency_goal import CandidateTimer
from edgeclf.compression.steps.memory_goal import count_activation_bytes, find_largest_for_memory
from edgeclf.compression.steps.product_times import spread_times, time_products, with_times
from edgeclf.compression.steps.scored_network import ScoredNetwork
from edgeclf.compression.steps.shrink import choose_shrink
from edgeclf.compression.steps.shrinking import draw_batches
from edgeclf.compression.steps.size_goal import LESS, count_file_bytes
from edgeclf.dataset.types import Dataset, ImageView
from edgeclf.doctor.report import OperatorTime
from edgeclf.errors import InputError, UnknownNameError
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.graph.prepared_network import prepare_network
from edgeclf.graph.remove_channels import remove_channels
from edgeclf.graph.trace_channels import trace_channels
from edgeclf.inference.classifier import Classifier
from edgeclf.training.budget.limits import Limits

layers = tf_keras.layers
FINE: dict[str, Any] = {
    "shrink_multiple": 2,
    "shrink_minimum": 2,
    "shrink_iterations": 2,
    "shrink_epochs": 8,
    "shrink_learning_rate": 0.01,
    "qat_epochs": 1,
    "batch_size": 16,
}
"""Settings for a network of eight channels, whose training takes a second."""


@pytest.mark.parametrize(
    "name",
    [
        *("shrink50-int8", "shrink12.5-qat-int8", "shrinkto6200000-int8", "shrink2.5ms-float16"),
        *(
            "shrinktozero2-int8",
            "shrinktomcu-qat-int8",
            "shrinkto100kb-int8",
            "shrinkto47.784kb-int8",
            "shrinkto1234567.891kb-int8",
            "shrinkto6200000and100.5kb-int8",
        ),
    ],
)
def test_a_name_stands_for_a_recipe_and_back(name: str) -> None:
    recipe = parse_recipe(name)
    assert recipe.name == recipe.file_name == name
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_shrinking_comes_first() -> None:
    steps = {"qat": True, "prune": "0.5", "cluster": 8, "shrink": Shrink(0.25)}
    (recipe,) = choose_recipes(Asked(steps=steps))
    assert recipe.name == "shrink25-prune50-cluster8-qat-int8"
    with pytest.raises(InputError, match="shrink50 cannot come after qat; put shrink50 first"):
        parse_recipe("qat-shrink50-int8")


def test_the_options_stand_for_one_goal() -> None:
    assert choose_shrink() is None
    assert choose_shrink("0.75") == Shrink(0.75)
    assert choose_shrink(target_macs=1000) == Shrink(target_macs=1000)
    assert choose_shrink(target_latency=0.5) == Shrink(target_latency=0.5)
    assert choose_shrink(target_macs=9, target_size=10_000) == Shrink(target_macs=9, target_size=10_000)
    for options, words in [
        (["--shrink", "0.5", "--target-macs", "9"], "--shrink and --target-macs are goals of the same step"),
        (
            ["--shrink", "1.5"],
            r"shrink must be between 0 and 1 \(the fraction of multiply-accumulates that go\), got 1.5",
        ),
        (["--target-latency", "0ms"], "--target-latency must be above 0 and finite, got '0ms'"),
        (["--target-latency", "0.5us"], "target_latency must be 0.001 milliseconds or more, got 0.0005"),
        (["--for", "zero"], "unknown board 'zero'.*'zero2'"),
        (["--for", "zero2", "--set", "shrink_target_macs=9"], "one goal: a fraction, target_latency, a board, or"),
        (["--recipe", "shrinkto1mb-int8"], "shrinkto1mb: expected shrinkto and multiply-accumulates, a size, both"),
        (["--for", "zero2", "--shrink", "0.5"], "--shrink and --for are goals of the same step"),
        (["--target-size", "100"], "--target-size takes a size with its unit, such as 300KB or 95568B, got '100'"),
        (["--target-latency", "5ms", "--target-size", "9KB"], "--target-latency and --target-size are goals of the"),
        (["--shrink", "0.5", "--set", "shrink_criterion=taylr"], "unknown criterion of shrink 'taylr'.*'taylor'"),
        (["--shrink", "0.5", "--set", "shrink_multiple=0"], "multiple of shrink must be at least 1, got 0"),
    ]:
        result = CliRunner().invoke(app, ["compress", "nowhere", *options], prog_name="edgeclf")
        assert result.exit_code == 2
        assert re.search(words, " ".join(result.stderr.split()))
    with pytest.raises(InputError, match="one goal"):
        Shrink(0.25, target_macs=5)
    with pytest.raises(UnknownNameError):
        Shrink(criterion="l2")


def prepared() -> Any:
    """A network with two layers of eight channels, and one that no rule knows."""
    tf_keras.utils.set_random_seed(0)
    inputs = layers.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="first")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name="first_bn")(x))
    x = layers.LayerNormalization(name="mixing")(layers.Conv2D(16, 1, activation="relu", name="second")(x))
    x = layers.GlobalAveragePooling2D()(x)
    return prepare_network(float_network(tf_keras.Model(inputs, layers.Dense(3, activation="softmax")(x))))


def test_a_network_is_refused_before_anything_is_trained() -> None:
    network = prepared()
    # 8x8 pixels: 27 x 8 and 8 x 16; and 16 x 3 in the head
    whole, least = 64 * (27 * 8 + 8 * 16) + 48, 64 * (27 * 4 + 4 * 16) + 48
    with pytest.raises(
        InputError, match=f"shrink90 leaves {whole - round(0.9 * whole):,} of {whole:,} .* {least:,}"
    ) as raised:
        Shrink(0.9, minimum=4).check(network)
    assert r"mixing (LayerNormalization: shrinking knows no rule for it) keep what they touch" in str(raised.value)
    Shrink(0.4, minimum=4).check(network)
    Shrink(target_macs=least, minimum=4).check(network)
    with pytest.raises(InputError, match=f"the network has {whole:,} multiply-accumulates already"):
        Shrink(target_macs=whole).check(network)
    inputs = layers.Input((16, 16, 3))
    x = layers.Softmax(name="odd")(layers.Conv2D(8, 3)(inputs))
    x = layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    with pytest.raises(
        InputError, match=r"no channels that could be removed; odd \(Softmax: .*without shrink"
    ) as raised:
        Shrink().check(prepare_network(float_network(tf_keras.Model(inputs, x))))
    assert "\n" not in str(raised.value)
    bare = tf_keras.Model(
        inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, name="bare")(inputs)))
    )
    with pytest.raises(InputError, match="batch-norm needs a batch normalization with a scale behind bare"):
        Shrink(criterion="batch-norm", minimum=2).check(prepare_network(float_network(bare)))


def test_no_batch_of_few_images_decides_what_a_channel_is_worth() -> None:
    data = dataclasses.replace(colored_squares.dataset(), splits={"train": colored_squares.split(43, 0)})
    drawn = [len(labels) for _, labels in draw_batches(data.splits["train"], prepared(), 0)]
    assert drawn == [43, 43, 43], "of 129 images, not 64, 64 and 1"


@pytest.mark.parametrize(("epochs", "rounds"), [(0, 3), (1, 1), (2, 2), (3, 2), (4, 3), (30, 3)])
def test_each_round_is_followed_by_training(epochs: int, rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[int] = []
    monkeypatch.setattr(shrinking, "fine_tune", lambda *_, epochs, **__: trained.append(epochs))
    network = prepare_network(float_network(two_layers(64)))
    settings = {"shrink_epochs": epochs, "shrink_multiple": 1}
    step = with_settings(Recipe((Shrink(0.6),)), settings).steps[0]
    step.apply(network, StepContext(original=network, data=colored_squares.dataset()))
    assert len(trained) == rounds
    assert sum(trained) == epochs
    assert trained[-1] >= epochs / 2
    assert min(trained) > 0 or epochs == 0
    # what is skipped, since the first round went far enough already, leaves its training to the last one
    trained.clear()
    step = with_settings(Recipe((Shrink(0.05),)), settings | {"shrink_multiple": 32}).steps[0]
    step.apply(network, StepContext(original=network, data=colored_squares.dataset()))
    assert sum(trained) == epochs
    assert len(trained) == min(rounds, 2), "the first and the last"


def test_large_images_make_small_batches() -> None:
    stored = ImageView(np.zeros((1, 448, 448, 3), np.uint8), np.zeros(8000, np.int64))
    train = dataclasses.replace(
        colored_squares.dataset().splits["train"], images=stored, labels=np.zeros(8000, np.int64)
    )
    data = dataclasses.replace(colored_squares.dataset(), splits={"train": train})
    context = StepContext(original=prepared(), data=data)
    # 30 epochs of 8,000 images make 1000 steps of 128, or of a quarter of it where an image is four of 224x224
    found = FineTuningData.from_step(QuantizeAware(), context)
    assert (found.batches.batch_size, found.steps) == (32, 250)
    assert FineTuningData.from_step(QuantizeAware(FineTuning(batch_size=100)), context).batches.batch_size == 100
    assert [len(labels) for _, labels in itertools.islice(draw_batches(train, prepared(), 0), 3)] == [16] * 3


def test_few_images_make_small_batches_and_recent_statistics() -> None:
    # 30 epochs of 64,000 images make 6000 steps of 320, so 128 are enough; of 10,000 they make 2,343 of 128
    assert [automatic_batch(images, 6000) for images in (64_000, 25_600, 25_599, 12_800, 12_799, 100)] == [
        *(128, 128, 64, 64, 32, 32)
    ]
    assert automatic_batch(2_560, 600) == 128
    context = StepContext(original=prepared(), data=colored_squares.dataset())
    for step in (Shrink(), Prune(), Cluster(), QuantizeAware()):
        assert FineTuningData.from_step(step, context).batches.batch_size == 32
    named = with_settings(Recipe((Shrink(),)), {"shrink_batch_size": 100}).steps[0]
    assert FineTuningData.from_step(named, context).batches.batch_size == 100
    model = prepared().model
    layer = model.get_layer("first_bn")
    layer.momentum = 0.999
    with recent_statistics(model, 200):
        assert layer.momentum == pytest.approx(0.95)
    assert layer.momentum == 0.999
    with recent_statistics(model, 20):
        assert layer.momentum == 0.9, "two steps would be too few"
    layer.momentum = 0.8
    with recent_statistics(model, 20):
        assert layer.momentum == 0.8
    # and they are those of the images that it was trained on
    layer.momentum = 0.999
    mean, gamma = np.full(8, 1e6), layer.get_weights()[0]
    layer.set_weights([gamma, layer.get_weights()[1], mean, np.ones(8)])
    fine_tune(model, FineTuningData.from_step(Shrink(), context), label="short", epochs=10, learning_rate=1e-6)
    # 40 steps of which each leaves 90 % of the mean before it, not 99.9 %
    assert (np.abs(layer.get_weights()[2]) < 1e5).all()
    assert layer.momentum == 0.999


def test_each_criterion_misses_a_silent_channel_least_and_follows_its_paper() -> None:
    network, data = prepared(), colored_squares.dataset()
    model = network.model
    graph = trace_channels(model)
    (channels,) = [group.channels for group in graph.groups]
    first, normalization = model.get_layer("first"), model.get_layer("first_bn")
    (kernel,) = first.get_weights()
    random = np.random.default_rng(0)
    gamma = random.uniform(0.5, 1.5, 8) * random.choice([-1, 1], 8)
    kernel[..., 3], gamma[3] = 0, 0
    first.set_weights([kernel])
    normalization.set_weights([gamma, np.zeros(8), *normalization.get_weights()[2:]])
    scores = {
        name: one.score(model, graph, draw_batches(data.splits["train"], network, 0)) for name, one in CRITERIA.items()
    }
    for found in scores.values():
        assert np.argmin(found[channels]) == 3
        assert (found[np.setdiff1d(np.arange(graph.count), channels)] == 0).all()
    norms = np.abs(kernel).sum((0, 1, 2))
    np.testing.assert_allclose(scores["l1"][channels], norms / norms.mean(), rtol=1e-5)
    np.testing.assert_allclose(scores["batch-norm"][channels], np.abs(gamma) / np.abs(gamma).mean(), rtol=1e-5)
    # to first order, the loss changes by the root of the score when a scale shrinks by a small part
    images, targets = next(draw_batches(data.splits["train"], network, 0))
    step, place = 1e-2, int(np.argmax(scores["taylor"][channels]))
    losses = []
    for sign in (1, -1):
        changed = gamma.copy()
        changed[place] *= 1 + sign * step
        normalization.set_weights([changed, *normalization.get_weights()[1:]])
        predicted = np.asarray(model(images, training=False), np.float64)
        losses.append(-np.log((predicted * targets).sum(1)).mean())
    one_batch = CRITERIA["taylor"]
    normalization.set_weights([gamma, *normalization.get_weights()[1:]])
    score = one_batch.score(model, graph, iter([(images, targets)]))[channels][place]
    assert abs(losses[0] - losses[1]) / (2 * step) == pytest.approx(np.sqrt(score), rel=0.02)


@pytest.mark.parametrize("center", [True, False])
def test_a_channel_behind_a_normalization_without_a_scale_is_scored_with_its_offset(center: bool) -> None:
    """The score is the square of the loss's slope along a gate behind the normalization."""
    tf_keras.utils.set_random_seed(0)
    inputs = layers.Input((16, 16, 3))
    x = layers.Conv2D(6, 3, padding="same", name="first")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(scale=False, center=center, name="first_bn")(x))
    model = tf_keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
    network, data = prepare_network(float_network(model)), colored_squares.dataset()
    model, random = network.model, np.random.default_rng(0)
    images, targets = next(draw_batches(data.splits["train"], network, 0))
    kernel, bias = model.get_layer("first").get_weights()
    bias = random.normal(0, 1, 6)
    # without an offset the mean is left out of the score: it is zero here
    offset, mean, variance = random.normal(0, 1, 6), center * random.normal(0, 3, 6), random.uniform(0.5, 2, 6)

    def loss(gate: np.ndarray) -> float:
        """Let the gate through all that its channel is a sum of, and compute the loss."""
        model.get_layer("first").set_weights([kernel * gate, bias * gate])
        shifts = [offset * gate] if center else []
        model.get_layer("first_bn").set_weights([*shifts, mean * gate, variance])
        predicted = np.asarray(model(images, training=False), np.float64)
        return float(-np.log((predicted * targets).sum(1)).mean())

    step = 1e-2
    slopes = [(loss(1 + step * one) - loss(1 - step * one)) / (2 * step) for one in np.eye(6)]
    loss(np.ones(6))
    graph = trace_channels(model)
    (channels,) = [group.channels for group in graph.groups]
    scores = CRITERIA["taylor"].score(model, graph, iter([(images, targets)]))[channels]
    np.testing.assert_allclose(np.sqrt(scores), np.abs(slopes), rtol=0.05, atol=1e-4)


@pytest.mark.slow
def test_a_smaller_network_goes_through_the_pipeline_to_int8(tmp_path: Path) -> None:
    data = colored_squares.dataset()
    model = colored_squares.network(data)
    model.save(tmp_path / "net.keras")
    recipes = [with_settings(parse_recipe(name), FINE) for name in ("shrink50-int8", "shrink50-qat-int8")]
    report = colored_squares.compress(tmp_path / "net.keras", recipes, data=data, calibration=20, out=tmp_path)
    # 8x8 pixels, 27 and then 72 values in each patch, and the head; the goal is half of it
    whole = 64 * (27 * 8 + 72 * 8) + 8 * 3
    for made in report.models:
        graph = ModelFile.read(made.path).graph
        assert 0.3 * whole < count_macs(graph) <= whole / 2
        assert any(f"shrunk from {whole:,} to {count_macs(graph):,} multiply-acc" in note for note in made.notes)
        assert made.top1 is not None
        assert made.top1 > 0.8
        assert Classifier(made.path).probabilities(np.asarray(data.splits["validation"].images)).shape == (30, 3)
        # no filter, bias or classifier has the eight channels of the float network any more
        assert not any(8 in tensor.shape for tensor in parameter_tensors(graph))
        assert not any("were to go" in note for note in made.notes)


@pytest.mark.slow
def test_that_clearly_more_went_than_was_asked_for_is_noted(tmp_path: Path) -> None:
    data = colored_squares.dataset()
    colored_squares.network(data).save(tmp_path / "net.keras")
    coarse = {"shrink_epochs": 0, "shrink_multiple": 4, "shrink_minimum": 4}
    recipe = with_settings(parse_recipe("shrink10-int8"), coarse)
    (made,) = colored_squares.compress(tmp_path / "net.keras", recipe, data=data, calibration=20, out=tmp_path).models
    # four of eight filters go: half of the first layer and half of the second, or half of the second alone
    whole, least = 64 * (27 * 8 + 72 * 8) + 8 * 3, 64 * 36 * 8
    gone = whole - count_macs(ModelFile.read(made.path).graph)
    assert gone >= min(least, 64 * 72 * 4)
    assert (
        f"{100 * gone / whole:.1f} % of the multiply-accumulates went where 10.0 % were to go: layers keep multiples "
        "of 4 channels, or 4; a smaller --set shrink_multiple comes closer"
    ) in made.notes


def two_layers(filters: int) -> tf_keras.Model:
    """Build two 3x3 convolutions of `filters` filters and a head."""
    inputs = layers.Input((16, 16, 3))
    x = layers.Conv2D(filters, 3, padding="same", activation="relu")(inputs)
    x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    x = layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    return tf_keras.Model(inputs, x)


def train_two_layers(filters: int, data: Dataset) -> tf_keras.Model:
    """Train such a network on raw pixels."""
    tf_keras.utils.set_random_seed(0)
    model, train = two_layers(filters), data.splits["train"]
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(np.asarray(train.images), train.labels, epochs=4, verbose=0)
    return model


def test_a_time_is_reached_as_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    network, data = prepare_network(float_network(two_layers(64))), colored_squares.dataset()
    context = StepContext(original=network, data=data)
    timed: list[float] = []

    def a_millisecond_for_a_million(self: CandidateTimer, network: FloatNetwork) -> float:
        self.whole_ms = 1.0
        timed.append(trace_channels(network.model).macs() / 1e6)
        return timed[-1]

    # a processor of which every multiply-accumulate takes as long; times of this one differ from run to run
    monkeypatch.setattr(shrinking, "time_products", lambda network, graph, context: np.ones(len(graph.products)))
    monkeypatch.setattr(CandidateTimer, "time", a_millisecond_for_a_million)
    whole = CandidateTimer(context).time(network)
    # 16x16 pixels; patches of 27 and 9 * 64 values, and the head
    assert whole == (256 * (27 * 64 + 9 * 64 * 64) + 3 * 64) / 1e6
    settings = {"shrink_epochs": 0, "shrink_iterations": 1, "shrink_multiple": 4}
    recipe = with_settings(Recipe((Shrink(target_latency=0.5 * whole),)), settings)
    made = recipe.steps[0].apply(network, context)
    # one of the 16 widths of a layer is at most an eighth of the work at half of it
    assert 0.35 * whole < trace_channels(made.model).macs() / 1e6 <= 0.5 * whole
    # both ends and what halves the rest of the search between them, none of them twice
    assert len(timed[1:]) == len(set(timed[1:])) <= 2 + latency_goal.CANDIDATES
    with pytest.raises(
        InputError, match=r"target_latency 0\.001 ms: the smallest network with 8 channels a layer takes"
    ):
        Shrink(target_latency=0.001).apply(network, context)
    with pytest.raises(InputError, match=r"target_latency 1000 ms: the network takes no longer on this machine"):
        Shrink(target_latency=1000).apply(network, context)


@pytest.mark.slow
@pytest.mark.alone
def test_a_candidate_is_timed_on_this_machine() -> None:
    narrow, wide = (prepare_network(float_network(two_layers(filters))) for filters in (1, 512))
    context = StepContext(original=wide, data=colored_squares.dataset())
    for network in (narrow, wide):
        graph = trace_channels(network.model)
        found = time_products(network, graph, context)
        assert found.shape == (len(graph.products),)
        assert np.all(found > 0)
    timer = CandidateTimer(context)
    # 67,000 times the work, whatever the processor and its other load
    assert 0 < timer.time(narrow) < 0.5
    assert 0 < timer.whole_ms < 10_000
    assert timer.time(wide) == pytest.approx(1, abs=0.5)


def test_a_file_size_is_reached(tmp_path: Path) -> None:
    data = colored_squares.dataset()
    model = train_two_layers(64, data)
    model.save(tmp_path / "net.keras")
    network = prepare_network(float_network(model))
    # 8 bits a weight, and what the file has beside them
    weights = 27 * 64 + 9 * 64 * 64 + 3 * 64
    whole = count_file_bytes(network, StepContext(original=network))
    assert weights < whole < weights + 14_000
    settings = {"shrink_epochs": 0, "shrink_multiple": 1}
    asked = whole - weights // 2
    report = colored_squares.compress(
        tmp_path / "net.keras",
        [with_settings(Recipe((Shrink(target_size=asked),)), settings)],
        data=data,
        calibration=20,
        normalize="raw",
        out=tmp_path,
    )
    (made,) = report.models
    assert made.recipe == f"shrinkto{asked / 1000:g}kb-int8"
    # what is written last has no more than what was set aside for it
    assert 0.96 * asked - LESS < made.size_bytes <= asked
    context = StepContext(original=network, data=data)
    both = Shrink(target_macs=trace_channels(network.model).macs() // 5, target_size=asked)
    both = with_settings(Recipe((both,)), settings).steps[0]
    left = trace_channels(both.apply(network, context).model)
    assert left.macs() <= trace_channels(network.model).macs() // 5
    both = Shrink(target_macs=10**9, target_size=asked)
    both.check(network)
    both = with_settings(Recipe((both,)), settings).steps[0]
    assert count_file_bytes(both.apply(network, context), context) <= asked, "one of the two is held already"
    for goal, refused in (
        (1001, r"target_size 1\.00 kB: the file of the smallest network with 8 channels a layer has about \d"),
        (10**9, r"target_size 1\.00 GB: the int8 model is no larger already; ask for less"),
    ):
        with pytest.raises(InputError, match=refused):
            Shrink(target_size=goal).apply(network, context)
    with pytest.raises(InputError, match="a fraction, target_latency, a board, or target_macs and target_size"):
        Shrink(target_latency=1.0, target_size=10_000)
    with pytest.raises(InputError, match=r"target_size must be at least 1,000 bytes, got 999"):
        Shrink(target_size=999)


def ram_of(made: Any) -> int:
    return peak_bytes(ModelFile.read(made.path).graph, {})


def test_a_board_gets_a_network_within_its_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = colored_squares.dataset()
    train_two_layers(32, data).save(tmp_path / "net.keras")
    # 16x16 pixels; patches of 27 and 9 * 32 values, and the head
    macs, weights = 256 * 32 * (27 + 9 * 32) + 3 * 32, 32 * (27 + 9 * 32) + 3 * 32
    small = {"shrink_epochs": 0, "shrink_multiple": 1, "shrink_minimum": 4, "calibration": 20, "data": data}

    def compress(limits: Limits, out: str) -> Any:
        monkeypatch.setattr(shrink_step, "find_board", lambda name: limits)
        monkeypatch.setattr(pipeline_budget, "find_board", lambda name: limits)
        keywords = {"target_board": "zero2", "speed": False, "normalize": "raw", **small}
        return edgeclf.compress(tmp_path / "net.keras", out=tmp_path / out, **keywords).models[0]

    fits = compress(Limits(macs, 40_000), "fits")
    assert fits.recipe == "shrinktozero2-int8"
    assert count_macs(ModelFile.read(fits.path).graph) == macs
    assert "not shrunk: it is within the budget of zero2 already" in fits.notes
    for out, limits in (("fast", Limits(macs // 3, 40_000)), ("small", Limits(macs, fits.size_bytes - weights // 2))):
        made = compress(limits, out)
        assert count_macs(ModelFile.read(made.path).graph) <= (limits.macs or 0) * (1 if out == "fast" else 0.8)
        assert made.size_bytes <= (limits.size_bytes or 0)
        assert any(note.startswith("within the budget of zero2, a heuristic: ") for note in made.notes)
    # what cannot be shrunk need not be, and a network that is small enough needs no images
    inputs = layers.Input((8, 8, 3))
    fixed = prepare_network(float_network(tf_keras.Model(inputs, layers.Dense(3)(layers.Flatten()(inputs)))))
    Shrink(board="zero2").check(fixed)
    same = Shrink(board="zero2").apply(fixed, StepContext(original=fixed))
    assert same.model is fixed.model
    assert same.notes[-1] == "not shrunk: it is within the budget of zero2 already"
    # 16x16 places: 32 channels of each of two layers, of which one reads the other; 3 colors and their 8-bit copy
    assert ram_of(fits) == 256 * (32 + 32)
    for out, ram in (("memory", 256 * 40), ("less", 256 * 18)):
        made = compress(Limits(macs, 40_000, ram_bytes=ram), out)
        assert 0.8 * ram < ram_of(made) <= ram
        assert any(note.startswith("within the budget of zero2, a heuristic: ") for note in made.notes)
    with pytest.raises(
        InputError, match=r"with 4 channels a layer needs 2\.05 kB of RAM .*, of at most 2\.00 kB; train"
    ):
        compress(Limits(macs, 40_000, ram_bytes=2_000), "over")


def test_no_round_on_the_way_to_a_time_goes_further_than_it(monkeypatch: pytest.MonkeyPatch) -> None:
    network = prepare_network(float_network(two_layers(64)))
    whole = trace_channels(network.model).macs()
    goal = round(0.9 * whole)
    # what a measurement would find, without the measurement
    monkeypatch.setattr(shrinking, "find_time_for_latency", lambda scored, *rest: min(goal, scored.graph.macs()))
    rates = [1.0, 1.0]  # of the first round and of the last: where other programs end, times do not choose more
    monkeypatch.setattr(
        shrinking, "time_products", lambda network, graph, context: np.full(len(graph.products), rates.pop(0))
    )
    context = StepContext(original=network, data=colored_squares.dataset())
    recipe = with_settings(Recipe((Shrink(target_latency=1.0),)), {"shrink_epochs": 0, "shrink_iterations": 3})
    left = trace_channels(recipe.steps[0].apply(network, context).model).macs()
    assert 0.7 * whole < left <= goal
    assert not rates, "the round between has the times of the first"


def test_a_killed_call_goes_on_with_the_widths_that_it_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = layers.Input((16, 16, 3))
    x = layers.Conv2D(64, 3, padding="same", activation="relu")(inputs)
    x = layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    network = prepare_network(float_network(tf_keras.Model(inputs, x)))
    measured, rates = [0.7, 0.5], [2.0, 3.0]  # times are never twice the same
    monkeypatch.setattr(
        shrinking, "find_time_for_latency", lambda scored, *rest: round(measured.pop(0) * scored.graph.nanoseconds())
    )
    monkeypatch.setattr(
        shrinking, "time_products", lambda network, graph, context: np.full(len(graph.products), rates.pop(0))
    )
    settings = {"shrink_epochs": 0, "shrink_iterations": 1, "shrink_multiple": 1}
    step = with_settings(Recipe((Shrink(target_latency=1.0),)), settings).steps[0]
    left = []
    for stage in ("stage", "stage", "stage of another network"):
        kept = StageCheckpoints(tmp_path, stage)
        context = StepContext(original=network, data=colored_squares.dataset(), checkpoints=kept)
        left.append(trace_channels(step.apply(network, context).model).macs())
    assert left[0] == left[1] > left[2]
    assert not measured
    assert not rates


def test_channels_go_where_the_processor_takes_long() -> None:
    inputs = layers.Input((16, 16, 3))
    x = layers.Conv2D(32, 3, padding="same", activation="relu", name="first")(inputs)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.Conv2D(32, 3, padding="same", activation="relu", name="last")(x)
    x = layers.Dense(3, name="dense")(layers.GlobalAveragePooling2D()(x))
    graph = trace_channels(tf_keras.Model(inputs, x))
    # 256 places; patches of 27 values, of 9, of 9 * 32, and the head
    macs = {"first": 256 * 27 * 32, "depthwise": 256 * 9 * 32, "last": 256 * 9 * 32 * 32, "dense": 3 * 32}
    assert [one.macs for one in graph.products] == list(macs.values())

    def operator(name: str, layer: str, microseconds: float | None) -> OperatorTime:
        return OperatorTime(0, name, "", "int8", True, macs[layer], microseconds)

    operators = (
        operator("CONV_2D", "first", 100.0),
        operator("DEPTHWISE_CONV_2D", "depthwise", 800.0),
        operator("CONV_2D", "last", 100.0),
        operator("ADD", "first", 700.0),
        operator("FULLY_CONNECTED", "dense", None),
    )
    times = spread_times(graph, operators)
    both = macs["first"] + macs["last"]
    np.testing.assert_allclose(
        times, [1e5 / macs["first"], 8e5 / macs["depthwise"], 1e5 / macs["last"], 2e5 / both], rtol=1e-9
    )
    timed = with_times(graph, times)
    assert timed.nanoseconds() == pytest.approx(1e6, rel=1e-3)
    np.testing.assert_array_equal(spread_times(graph, operators[3:]), 1)

    def widths_where(slow: str) -> dict[str, int]:
        """Channels that are left at half of the time, most of which one layer takes."""
        rates = np.array([100 * graph.macs() / one.macs if one.layer == slow else 1.0 for one in graph.products])
        slowed = with_times(graph, rates)
        goal = round(0.5 * slowed.nanoseconds())
        kept = choose_channels(slowed, np.ones(graph.count), Goals(nanoseconds=goal), Widths(4, 4))
        assert 0.3 * slowed.nanoseconds() < slowed.nanoseconds(kept) <= goal
        return {group.makers[0]: int(kept[group.channels].sum()) for group in graph.groups}

    # half of the slow layer, and what is least missed for the little that the others take
    assert widths_where("depthwise") == {"first": 16, "last": 28}
    assert widths_where("dense") == {"first": 28, "last": 16}


def test_the_memory_of_a_network_with_strides_is_held() -> None:
    inputs = layers.Input((32, 32, 3))
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(inputs)
    x = layers.Conv2D(64, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    x = layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    network = prepare_network(float_network(tf_keras.Model(inputs, x)))
    graph, widths = trace_channels(network.model), Widths(4, 8)
    scored = ScoredNetwork(network, graph, np.ones(graph.count), widths)
    context = StepContext(original=network, data=colored_squares.dataset())
    least = count_activation_bytes(
        network.with_model(remove_channels(network.model, graph, smallest_network(graph, widths))), context
    )
    # the stem at full size, 8 channels, beside the colors; the others have a quarter of the places, and may have more
    assert least == 32 * 32 * (8 + 3)
    for ram in (least + 100, 14_000, 20_000, 30_000):
        goal = find_largest_for_memory(
            ScoredNetwork(network, graph, np.ones(graph.count), widths), Goals(), ram, context
        )
        kept = choose_channels(graph, np.ones(graph.count), Goals(largest=goal), widths)
        smaller = network.with_model(remove_channels(network.model, graph, kept))
        assert count_activation_bytes(smaller, context) <= ram
    with pytest.raises(InputError, match="needs 11.3 kB of RAM for its tensors, of at most 11.0 kB"):
        find_largest_for_memory(scored, Goals(), 11_000, context)
