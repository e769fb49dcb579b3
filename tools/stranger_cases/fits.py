"""Pictures of another shape than the input: stretched, cropped, padded; files that state how, and such as misstate it.

The model is a softmax of its 4 x 4 pixels, so that its best class is the place of the brightest one: countable by hand.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from stranger_cases import tflite_builder as made
from stranger_cases.case import Finding, case, run_command

SUBJECT = "fit"
RAW = ("--input-range", "0,255")
PLACES = {"stretch": (0, 2), "crop": (0, 3), "pad": (1, 2)}
"""Row and column of the bright square of `_photo`: 40 x 120 pixels become 4 x 4; the middle 40 x 40 do; 1 x 4 (1.33)
pixels are put into row 1, between gray ones."""


def _photo(folder: Path) -> Path:
    """Save 40 x 120 pixels in light gray, with a square of bright red at rows 0 to 9, columns 70 to 79."""
    pixels = np.full((40, 120, 3), 200, np.uint8)
    pixels[:10, 70:80, 2] = 255
    path = folder / "photos" / "wide.png"
    path.parent.mkdir()
    cv2.imwrite(str(path), pixels)
    return path


def _model(folder: Path, stated: object = None) -> Path:
    """Save the model; `stated`: as one of edgeclf's whose provenance has this fit."""
    path = folder / f"{stated or 'foreign'}.tflite"
    provenance = json.dumps({"preprocessing": {"fit": stated}}).encode()
    path.write_bytes(made.plain_model() if stated is None else made.sealed_model(provenance=provenance))
    return path


def _brightest(document: dict[str, object]) -> tuple[int, int]:
    (photo,) = document["predictions"]  # type: ignore[misc]
    place = photo["labels"][0]["index"] // 3
    return place // 4, place % 4


@case(SUBJECT, "a wide photo in somebody else's square model: --fit stretch, crop, pad")
def given_fit(folder: Path) -> Finding:
    """Is the bright square where it is by hand?"""
    photo, model = _photo(folder), _model(folder)
    found = {}
    for fit in PLACES:
        done = run_command("--json", "predict", model, photo, "--fit", fit, *RAW)
        found[fit] = _brightest(done.document) if not done.code else done.stderr
    plain = run_command("--json", "predict", model, photo, *RAW)
    right = found == PLACES and not plain.code and _brightest(plain.document) == PLACES["stretch"]
    return Finding(f"{PLACES}, stretch without the option", str(found), right)


@case(SUBJECT, "a file that states its fit: predict and live alike, another fit refused")
def stated_fit(folder: Path) -> Finding:
    photo, right = _photo(folder), 0
    for fit, place in PLACES.items():
        model, other = _model(folder, fit), "pad" if fit == "crop" else "crop"
        predicted = run_command("--json", "predict", model, photo)
        lived = run_command("--json", "live", model, "--camera", photo.parent, "--every-frame", "--no-window")
        result = json.loads(lived.stdout.splitlines()[0])
        index = int(result["raw_label"].split()[-1]) // 3
        refused = run_command("predict", model, photo, "--fit", other)
        right += (
            _brightest(predicted.document) == place == (index // 4, index % 4)
            and (refused.code, refused.stderr.count("\n")) == (2, 1)
            and f"expected {fit} (provenance), got {other}" in refused.stderr
        )
    return Finding("3 of 3 right", f"{right} of 3 right", right == 3)


@case(SUBJECT, "files that state a fit which nobody knows")
def unknown_fits(folder: Path) -> Finding:
    """Are they refused in one line, and described by inspect all the same?"""
    photo, right, stated = _photo(folder), 0, ("tile", "x" * 5000, 7, ["crop"], {"a": 1}, True)
    for number, fit in enumerate(stated):
        model = folder / f"{number}.tflite"
        model.write_bytes(made.sealed_model(provenance=json.dumps({"preprocessing": {"fit": fit}}).encode()))
        predicted, described = run_command("predict", model, photo), run_command("--json", "inspect", model)
        right += (
            (predicted.code, predicted.stderr.count("\n")) == (2, 1)
            and "expected pictures fitted by one of stretch, crop, pad" in predicted.stderr
            and len(predicted.stderr) < 400
            and described.code == 0
            and described.document["fit"] is None
        )
    return Finding(f"{len(stated)} of {len(stated)} refused", f"{right} of {len(stated)}", right == len(stated))


@case(SUBJECT, "a picture of 1 x 3000 pixels, stretched, cropped and padded")
def extreme_picture(folder: Path) -> Finding:
    """Is a crop its middle pixel, and a padded one a row between gray?"""
    from edgeclf.image.decoding import load_image

    line = np.zeros((1, 3000, 3), np.uint8)
    line[0, 1500] = 255
    cv2.imwrite(str(folder / "line.png"), line)
    crop, pad = (load_image(folder / "line.png", 30, 30, fit) for fit in ("crop", "pad"))
    stretched = load_image(folder / "line.png", 30, 30)
    right = (
        len(np.unique(crop)) == 1
        and (np.delete(pad, 14, axis=0) == 128).all()
        and (pad[14] <= 3).all()
        and (stretched == pad[14]).all()
    )
    shown = f"{len(np.unique(crop))} value, {int((pad[:, 0, 0] != 128).sum())} row"
    return Finding("1 value; 1 row that is not gray", shown, bool(right))
