"""Parameters and multiply-accumulates of the networks, as arithmetic and against what their authors publish."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")
from network_builds import NAMES, built, count_macs, size_of, trainable_parameters

from edgeclf.training.networks import NETWORKS, NetworkSettings
from edgeclf.training.networks.building import build_network

PAGE = Path(__file__).resolve().parents[1] / "docs" / "networks.md"
NORMALIZATION = 4  # scale, offset, moving mean, moving variance a channel
PUBLISHED = [name for name, network in NETWORKS.items() if network.published is not None]


@pytest.mark.parametrize(
    ("name", "channels", "sizes", "expected", "macs"),
    [
        # configuration A at width 0.5; poolings halve 32 pixels behind the first, second, fourth and sixth convolution
        ("vgg", [3, 32, 64, 128, 128, 256, 256, 256, 256], [32, 16, 8, 8, 4, 4, 2, 2], 2_312_938, 38_636_032),
        # strides in the first, third and fifth convolution
        ("allconv", [3, 16, 32, 64, 64, 96, 96], [16, 16, 8, 8, 4, 4], 201_018, 7_041_984),
        # stride in the third and last convolution; two residual blocks of two convolutions between them
        ("resnet10", [3, 16, 16, 32, 32, 32, 32, 32, 48, 56], [32, 32, *[16] * 6, 8], 83_978, 18_506_288),
        # at width 0.5; poolings halve 32 pixels behind the second, fifth and sixth convolution
        ("resnet9", [3, 32, 64, 64, 64, 128, 256, 256, 256], [32, 32, 16, 16, 16, 8, 4, 4], 1_648_362, 95_259_136),
    ],
)
def test_stacks_of_convolutions(name: str, channels: list[int], sizes: list[int], expected: int, macs: int) -> None:
    pairs, last = list(itertools.pairwise(channels)), channels[-1]
    parameters = sum(9 * c * f + NORMALIZATION * f for c, f in pairs) + (last + 1) * 10
    assert built(name).count_params() == parameters == expected
    counted = sum(9 * c * f * s * s for (c, f), s in zip(pairs, sizes, strict=True)) + 10 * last
    assert count_macs(built(name)) == counted == macs


@pytest.mark.parametrize(
    ("width", "half", "quarter", "end", "expected"),
    [(None, 32, 64, 48, (81_882, 11_651_040)), (0.875, 28, 56, 44, (64_750, 9_217_848))],
)
def test_resnet8_swish(width: float | None, half: int, quarter: int, end: int, expected: tuple[int, int]) -> None:
    stack = [(3, 16, 32), (16, half, 16), *[(half, half, 16)] * 3, (half, quarter, 8), (quarter, end, 8)]
    parameters = sum((9 * c + NORMALIZATION) * f for c, f, _ in stack)
    macs = sum(9 * c * f * size * size for c, f, size in stack)
    gate, last = 2 * 16 * end, end * 10
    made = build_network("resnet8-swish", NetworkSettings(32, 10, width))
    assert made.count_params() == parameters + gate + 16 + end + last + 10 == expected[0]
    assert count_macs(made) == macs + gate + last == expected[1]


def test_resnet32() -> None:
    stem, last = 27 * 16, 640
    parameters = stem + NORMALIZATION * 16 + last + 10
    macs = stem * 32 * 32 + last
    for channels, filters, size in ((16, 16, 32), (16, 32, 16), (32, 64, 8)):
        first, others = 9 * channels * filters, 9 * 9 * filters * filters  # five blocks of two convolutions
        shortcut = channels * filters if filters > channels else 0
        parameters += first + others + shortcut + 10 * NORMALIZATION * filters
        macs += (first + others + shortcut) * size * size
    assert (built("resnet32").count_params(), count_macs(built("resnet32"))) == (parameters, macs)


def test_vision_transformer() -> None:
    channels, patches, depth = 96, 8 * 8, 6  # patches of 4 pixels
    stem = 4 * 4 * 3 * channels + 9 * channels
    block = 4 * channels**2 + 2 * 4 * channels**2  # query, key, value, output; two dense layers
    biases = 2 * channels + depth * (4 * channels + 5 * channels) + 10
    normalizations = (2 * depth + 1) * 2 * channels
    assert built("vit").count_params() == stem + depth * block + channels * 10 + biases + normalizations
    attention = 2 * patches**2 * channels
    assert count_macs(built("vit")) == patches * stem + depth * (patches * block + attention) + channels * 10


@pytest.mark.parametrize("name", [name for name in PUBLISHED if NETWORKS[name].default_width is None])
def test_parameters_are_those_that_are_published(name: str) -> None:
    published, model = NETWORKS[name].published, built(name)
    assert published is not None
    features = model.layers[-1].kernel.shape[0]
    larger_classifier = (features + 1) * (published.classes - len(NAMES))
    if name in ("resnet50v2", "inception-v3"):  # exact, with moving statistics
        assert model.count_params() + larger_classifier == published.parameters
    elif name == "efficientnet-lite0":  # exact, without
        assert trainable_parameters(model) + larger_classifier == published.parameters
    else:
        assert trainable_parameters(model) + larger_classifier == pytest.approx(published.parameters, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PUBLISHED if NETWORKS[name].default_width or name[:3] == "eff"])
def test_sizes_are_those_that_are_published(name: str) -> None:
    network = NETWORKS[name]
    published = network.published
    assert published is not None
    width = None if network.default_width is None else published.width
    model = build_network(name, NetworkSettings(published.image_size, published.classes, width))
    assert trainable_parameters(model) == pytest.approx(published.parameters, rel=0.035)
    if published.macs is not None:
        assert count_macs(model) == pytest.approx(published.macs, rel=0.06)


def test_the_page_on_networks_has_their_sizes() -> None:
    rows = {}
    for line in PAGE.read_text().splitlines():
        if found := re.match(r"\| `([a-z0-9-]+)` \| .*? \| (\d+) \| ([\d,]+) \| ([\d.]+) M \|", line):
            rows[found[1]] = (int(found[2]), int(found[3].replace(",", "")), found[4])
    assert list(rows) == list(NETWORKS)
    for name, shown in rows.items():
        assert shown == (size_of(name), built(name).count_params(), f"{count_macs(built(name)) / 1e6:.1f}"), name
