from __future__ import annotations

import os
import time

import numpy as np
import pytest
from photo_folders import make_folder, photo, write

from edgeclf.dataset import DataProbe, probe
from edgeclf.errors import DataError

PillowImage = pytest.importorskip("PIL.Image")


def test_counts_and_median_size(tmp_path):
    folder = make_folder(tmp_path / "pets", {"cat": 6, "dog": 3})
    write(folder / "dog" / "large.jpg", photo(50, 600, 900))
    report = probe(folder)
    assert report == DataProbe("pets", ("cat", "dog"), 10, {"cat": 6, "dog": 4}, 48, 64)
    assert DataProbe.from_json(report.to_json()) == report


def test_the_camera_held_upright_counts_as_upright(tmp_path):
    exif = PillowImage.Exif()
    exif[0x0112] = 8
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(3):
            PillowImage.fromarray(photo(number, 30, 90)).save(tmp_path / name / f"{number}.jpg", exif=exif)
    report = probe(tmp_path)
    assert (report.median_height, report.median_width) == (90, 30)


def test_damaged_files_are_passed_over_unless_all_are(tmp_path):
    folder = make_folder(tmp_path, {"cat": 4, "dog": 4})
    paths = sorted(folder.rglob("*.png"))
    paths[0].write_bytes(b"")
    assert probe(folder).images == 8
    for path in paths:
        path.write_bytes(b"")
    with pytest.raises(DataError, match="not one of the 8 sampled images can be read"):
        probe(folder)


def test_headers_suffice_for_large_photos(tmp_path):
    large = np.asarray(PillowImage.fromarray(photo(1)).resize((4000, 3000)))
    for name in ("cat", "dog"):
        path = write(tmp_path / name / "0.jpg", large)
        for number in range(1, 50):
            os.link(path, tmp_path / name / f"{number}.jpg")
    started = time.process_time()
    assert probe(tmp_path).median_width == 4000
    assert time.process_time() - started < 5, "100 photos of 12 million pixels take longer than that to decode"


def test_the_images_looked_at_are_spread_over_all_classes(tmp_path):
    small, large = write(tmp_path / "small.png", photo(1, 20, 20)), write(tmp_path / "large.png", photo(2, 90, 90))
    for name, path in (("ant", small), ("bee", large), ("cow", large)):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(130):
            os.link(path, tmp_path / "set" / name / f"{number}.png")
    assert probe(tmp_path / "set").median_height == 90


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_among_the_photos_does_not_hold_up(tmp_path):
    folder = make_folder(tmp_path / "pets", {"cat": 3, "dog": 3})
    os.mkfifo(folder / "cat" / "pipe.jpg")
    assert probe(folder).images == 7
