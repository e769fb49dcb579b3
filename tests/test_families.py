"""The smallest member of each family of keras.applications, as what `--weights` and `compress` start from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

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


class Family(NamedTuple):
    """What is tried of a network: at `side` pixels, built with `settings`, up to the merge number `merges`.

    Of a deep network each kind of block has come by then, and the rest repeats them; None: the whole network.
    `channels` are those of the features.
    """

    side: int
    channels: int
    merges: int | None = None
    settings: Mapping[str, Any] = MappingProxyType({})


TAKEN = {
    "MobileNet": Family(32, 256, settings={"alpha": 0.25}),
    "MobileNetV2": Family(32, 1280, settings={"alpha": 0.35}),
    "MobileNetV3Small": Family(32, 432, settings={"alpha": 0.75, "minimalistic": True}),
    "RegNetX002": Family(32, 152, 4),  # the third of its four stages
    "ResNet50": Family(32, 512, 4),  # a block of the second stage
    "ResNet50V2": Family(32, 512, 4),
    "DenseNet121": Family(32, 128 + 32, 7),  # six layers, a transition to 128 channels, a layer more
    "VGG16": Family(32, 512),
    "Xception": Family(71, 728, 4),  # a block of the middle, behind three of the entry
    "InceptionV3": Family(75, 2048),  # whole: its last blocks have concatenations inside of others
}
"""Those that quantization-aware training takes."""
REFUSED = {
    "MobileNetV3Large": Family(32, 64, 5, {"alpha": 0.75}),  # without and with hard-swish
    "EfficientNetB0": Family(32, 40, 2),
    "RegNetY002": Family(32, 152, 4),
}
"""Those with squeeze and excitation: TensorFlow's quantization has no rule for the multiplication of two tensors."""


def standard(name: str, family: Family) -> tuple[Any, Any]:
    """The network as keras.applications builds it, up to the merge that `family` names, and as edgeclf computes it."""
    tf_keras.backend.clear_session()
    tf_keras.utils.set_random_seed(0)
    side = family.side
    model = getattr(tf_keras.applications, name)(
        input_shape=(side, side, 3), weights=None, classes=5, **family.settings
    )
    check_configuration(json.loads(model.to_json()), name)
    if family.merges is not None:
        merge = (tf_keras.layers.Add, tf_keras.layers.Concatenate)
        merged = [one for one in model.layers if isinstance(one, merge) or one.name.startswith("tf.__operators__.add")]
        if not name.startswith("RegNet"):  # elsewhere the operator adds a constant
            merged = [one for one in merged if isinstance(one, merge)]
        features = tf_keras.layers.GlobalAveragePooling2D()(merged[family.merges - 1].output)
        model = tf_keras.Model(model.input, tf_keras.layers.Dense(5, activation="softmax")(features))
    return model, standardize(model)


@pytest.mark.parametrize("name", [*TAKEN, *REFUSED])
def test_families_are_taken_as_weights_and_as_source(name: str) -> None:
    family = (TAKEN | REFUSED)[name]
    side = family.side
    model, made = standard(name, family)
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
    assert started.get_layer("edgeclf_head").input_shape == (None, family.channels)
    assert started.output_shape == (None, 2)


def test_families_with_layers_of_their_own_are_refused_by_name() -> None:
    with pytest.raises(UntrustedModelError, match="ConvNeXtTiny holds the class '(LayerScale|.*)' .*--trust-model"):
        standard("ConvNeXtTiny", Family(32, 768))
