"""What each layer loses in 8 bits, and channels of similar ranges, which lose less."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.tflite import parse
from edgeclf.artifact.tflite_editor import TfliteEditor
from edgeclf.errors import InputError, OutputError
from edgeclf.json_text import read_json

pytest.importorskip("tf_keras")
import residual_network
from listener import Listener
from residual_network import IMAGES

WIDE = 60.0


def labels_of(network: Any) -> Any:
    """What the float network predicts: its top-1 is 1."""
    return np.asarray(network.on_pixels(IMAGES)).argmax(axis=1)


def test_a_layer_is_measured_as_it_computes_in_int8_behind_float_layers() -> None:
    from edgeclf.compression.export.bias_correction import real_weights
    from edgeclf.compression.export.int8_format import observe, quantize_observed
    from edgeclf.compression.export.observation import Observer, pixel_feeder
    from edgeclf.compression.sensitivity import compare_layers

    network = residual_network.build()
    observed = observe(network, IMAGES)
    quantized = quantize_observed(observed)
    labels = labels_of(network)
    layers = compare_layers(observed, quantized, IMAGES, labels)
    assert [layer.operator for layer in layers] == [
        *("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "ADD", "CONV_2D", "FULLY_CONNECTED", "SOFTMAX")
    ]
    assert layers[0].macs == 8 * 8 * 8 * 3 * 3 * 3

    # the dense layer by hand: float features, rounded weights, a bias that takes their mean error back, rounded results
    graph, integers = parse(observed.content), parse(quantized)
    (dense,) = [op for op in graph.operators if op.name == "FULLY_CONNECTED"]
    (twin,) = [op for op in integers.operators if op.name == "FULLY_CONNECTED"]
    observer, feed = Observer(observed.content), pixel_feeder(observed.input_max)
    weights, output = real_weights(integers.tensors[twin.inputs[1]]), integers.tensors[twin.outputs[0]]
    exact, features, rounded = [], [], []
    for image in IMAGES:
        observer.run(feed(image))
        exact.append(observer.real(dense.outputs[0])[0].astype(np.float64))
        features.append(observer.real(dense.inputs[0])[0])
    lost = (real_weights(graph.tensors[dense.inputs[1]]) - weights) @ np.mean(features, axis=0)
    assert np.abs(lost).max() > output.scale / 20
    for one in features:
        values = one @ weights.T + graph.tensors[dense.inputs[2]].values() + lost
        steps = np.clip(np.rint(values / output.scale) + output.zero_point, -128, 127)
        rounded.append((steps - output.zero_point) * output.scale)
    noise = np.square(np.array(exact) - rounded).sum()
    assert layers[5].layer_db == pytest.approx(10 * np.log10(np.square(exact).sum() / noise), abs=0.5)
    assert layers[5].lost == int((np.argmax(rounded, axis=1) != labels).sum()) == layers[5].flipped
    assert layers[5].difference == layers[5].top1 - 1 == -layers[5].lost / len(IMAGES)


def test_a_wide_channel_costs_the_most_and_equalization_repairs_it() -> None:
    from edgeclf.compression.export.equalization import equalize, find_groups
    from edgeclf.compression.export.int8_format import observe
    from edgeclf.compression.export.observation import Observer, pixel_feeder
    from edgeclf.compression.sensitivity import measure_sensitivity

    network = residual_network.build(WIDE)
    labels = labels_of(network)
    plain = observe(network, IMAGES)
    (group,) = find_groups(TfliteEditor(plain.content))
    assert (len(group.tensors), len(group.writers), len(group.readers)) == (3, 2, 2)

    before = measure_sensitivity(network, IMAGES, labels, observed=plain)
    after = measure_sensitivity(network, IMAGES, labels, observed=observe(network, IMAGES, equalized=True))
    worst = min(before, key=lambda layer: layer.output_db)
    assert worst.operator in ("CONV_2D", "ADD")
    assert worst.layer in {layer.layer for layer in before[:4]}
    assert min(layer.output_db for layer in after) > worst.output_db + 6

    feed = pixel_feeder(plain.input_max)
    first, second = Observer(plain.content), Observer(equalize(plain.content, IMAGES, feed))
    output = first.model.output_indices[0]
    for image in IMAGES:
        first.run(feed(image))
        second.run(feed(image))
        np.testing.assert_allclose(second.read(output), first.read(output), rtol=1e-4, atol=1e-6)


def test_images_are_needed() -> None:
    from edgeclf.compression.sensitivity import measure_sensitivity

    with pytest.raises(InputError, match="sensitivity needs images with a label each, got 24 and 3"):
        measure_sensitivity(residual_network.build(), IMAGES, np.zeros(3, np.int64))


def layer(name: str, output_db: float, difference: float) -> Any:
    from edgeclf.compression.layer_sensitivity import LayerSensitivity

    return LayerSensitivity(name, "CONV_2D", 1000, 40.0, output_db, 0.9 + difference, difference, 3, 1, 5, 200)


def test_the_noisiest_layers_are_shown_first_and_the_report_is_written_whole(tmp_path: Path) -> None:
    from rich.console import Console

    from edgeclf.cli.rendering_sensitivity import SHOWN, render_sensitivity
    from edgeclf.compression.layer_sensitivity import SensitivityReport
    from edgeclf.compression.pipeline.sensitivity import write_sensitivity

    layers = [layer(f"block_{i}/conv$", 30.0 + i, -0.01) for i in range(20)]
    layers.insert(7, layer("the_worst", 12.5, -0.02))
    written = write_sensitivity(SensitivityReport(tuple(layers), "validation", 200, 0.9), tmp_path, "run")
    assert SensitivityReport.from_dict(read_json(tmp_path / "run-sensitivity.json")) == written
    assert (tmp_path / "run-sensitivity.png").read_bytes().startswith(b"\x89PNG")
    screen = io.StringIO()
    render_sensitivity(Console(file=screen, width=140), written)
    rows = [line for line in screen.getvalue().splitlines() if "dB" in line]
    assert len(rows) == SHOWN == 15
    assert "the_worst" in rows[0]
    assert "12.5 dB" in rows[0]
    assert "88.00 %" in rows[0]
    assert "All 21 layers" in screen.getvalue()


@pytest.mark.slow
def test_compress_lists_the_layers_and_keeps_those_in_float_that_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import colored_squares

    from edgeclf.compression.pipeline.model_folder import ModelFolder

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    data = colored_squares.dataset()
    path = tmp_path / "network.h5"
    colored_squares.network(data).save(path)
    with pytest.raises(InputError, match="--sensitivity needs images with labels, and network.h5 names none"):
        colored_squares.compress(path, "float32", sensitivity=True, out=tmp_path / "none")
    assert not (tmp_path / "none").exists()

    report = colored_squares.compress(path, "int8", data=data, out=tmp_path / "out", sensitivity=True)
    found = report.sensitivity
    assert (found.split, found.images) == ("validation", 30)
    assert found.float_top1 == report.models[0].float_top1
    assert Path(found.path) == tmp_path / "out" / "network-sensitivity.json"
    assert Path(found.plot).is_file()

    # what a killed call left, of the same recipe even, is no leave to replace the list of another one
    with monkeypatch.context() as patched:
        patched.setattr(ModelFolder, "close", interrupt)
        with pytest.raises(KeyboardInterrupt):
            colored_squares.compress(path, "float32", data=data, out=tmp_path / "out")
    unfinished = tmp_path / "out" / ".network.unfinished"
    left, before = list(unfinished.iterdir()), Path(found.path).read_bytes()
    assert len(left) == 1
    with pytest.raises(OutputError, match=r"network-sensitivity\.json: exists; replace it with --overwrite"):
        colored_squares.compress(path, "float32", data=data, out=tmp_path / "out", sensitivity=True)
    assert Path(found.path).read_bytes() == before
    assert list(unfinished.iterdir()) == left

    chosen = found.ranked()[0].layer
    mixed = colored_squares.compress(
        *(path, "int8"),
        data=data,
        out=tmp_path / "out",
        float_layers=(chosen,),
        float_operators=("softmax",),
        speed=True,
    )
    assert re.search(r"the layers in float cost [+-]\d+ µs an image on this machine: ", " ".join(mixed.models[0].notes))
    assert Path(mixed.models[0].path).name.startswith("network-int8-")
    operators = ModelFile.read(mixed.models[0].path).graph.operators
    assert [op.name for op in operators].count("DEQUANTIZE") >= 1
    with pytest.raises(InputError, match="float_layers: nothing matches no layer; the nearest is"):
        colored_squares.compress(path, "int8", data=data, out=tmp_path / "other", float_layers=("nothing",))
    heard = Listener()
    for wrong, reason in (
        ({"float_layers": ("nothing",)}, "matches no layer"),
        ({"float_layers": ("*",)}, "every layer"),
    ):
        with pytest.raises(InputError, match=reason):
            colored_squares.compress(path, "cluster16-int8", data=data, out=tmp_path / "n", progress=heard, **wrong)
    assert not any("clustering" in task for task in heard.tasks), "it was trained before the names were looked at"
    assert not (tmp_path / "n").exists()
