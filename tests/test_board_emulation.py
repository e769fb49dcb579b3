"""tools/pi: what the comparison with the emulated board calls equal, explained, or neither; the board is not needed."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from presence import needed

from edgeclf.artifact.locate import locate_model
from edgeclf.image.decoding import load_image
from edgeclf.inference.classifier import Classifier

TOOLS = Path(__file__).resolve().parents[1] / "tools" / "pi"


@pytest.fixture(scope="module")
def compare() -> ModuleType:
    sys.path.insert(0, str(TOOLS))
    try:
        return importlib.import_module("compare")
    finally:
        sys.path.remove(str(TOOLS))


@pytest.fixture(scope="module")
def frames(compare: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures") / "frames"
    importlib.import_module("frames").write_frames(folder, 12, None)
    return folder


class Said:
    """What one machine says of some pictures, as `compare.collect_predictions` gives it."""

    def __init__(self, frames: Path) -> None:
        self.network = Classifier(locate_model("digits"))
        size = (self.network.height, self.network.width)
        self.pixels = np.stack([load_image(path, *size) for path in sorted(frames.iterdir())])
        self.predicted = [
            [(score.label, score.probability) for score in self.network.predict(picture, top=10).labels]
            for picture in self.pixels
        ]
        self.live = {
            number: {"raw_label": best[0][0], "raw_probability": best[0][1], "label": best[0][0]}
            for number, best in enumerate(self.predicted)
        }


@pytest.fixture
def said(frames: Path) -> Said:
    return Said(frames)


def explained(compare: ModuleType, said: Said, entry: dict[str, Any], theirs: Any = None) -> str | None:
    ours = said.pixels[entry["frame"]]
    found = compare._explain(entry, said.network, ours, ours if theirs is None else theirs)
    assert found is None or isinstance(found, str)
    return found


def test_the_pictures_make_the_model_change_its_mind(said: Said) -> None:
    assert len({labels[0][0] for labels in said.predicted}) >= 3


def test_the_same_predictions_have_no_difference(compare: ModuleType, said: Said) -> None:
    predicted = compare._compare_predictions(said.predicted, said.predicted)
    assert (predicted["predictions"], predicted["values"], predicted["values_different"]) == (12, 120, 0)
    assert predicted["differences"] == compare._compare_live(said.live, said.live)["differences"] == []


def test_scores_that_differ_are_counted_in_steps(compare: ModuleType, said: Said) -> None:
    board = [list(labels) for labels in said.predicted]
    board[5][3] = (board[5][3][0], board[5][3][1] + 2 / 256)
    compared = compare._compare_predictions(said.predicted, board)
    assert (compared["values_different"], compared["largest_difference_steps"]) == (1, 2)
    assert compared["differences"] == []


def test_a_wrong_label_is_found_and_not_explained(compare: ModuleType, said: Said) -> None:
    board = [list(labels) for labels in said.predicted]
    board[4] = board[4][::-1]
    (entry,) = compare._compare_predictions(said.predicted, board)["differences"]
    assert entry["frame"] == 4
    assert explained(compare, said, entry) is None
    live = {**said.live, 7: {**said.live[7], "raw_label": "nonsense"}}
    (entry,) = compare._compare_live(said.live, live)["differences"]
    assert entry["frame"] == 7
    assert explained(compare, said, entry) is None


def test_other_pixels_explain_only_what_they_lead_to(compare: ModuleType, said: Said) -> None:
    first = said.predicted[0][0][0]
    other = next(number for number, labels in enumerate(said.predicted) if labels[0][0] != first)
    entry = {
        "frame": 0,
        "here": {"best": first, "probability": said.predicted[0][0][1]},
        "board": {"best": said.predicted[other][0][0], "probability": said.predicted[other][0][1]},
    }
    assert explained(compare, said, entry, said.pixels[other]) == "decoded pixels"
    assert explained(compare, said, entry, 255 - said.pixels[0]) is None


def test_a_score_within_one_step_is_explained(compare: ModuleType, said: Said) -> None:
    label, probability = said.predicted[2][0]
    here = {"best": label, "probability": probability}
    for steps, why in ((1, "one step of the output"), (2, None)):
        board = {"best": label, "probability": probability - steps / 256, "label": "unknown"}
        assert explained(compare, said, {"frame": 2, "here": here, "board": board}) == why


def test_scores_within_the_steps_that_a_file_accepts_are_explained(compare: ModuleType, said: Said) -> None:
    label, probability = said.predicted[2][0]
    here = {"best": label, "probability": probability}
    for steps, why in ((6, "6 steps of the output, which the file accepts"), (7, None)):
        board = {"best": label, "probability": probability - steps / 256, "label": "unknown"}
        entry = {"frame": 2, "here": here, "board": board}
        assert compare._explain(entry, said.network, said.pixels[2], said.pixels[2], 6.0) == why
        # this machine's own values are held to one step
        assert compare._explain({**entry, "here": board}, said.network, said.pixels[2], said.pixels[2], 6.0) is None


def test_frames_that_were_not_classified_are_an_error(compare: ModuleType, said: Said) -> None:
    less = {number: result for number, result in said.live.items() if number != 3}
    with pytest.raises(SystemExit, match="other frames"):
        compare._compare_live(said.live, less)


@pytest.mark.parametrize(
    ("environment", "message"),
    [({"PI": "3"}, "PI must be 4 or 5, got 3"), ({}, "no board there; build it with tools/pi/emulate.sh")],
)
def test_without_a_board_there_is_one_line(tmp_path: Path, environment: dict[str, str], message: str) -> None:
    command = ["sh", str(TOOLS / "board.sh"), "true"]
    variables = {"PATH": os.environ["PATH"], "EDGECLF_PI_CACHE": str(tmp_path / "none"), **environment}
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_scripts_are_clean_shell() -> None:
    command = [needed("shellcheck"), "-x", "tools/pi/emulate.sh", "tools/pi/board.sh"]
    done = subprocess.run(command, cwd=TOOLS.parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
