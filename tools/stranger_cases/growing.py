"""Photos of none of the classes, and a run that grows by photos and a class."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from stranger_cases.case import Finding, case, run_command

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests"))
from color_photos import hues, photo, write_photo
from linear_models import write_color_model

QUICK = ("--model", "cnn", "--image-size", "16", "--batch-size", "8", "--set", "mixed_precision=false")


def _add(top: Path, name: str, color: np.ndarray, count: int, first: int = 0) -> Path:
    for number in range(first, first + count):
        write_photo(top / name / f"{number}.png", photo(color, number + int(1000 * color.sum()), 16))
    return top


@case("none of these", "labels red, None, blue of a network from elsewhere, and a green photo")
def none_of_these(folder: Path) -> Finding:
    model = write_color_model(folder / "colors.tflite", np.eye(3))
    (folder / "labels.txt").write_text("red\nNone\nblue\n")
    shown = []
    for color in np.eye(3):
        write_photo(folder / "photo.png", photo(color))
        done = run_command("predict", model, folder / "photo.png", "--top", "1", "--input-range=0,255", "--json")
        (best,) = done.document["predictions"][0]["labels"]
        shown.append((best["label"], best["index"]))
    said = "stands for none of these" in done.stderr
    got = f"{', '.join(f'{label} {index}' for label, index in shown)}, {'said' if said else 'not said'}"
    expected = [("red", 0), ("unknown", 1), ("blue", 2)]
    return Finding("red 0, unknown 1, blue 2, said", got, shown == expected and said)


@case("growing", "3 photos and a class of 8 added, 1 photo deleted, none moved")
def grow(folder: Path) -> Finding:
    colors = hues(6)
    photos = _add(_add(folder / "photos", "blue", colors[4], 10), "red", colors[0], 10)
    run_command("train", photos, "--out", folder / "first", "--epochs", "1", *QUICK, "--quiet", "--json")
    _add(_add(photos, "red", colors[0], 3, 100), "cyan", colors[3], 8)
    (photos / "blue" / "0.png").unlink()
    done = run_command(
        "train", photos, "--from", folder / "first", "--out", folder / "second", "--epochs", "1", "--json"
    )
    if done.code:
        return Finding("trained", done.stderr.strip(), False)
    growth = done.document["growth"]
    added = {name: one["added"] for name, one in growth["photos"].items()}
    removed = sum(one["removed"] for one in growth["photos"].values())
    test = growth["comparisons"][0]
    of_cyan = next(one["baseline_top1"] for one in test["per_class"] if one["label"] == "cyan")
    left_out = test["left_out"]
    model = json.loads((folder / "second" / "run.json").read_text())["config"]["model"]
    got = f"{added}, {removed} removed, {left_out} left out, earlier {of_cyan:.0%} of cyan, {model}"
    right = {"blue": 0, "red": 3, "cyan": 8}
    expected = f"{right}, 1 removed, 0 left out, earlier 0% of cyan, cnn"
    return Finding(expected, got, got == expected)
