"""The smallest member of each family of keras.applications, as what `--weights` and `compress` start from."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

tf_keras = pytest.importorskip("tf_keras")
pytest.importorskip("tensorflow_model_optimization")
from edgeclf.artifact.normalization import RAW  # noqa: E402
from edgeclf.errors import ModelError, UntrustedModelError  # noqa: E402
from edgeclf.graph.float_network import FloatNetwork, InputSpec  # noqa: E402
from edgeclf.graph.prepared_network import prepare_network  # noqa: E402
from edgeclf.graph.quantizable import make_quantizable  # noqa: E402
from edgeclf.graph.standard_layers import standardize  # noqa: E402
from edgeclf.keras_files.trust import check_configuration  # noqa: E402
from edgeclf.training.networks import NetworkSettings  # noqa: E402
from edgeclf.training.transfer import Pretrained, transfer  # noqa: E402

pytestmark = pytest.mark.slow
TAKEN: dict[str, tuple[int, int, dict[str, Any]]] = {
    "MobileNet": (32, 256, {"alpha": 0.25}),
    "MobileNetV2": (32, 1280, {"alpha": 0.35}),
    "MobileNetV3Small": (32, 432, {"alpha": 0.75, "minimalistic": True}),
    "RegNetX002": (32, 368, {}),
    "ResNet50": (32, 2048, {}),
    "ResNet50V2": (32, 2048, {}),
    "DenseNet121": (32, 1024, {}),
    "VGG16": (32, 512, {}),
    "Xception": (71, 2048, {}),
    "InceptionV3": (75, 2048, {}),
}
"""Those that quantization-aware training takes: side in pixels, channels of the features, settings."""
REFUSED: dict[str, tuple[int, int, dict[str, Any]]] = {
    "MobileNetV3Large": (32, 720, {"alpha": 0.75}),
    "EfficientNetB0": (32, 1280, {}),
    "RegNetY002": (32, 368, {}),
}
"""Those with squeeze and excitation: TensorFlow's quantization has no rule for the multiplication of two tensors."""


def standard(name: str, side: int, settings: dict[str, Any]) -> tuple[Any, Any]:
    """The network as keras.applications builds it, and as edgeclf computes it."""
    tf_keras.backend.clear_session()
    tf_keras.utils.set_random_seed(0)
    model = getattr(tf_keras.applications, name)(input_shape=(side, side, 3), weights=None, classes=5, **settings)
    check_configuration(json.loads(model.to_json()), name)
    return model, standardize(model)


@pytest.mark.parametrize("name", [*TAKEN, *REFUSED])
def test_families_are_taken_as_weights_and_as_source(name: str) -> None:
    side, channels, settings = (TAKEN | REFUSED)[name]
    model, made = standard(name, side, settings)
    pixels = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    network = FloatNetwork(made, lambda x: made(x, training=False), made, InputSpec(side, side, RAW), tuple("abcde"))
    prepared = prepare_network(network)
    expected = np.asarray(model(pixels.astype(np.float32), training=False))
    np.testing.assert_allclose(prepared.on_pixels(pixels), expected, atol=1e-4)
    if name in TAKEN:
        make_quantizable(prepared)
    else:
        with pytest.raises(ModelError, match=r"TFMOT has no rule for the layers .* \(Multiply\)"):
            make_quantizable(prepared)
    started = transfer(Pretrained(made, name), NetworkSettings(side, classes=2, dropout=0.1), pixels).network
    assert started.get_layer("edgeclf_head").input_shape == (None, channels)
    assert started.output_shape == (None, 2)


def test_families_with_layers_of_their_own_are_refused_by_name() -> None:
    with pytest.raises(UntrustedModelError, match="ConvNeXtTiny holds the class '(LayerScale|.*)' .*--trust-model"):
        standard("ConvNeXtTiny", 32, {})
