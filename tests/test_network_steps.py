"""What can be done to each network: 8 bits by calibration, quantization-aware training, pruning, clustering."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow_model_optimization")
import colored_squares
import tf_keras
from network_builds import built, float_network, images, size_of

from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.tflite import parse
from edgeclf.compression.export.converter import float_graph
from edgeclf.compression.export.graph_queries import float_operators
from edgeclf.compression.export.int8_format import INT8
from edgeclf.compression.export.tflite import TFLite
from edgeclf.compression.step import StepContext
from edgeclf.compression.steps.cluster import Cluster
from edgeclf.compression.steps.prune import Prune
from edgeclf.compression.steps.shrink import Shrink
from edgeclf.errors import ModelError
from edgeclf.graph.prepared_network import prepare_network
from edgeclf.graph.quantizable import make_quantizable
from edgeclf.inference.litert import LITERT
from edgeclf.training.networks import NETWORKS, NetworkSettings, vit
from edgeclf.training.networks.building import build_network

REFUSED_BY_TFMOT = {
    "resnet8-swish": r"\(Multiply\)",
    "mobilenet-v3-small": r"\(Multiply\)",
    "mobilenet-v3-large": r"\(Multiply\)",
    "efficientnet-v2-b0": r"\(Multiply\)",
    "vit": r"\(LayerNormalization\), attention\w* \(Attention\)",
}
"""By network, the layers that TFMOT cannot train with rounding in the loop; edgeclf's own rounding takes them."""
NEW_KINDS = ("resnet8-swish", "inception", "mobilenet-v3-small", "qarepvgg", "vit")
"""Networks of other layers than those whose conversion other tests look at: `cnn`, `resnet8`, the older mobilenets."""


@pytest.mark.parametrize("name", NETWORKS)
def test_steps_take_a_network_or_refuse_it_in_one_line(name: str) -> None:
    network = prepare_network(float_network(built(name)))
    if name in REFUSED_BY_TFMOT:
        with pytest.raises(ModelError, match=f"has no rule for the layers .*{REFUSED_BY_TFMOT[name]}") as refusal:
            make_quantizable(network)
        assert "\n" not in str(refusal.value)
    else:
        make_quantizable(network)
    Prune().check(network)
    Cluster().check(network)
    Shrink().check(network)


@pytest.mark.slow
@pytest.mark.parametrize("name", NEW_KINDS)
def test_every_kind_of_network_becomes_int8_and_computes_the_same_features(name: str) -> None:
    whole = built(name)
    network = prepare_network(float_network(tf_keras.Model(whole.inputs, whole.layers[-2].output)))
    pixels = images(size_of(name))
    context = StepContext(original=network, calibration_images=pixels)
    made = INT8.convert(network, TFLite(bias_correction=False, rounding="nearest"), context).content
    assert float_operators(parse(made)) == ()
    session = LITERT.open(ModelFile(made, name))
    got = np.concatenate([session.run(image[None]) for image in pixels]).astype(np.float64)
    assert np.corrcoef(got.ravel(), network.on_pixels(pixels).numpy().ravel())[0, 1] > 0.9


def test_hard_swish_is_one_operator() -> None:
    network = prepare_network(float_network(built("mobilenet-v3-small")))
    operators = [one.name for one in parse(float_graph(network)).operators]
    assert (
        operators.count("HARD_SWISH") == 1 + 2 * 8 + 1 + 1
    )  # first; eight blocks, twice each; last; before the classes


@pytest.mark.slow
def test_the_vision_transformer_is_saved_and_compressed_from_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vit, "_DEPTH", 2)  # of six blocks, which are alike
    data = colored_squares.dataset()
    tf_keras.utils.set_random_seed(0)
    model = build_network("vit", NetworkSettings(colored_squares.SIDE, 3, 0.25))
    model.compile(tf_keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy")
    train = data.splits["train"]
    pixels = np.asarray(train.images).astype(np.float32)
    model.fit(pixels, train.labels, epochs=6, batch_size=16, verbose=0)
    model.save(tmp_path / "vit.keras")
    loaded = tf_keras.models.load_model(tmp_path / "vit.keras", compile=False)
    np.testing.assert_array_equal(loaded(pixels[:8]).numpy(), model(pixels[:8]).numpy())
    recipes = ["int8", colored_squares.short_recipe("qat-int8")]
    report = colored_squares.compress(tmp_path / "vit.keras", recipes, data=data, calibration=40, out=tmp_path)
    for made in report.models:
        assert made.top1 is not None
        assert made.float_top1 is not None
        assert min(made.top1, made.float_top1) > 0.9
    assert any("edgeclf's own rounding in the loop" in note for note in report.models[1].notes)
