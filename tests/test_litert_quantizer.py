"""Files that litert-quantizer makes: refused where it is missing, else as near to the float network as our own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeclf import extras
from edgeclf.compression.export.litert_quantizer_format import LiteRTQuantizer
from edgeclf.compression.recipe import parse_recipe
from edgeclf.errors import InputError, MissingExtraError
from edgeclf.inference.litert import LITERT


def test_it_is_refused_where_the_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "installed", lambda module: module != "litert_quantizer")
    assert parse_recipe("litertquantizer").export == LiteRTQuantizer()
    with pytest.raises(MissingExtraError, match=r"litertquantizer.*edgeclf\[litert-quantizer\]"):
        LiteRTQuantizer().check_available()
    with pytest.raises(InputError, match="--io float32 goes with others than litertquantizer; use uint8 or int8"):
        LiteRTQuantizer("float32")


def test_a_network_becomes_a_file_with_the_usual_input_and_output() -> None:
    pytest.importorskip("litert_quantizer")
    pytest.importorskip("tf_keras")
    import residual_network

    from edgeclf.compression.step import StepContext

    network: Any = residual_network.build()
    images = residual_network.IMAGES
    context = StepContext(network, calibration_images=images)
    exact = np.asarray(network.on_pixels(images))
    for io, zero in (("uint8", 0), ("int8", -128)):
        file = LiteRTQuantizer(io).export(network, context)
        (entry,), (result,) = file.graph.inputs, file.graph.outputs
        assert (entry.dtype, entry.zero_point, result.dtype) == (io, zero, io)
        assert entry.scale == pytest.approx(network.input_max / 255)
        session = LITERT.open(file)
        raw = np.stack([session.run((image[None].astype(int) + zero).astype(io))[0] for image in images])
        assert np.abs((raw.astype(float) - result.zero_point) * result.scale - exact).max() < 0.1
