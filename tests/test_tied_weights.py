"""A kernel that a network applies several times is in the file once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tflite_models import bare

from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.shared_constants import share_constants
from edgeclf.artifact.tflite import parse
from edgeclf.artifact.tflite_editor import TfliteEditor
from edgeclf.inference.litert import LITERT

tf_keras = pytest.importorskip("tf_keras")
from network_builds import float_network  # noqa: E402

from edgeclf.compression.export.int8_format import observe  # noqa: E402
from edgeclf.compression.export.tflite import TFLite  # noqa: E402
from edgeclf.compression.export.tied_weights import find_tied  # noqa: E402
from edgeclf.compression.step import StepContext  # noqa: E402
from edgeclf.graph.float_network import FloatNetwork  # noqa: E402
from edgeclf.graph.prepared_network import prepare_network  # noqa: E402

layers = tf_keras.layers
IMAGES = np.random.default_rng(0).integers(0, 256, (60, 12, 12, 3)).astype(np.uint8)
TIMES = 3


def network(*, kernels: int, low: float = 0.2) -> FloatNetwork:
    """A stem and a 3x3 convolution that is applied three times, with one, or with three kernels."""
    tf_keras.utils.set_random_seed(0)
    inputs = layers.Input((12, 12, 3))
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(layers.Rescaling(1 / 255)(inputs))
    convolutions = [layers.Conv2D(16, 3, padding="same", use_bias=False) for _ in range(kernels)]
    for number in range(TIMES):
        y = layers.BatchNormalization()(convolutions[number % kernels](x))
        x = layers.ReLU()(layers.Add()([x, y]))
    model = tf_keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
    random = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            gamma, *others = (random.uniform(0.2, 1, weight.shape) for weight in layer.get_weights())
            gamma[0] = low
            layer.set_weights([gamma, *others])
    return prepare_network(float_network(model))


def exported(made: FloatNetwork, **settings: Any) -> bytes:
    context = StepContext(made, calibration_images=IMAGES)
    return TFLite(**{"format": "int8", **settings}).export(made, context).content


def kernels_of(content: bytes) -> list[Any]:
    graph = parse(content)
    found = [graph.tensors[op.inputs[1]] for op in graph.operators if op.name == "CONV_2D"]
    return [np.asarray(tensor.values()) for tensor in found if tensor.shape == (16, 3, 3, 16)]


@pytest.mark.parametrize("settings", [{}, {"ranges": "mse"}, {"rounding": "nearest"}], ids=str)
def test_the_integers_of_a_kernel_are_stored_once_and_compute_what_each_application_computes(
    settings: dict[str, Any],
) -> None:
    made = network(kernels=1)
    content, apart = exported(made, **settings), exported(network(kernels=TIMES), **settings)
    first, *others = kernels_of(content)
    assert len(others) == TIMES - 1
    for other in others:
        np.testing.assert_array_equal(first, other)
    assert len(kernels_of(apart)) == TIMES
    # two kernels of 16 x 3 x 3 x 16 numbers are not in the file, and names of other lengths are
    saved = (TIMES - 1) * 16 * 3 * 3 * 16
    assert 0.8 * saved <= len(apart) - len(content) <= saved
    session = LITERT.open(ModelFile(content, "the model"))
    (result,) = parse(content).outputs
    found = np.concatenate([session.run(image[None]).astype(np.float32) for image in IMAGES]) * result.scale
    np.testing.assert_allclose(found, made.on_pixels(IMAGES), atol=0.03)


def test_kernels_that_differ_by_more_than_positive_factors_are_not_tied() -> None:
    assert [len(group) for group in find_tied(parse(observe(network(kernels=1), IMAGES).content))] == [TIMES]
    assert find_tied(parse(observe(network(kernels=TIMES), IMAGES).content)) == []
    signs = network(kernels=1)
    (normalization, *_) = (layer for layer in signs.model.layers if isinstance(layer, layers.BatchNormalization))
    gamma, *others = normalization.get_weights()
    normalization.set_weights([np.where(np.arange(16) == 3, -gamma, gamma), *others])
    assert [len(group) for group in find_tied(parse(observe(signs, IMAGES).content))] == [TIMES - 1]


def test_a_tensor_that_shares_its_constant_is_changed_alone() -> None:
    content = exported(network(kernels=1))
    graph = parse(content)
    indices = [op.inputs[1] for op in graph.operators if op.name == "CONV_2D"][1:]
    editor = TfliteEditor(content)
    editor.set_constant(indices[1], np.zeros((16, 3, 3, 16), np.int8))
    after = parse(editor.pack())
    assert not np.asarray(after.tensors[indices[1]].values()).any()
    for index in (indices[0], indices[2]):
        np.testing.assert_array_equal(after.tensors[index].values(), graph.tensors[index].values())


def test_sharing_constants_changes_no_output(tmp_path: Path) -> None:
    content = bare("float_0_255")
    editor = TfliteEditor(content)
    (dense,) = [op for op in editor.graph.operators if op.name == "FULLY_CONNECTED"][-1:]
    weights = np.asarray(editor.graph.tensors[dense.inputs[1]].values())
    model = editor.unpacked
    copies = len(model.buffers)
    for tensor in model.subgraphs[0].tensors:  # each constant twice
        if tensor.buffer and model.buffers[tensor.buffer].data is not None:
            tensor.buffer = editor._add_buffer(np.asarray(model.buffers[tensor.buffer].data))
    doubled = editor.pack()
    share_constants(model)
    once = editor.pack()
    assert len(doubled) - len(once) >= weights.nbytes
    assert len(model.buffers) > copies
    images = np.random.default_rng(0).uniform(0, 255, (4, *parse(content).inputs[0].shape)).astype(np.float32)
    sessions = [LITERT.open(ModelFile(one, "the model")) for one in (content, once)]
    for image in images:
        np.testing.assert_array_equal(*(session.run(image) for session in sessions))
