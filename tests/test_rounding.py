"""Weights are rounded as it serves their layer, and ranges are those of the least error."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tflite_models

from edgeclf.artifact.tflite import TensorInfo, parse
from edgeclf.artifact.tflite_editor import TfliteEditor
from edgeclf.compression.export import adaptive_rounding, observation, parallel
from edgeclf.compression.export.adaptive_rounding import (
    draw_places,
    measure_moments,
    read_patches,
    repeat_values,
    round_weights,
)
from edgeclf.compression.export.bias_correction import real_weights
from edgeclf.compression.export.graph_parts import PartwiseRun
from edgeclf.compression.export.graph_queries import activations, weighted_operators
from edgeclf.compression.export.observation import Observer, observe_ranges, pixel_feeder
from edgeclf.compression.export.parallel import spread
from edgeclf.compression.export.policy import QuantizationPolicy
from edgeclf.compression.export.range_choice import best_range, choose_ranges, clip_weights
from edgeclf.compression.export.tflite import TFLite
from edgeclf.compression.recipe import Recipe
from edgeclf.compression.steps.cluster import Cluster
from edgeclf.compression.steps.quantize_aware import QuantizeAware
from edgeclf.errors import InputError, UnknownNameError
from edgeclf.inference.litert import LITERT

RANDOM = np.random.default_rng(0)
FLOAT = tflite_models.bare("float_0_1")


def tensor(scales: Any) -> TensorInfo:
    (conv, *_) = (op for op in parse(FLOAT).operators if op.name == "CONV_2D")
    info = parse(FLOAT).tensors[conv.inputs[1]]
    changed = {"scales": np.asarray(scales, np.float32), "zero_points": np.zeros(len(scales), np.int64)}
    return type(info)(**{**vars(info), **changed})


def error(integers: Any, real: Any, moments: Any) -> float:
    left = integers - real
    return float(left @ moments @ left)


def test_errors_of_inputs_that_go_together_cancel() -> None:
    patches = np.repeat(RANDOM.normal(size=(500, 1)), 2, axis=1).astype(np.float32)
    moments = measure_moments(patches)
    rounded = round_weights(np.array([[3.4, 5.45]]), tensor([1.0]), moments, depthwise=False)
    assert sorted((rounded - [3, 5]).ravel()) == [0, 1]


def test_moments_are_about_zero_where_no_bias_takes_means_back() -> None:
    patches = (3 + RANDOM.normal(size=(500, 2))).astype(np.float32)
    plain, centred = measure_moments(patches, centred=False)[0], measure_moments(patches)[0]
    mean = patches.astype(np.float64).mean(axis=0)
    assert plain[0, 1] == pytest.approx(centred[0, 1] + mean[0] * mean[1], rel=1e-3)
    # one up and one down: the sum of errors counts, however little the inputs go together
    weights = np.array([[3.45, 5.45]])
    apart = round_weights(weights, tensor([1.0]), centred[None], depthwise=False)
    together = round_weights(weights, tensor([1.0]), plain[None], depthwise=False)
    assert apart.tolist() == [[3, 5]]
    assert sorted((together - [3, 5]).ravel()) == [0, 1]


def test_without_bias_correction_rounding_keeps_the_means_of_outputs() -> None:
    pytest.importorskip("tf_keras")
    import residual_network

    from edgeclf.compression.export.int8_format import observe, quantize_observed, round_observed

    network: Any = residual_network.build()
    observed = observe(network, residual_network.IMAGES)
    plain, images = quantize_observed(observed), residual_network.IMAGES
    feed, exact = pixel_feeder(observed.input_max), Observer(observed.content)
    errors = []
    for corrected in (True, False):
        rounded = Observer(round_observed(plain, observed, images, corrected=corrected))
        total = 0.0
        for op in weighted_operators(exact.model):
            name = exact.model.tensors[op.outputs[0]].name
            (index,) = [tensor.index for tensor in rounded.model.tensors if tensor.name == name]
            means = []
            for observer, place in ((exact, op.outputs[0]), (rounded, index)):
                values = []
                for image in images:
                    observer.run(feed(image))
                    values.append(observer.real(place))
                means.append(np.mean(values, axis=(0, 1)).reshape(-1, values[0].shape[-1]).mean(axis=0))
            total += float(np.abs(means[0] - means[1]).sum())
        errors.append(total)
    assert errors[1] < errors[0]


def test_weights_are_rounded_no_worse_than_to_the_nearest_and_mostly_as_well_as_by_trying_all() -> None:
    best_found = 0
    for _ in range(10):
        mixing = RANDOM.normal(size=(6, 6))
        moments = measure_moments((RANDOM.normal(size=(400, 6)) @ mixing).astype(np.float32))
        real = RANDOM.uniform(-100, 100, (3, 6))
        scales = RANDOM.uniform(0.1, 1, 3)
        rounded = round_weights(real * scales[:, None], tensor(scales), moments, depthwise=False)
        for row, wanted in zip(rounded.astype(float), real, strict=True):
            assert (np.abs(row - wanted) <= 1 + 1e-4).all()
            found = error(row, wanted, moments[0])
            assert found <= error(np.rint(wanted), wanted, moments[0]) * (1 + 1e-9)
            choices = itertools.product(*([np.floor(one), np.ceil(one)] for one in wanted))
            best_found += found <= 1.2 * min(error(np.array(one), wanted, moments[0]) for one in choices)
    assert best_found > 15


def test_pruned_weights_stay_zero() -> None:
    patches = RANDOM.normal(size=(300, 6)).astype(np.float32)
    patches[:, 1:] = patches[:, :1]
    rounded = round_weights(
        np.array([[0.0, 0.4, 0.0, 0.4, 0.4, 0.0]]), tensor([1.0]), measure_moments(patches), depthwise=False
    )
    assert not rounded[0, [0, 2, 5]].any()
    assert rounded.sum() == 1


def test_equal_weights_of_a_channel_are_recognized() -> None:
    drawn = np.random.default_rng(0).normal(size=(4, 3, 3, 8))
    assert not repeat_values(drawn, depthwise=False)
    assert not repeat_values(drawn, depthwise=True)
    pruned = np.where(drawn < 0, 0, drawn)
    assert not repeat_values(pruned, depthwise=False)
    assert repeat_values(np.round(drawn), depthwise=False)
    # by channel: the same values in each are no repetition, each twice in one channel are
    assert not repeat_values(np.broadcast_to(drawn[:1], drawn.shape), depthwise=False)
    assert repeat_values(np.broadcast_to(drawn[:1], drawn.shape), depthwise=True)
    # of 4,608 weights that went through float16 one in five is equal to another, which nobody made so
    halves = np.random.default_rng(0).normal(scale=0.02, size=(2, 3, 3, 512)).astype(np.float16).astype(np.float64)
    assert np.unique(halves[0]).size < 0.85 * halves[0].size
    assert not repeat_values(halves, depthwise=False)


def test_a_depthwise_channel_is_rounded_by_the_moments_of_its_own_input() -> None:
    patches = RANDOM.normal(size=(300, 9, 2)).astype(np.float32)
    patches[:, :, 1] = patches[:, :1, 1]  # nine equal inputs: errors cancel
    real = np.full((1, 3, 3, 2), 0.4)
    rounded = round_weights(real, tensor([1.0, 1.0]), measure_moments(patches), depthwise=True)
    assert rounded[..., 0].sum() < 3
    assert rounded[..., 1].sum() == pytest.approx(9 * 0.4, abs=0.5)


def test_patches_are_what_weights_are_multiplied_with() -> None:
    editor = TfliteEditor(FLOAT)
    graph, feed = editor.graph, pixel_feeder(1.0)
    images = np.stack([feed(image) for image in tflite_models.digits()[0][:3]])
    run = PartwiseRun(editor, images)
    kinds = set()
    for op in weighted_operators(graph):
        place = graph.operators.index(op)
        run.advance(place)
        values, places = run.values(op.inputs[0]), draw_places(graph, op, len(images), RANDOM)
        patches = read_patches(graph, op, values, places)
        weights, bias = (np.asarray(graph.tensors[index].values(), np.float64) for index in op.inputs[1:3])
        if op.name == "DEPTHWISE_CONV_2D":
            repeated = np.repeat(patches, weights.shape[-1] // patches.shape[-1], axis=-1)
            outputs = (repeated * weights.reshape(-1, weights.shape[-1])).sum(axis=1) + bias
        else:
            outputs = patches @ weights.reshape(len(weights), -1).T + bias
        branch = run.branch()
        branch.advance(place + 1)
        expected = branch.values(op.outputs[0]).reshape(len(images), -1, outputs.shape[-1])
        expected = np.concatenate([rows[chosen] for rows, chosen in zip(expected, places, strict=True)])
        if editor.fused_activation(place) != "NONE":
            outputs = np.clip(outputs, 0, 6 if editor.fused_activation(place) == "RELU6" else None)
        np.testing.assert_allclose(outputs, expected, atol=1e-4)
        kinds.add(op.name)
    assert kinds == {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}


def test_work_on_images_ends_at_once_when_it_is_interrupted() -> None:
    done: list[int] = []

    def work(tool: int, item: int) -> None:
        if tool == 0:
            raise KeyboardInterrupt
        done.append(item)
        time.sleep(0.01)

    with pytest.raises(KeyboardInterrupt):
        spread(work, [0, 1], 1000)
    assert len(done) < 500


def test_the_range_of_least_error_leaves_an_odd_value_out_and_a_uniform_one_whole() -> None:
    values = RANDOM.normal(size=20_000).astype(np.float32)
    low, high = best_range(values, -40.0, 60.0)
    assert -12 < low < -2.5
    assert 2.5 < high < 12
    uniform = RANDOM.uniform(0, 1, 20_000).astype(np.float32)
    assert best_range(uniform, 0.0, 1.0) == (0.0, 1.0)


def test_fewer_threads_observe_a_graph_whose_activations_would_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    images, graph = tflite_models.digits()[0][:9], parse(FLOAT)
    monkeypatch.setattr(parallel, "usable_cores", lambda: 8)
    opened: list[bytes] = []

    def open_one(content: bytes) -> Observer:
        opened.append(content)
        return Observer(content)

    monkeypatch.setattr(observation, "Observer", open_one)
    watched = weighted_operators(graph)
    each = sum(4 * tensor.elements for tensor in activations(graph))
    summed = sum(8 * graph.tensors[index].elements for index in {op.inputs[0] for op in watched})
    results = []
    for budget, workers in ((10**9, 8), (3 * (each + summed), 3), (1, 1)):
        monkeypatch.setattr(observation, "OBSERVED_BYTES", budget)
        opened.clear()
        results.append(observe_ranges(FLOAT, images, pixel_feeder(1.0), range(9), watched))
        assert len(opened) == workers
    for seen, patches in results[1:]:
        np.testing.assert_array_equal(seen.lows, results[0][0].lows)
        for index, patch in patches.items():
            np.testing.assert_allclose(patch, results[0][1][index])
    monkeypatch.setattr(observation, "OBSERVED_BYTES", 3 * each)
    opened.clear()
    choose_ranges(FLOAT, images, pixel_feeder(1.0))
    assert len(opened) == 3


def test_ranges_of_a_graph_lie_within_what_was_seen_and_weights_are_clipped_by_channel() -> None:
    images = tflite_models.digits()[0][:8]
    chosen = choose_ranges(FLOAT, images, pixel_feeder(1.0))
    graph = parse(FLOAT)
    assert set(chosen) >= {index for op in graph.operators for index in op.outputs}
    seen, _ = observe_ranges(FLOAT, images, pixel_feeder(1.0))
    for index, lowest, highest in zip(seen.indices, seen.lows.min(axis=0), seen.highs.max(axis=0), strict=True):
        low, high = chosen[int(index)]
        assert min(lowest, 0) <= min(low, 0) <= max(high, 0) <= max(highest, 0)
    editor = TfliteEditor(FLOAT)
    clip_weights(editor)
    for op in weighted_operators(graph):
        before = real_weights(graph.tensors[op.inputs[1]])
        after = real_weights(parse(editor.pack()).tensors[op.inputs[1]])
        assert np.abs(after).max() >= 0.7 * np.abs(before).max() - 1e-6
        assert (np.abs(after) <= np.abs(before) + 1e-6).all()


def test_settings_are_checked() -> None:
    with pytest.raises(UnknownNameError, match="unknown rounding 'adaptiv'; did you mean 'adaptive'"):
        TFLite(rounding="adaptiv")
    with pytest.raises(UnknownNameError, match="unknown ranges 'minmax'"):
        TFLite(ranges="minmax")
    with pytest.raises(InputError, match="ranges=mse goes with int8 models, got float16"):
        TFLite("float16", ranges="mse")
    with pytest.raises(InputError, match="training sets ranges and weights; leave rounding out, or --qat"):
        Recipe((QuantizeAware(),), TFLite(rounding="nearest"))
    with pytest.raises(InputError, match="leave equalization out, or --qat"):
        Recipe((QuantizeAware(),), TFLite(equalization=True))
    with pytest.raises(InputError, match="makes int8 of all layers; leave float_layers out, or --qat"):
        Recipe((QuantizeAware(),), TFLite(policy=QuantizationPolicy(float_operators=("SOFTMAX",))))
    with pytest.raises(InputError, match="makes clustered weights different; leave equalization out, or --cluster"):
        Recipe((Cluster(),), TFLite(equalization=True))
    assert Recipe((QuantizeAware(),), TFLite()).name == "qat-int8"
    # where TFMOT has no rule for a layer, biases are corrected after such a training
    assert Recipe((QuantizeAware(),), TFLite(bias_correction=False)).export == TFLite(bias_correction=False)


def test_a_network_is_exported_with_both(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tf_keras")
    import residual_network

    from edgeclf.compression.export.int8_format import observe, quantize_observed
    from edgeclf.compression.step import StepContext
    from edgeclf.graph.float_network import Invariants

    network: Any = residual_network.build()
    context = StepContext(network, calibration_images=residual_network.IMAGES)
    nearest = TFLite(bias_correction=False, rounding="nearest").export(network, context)
    plain = nearest.graph
    rounded = TFLite(bias_correction=False).export(network, context).graph
    moved = 0
    for op, other in zip(weighted_operators(plain), weighted_operators(rounded), strict=True):
        first, second = plain.tensors[op.inputs[1]], rounded.tensors[other.inputs[1]]
        assert first.scales == pytest.approx(second.scales)
        steps = np.abs(np.asarray(first.values(), int) - np.asarray(second.values(), int))
        assert steps.max() <= 1
        moved += int(steps.sum())
    assert moved > 0
    trained = replace(network, invariants=Invariants(nearest_rounding=True))
    context = StepContext(trained, calibration_images=residual_network.IMAGES)
    kept = TFLite(bias_correction=False).export(trained, context)
    assert kept.content == nearest.content
    assert kept.applied == nearest.applied
    assert nearest.applied == {
        "ranges": "extremes",
        "rounding": "nearest",
        "bias_correction": False,
        "equalization": False,
    }
    assert TFLite("float16").export(network, context).applied == {}

    monkeypatch.setattr(adaptive_rounding, "MOST_WEIGHTS", 8)
    small = TFLite(bias_correction=False).export(network, context).graph
    for op, other in zip(weighted_operators(plain), weighted_operators(small), strict=True):
        first, second = plain.tensors[op.inputs[1]], small.tensors[other.inputs[1]]
        together = first.elements // plain.tensors[op.outputs[0]].shape[-1]
        assert together <= 8 or np.array_equal(first.values(), second.values())
    monkeypatch.undo()

    observed = observe(network, residual_network.IMAGES)
    ends = zip(observed.ranges.indices, *observed.ranges.without_extremes(), strict=True)
    halves = {int(i): (float(low) / 2, float(high) / 2) for i, low, high in ends}
    result = weighted_operators(plain)[0].outputs[0]
    narrow = parse(quantize_observed(observed, chosen=halves))
    half = narrow.tensors[weighted_operators(narrow)[0].outputs[0]]
    assert half.scale == pytest.approx(plain.tensors[result].scale / 2)
    chosen = TFLite(ranges="mse").export(network, context)
    pixels = residual_network.IMAGES
    session = LITERT.open(chosen)
    outputs = np.stack([session.run(image[None])[0] for image in pixels]).astype(np.float32)
    real = (outputs - chosen.graph.outputs[0].zero_point) * chosen.graph.outputs[0].scale
    assert np.abs(real - np.asarray(network.on_pixels(pixels))).max() < 0.05
