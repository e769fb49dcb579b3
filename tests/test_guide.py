"""Every command of README and of the guide is run, on small data; what cannot be run is parsed. Their Python, too."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import edgeclf
from guide_commands import GUIDE, NOT_RUN, ROOT, TESTED_ELSEWHERE, Line, blocks, commands, parse, read
from guide_photos import COLOURS, draw_photos
from linear_models import write_float_model

from edgeclf.artifact.normalization import NORMALIZATIONS, Normalization
from edgeclf.cli.main import COMMANDS

LINES = [line for page in GUIDE for line in commands(page)]
OTHERS_MODELS = {"teachable": "tf", "yolo": "0..1", "birds": "torch"}
"""Float models from elsewhere, by name, and how pixels enter them."""


def make_keras_network(folder: Path) -> None:
    """A network from elsewhere that takes blue, green and red minus ImageNet's means."""
    import tf_keras

    layers = tf_keras.layers
    network = tf_keras.Sequential([layers.Input((32, 32, 3)), layers.GlobalAveragePooling2D(), layers.Dense(3)])
    network.add(layers.Softmax())
    # the nearest of three colours: |x - c|^2 is smallest where 2 c x - |c|^2 is largest
    centres = np.array(list(COLOURS.values())) - (103.939, 116.779, 123.68)
    network.layers[1].set_weights([centres.T / 1000, -(centres**2).sum(axis=1) / 2000])
    network.save(folder / "resnet.h5")


def make_tflite(path: Path, normalization: Normalization) -> None:
    """The nearest of three colours, of pixels that were normalized."""
    red_first = np.array(list(COLOURS.values()), float)[:, ::-1]
    weights, bias = np.tile(red_first, 64) / 64 / 1000, -(red_first**2).sum(axis=1) / 2000
    mean, std = (np.tile(np.broadcast_to(each, 3), 64) for each in (normalization.mean, normalization.std))
    write_float_model(path, weights * std * 255, bias + weights @ mean)


def make_photos(folder: Path) -> None:
    draw_photos(folder / "photos")
    shutil.copy(folder / "photos" / "cat" / "1.jpg", folder / "cat.jpg")


def make_everything(folder: Path) -> None:
    """Make what the pages' commands name."""
    make_photos(folder)
    yolo = [f"yolo-photos/{split}" for split in ("train", "val", "test")]
    for number, place in enumerate((*yolo, "clips/door/dataset", "new-photos")):
        draw_photos(folder / place, 8, seed=1 + number)
    (folder / "scans").mkdir()
    shutil.copy(folder / "cat.jpg", folder / "scans" / "1.jpg")
    writer = cv2.VideoWriter(str(folder / "street.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (96, 96))
    for number in range(20):
        writer.write(np.full((96, 96, 3), (220, 60, 40) if number < 10 else (50, 60, 220), np.uint8))
    writer.release()
    make_keras_network(folder)
    for name, normalization in OTHERS_MODELS.items():
        make_tflite(folder / f"{name}.tflite", NORMALIZATIONS[normalization])
    shutil.copy(ROOT / "models" / "cifar10" / "cifar10-int8.tflite", folder / "mobilenet.tflite")
    for name in ("names.txt", "yolo-names.txt", "birds_labels.txt"):
        (folder / name).write_text("".join(f"{label}\n" for label in COLOURS))
    (folder / "labels.txt").write_text("".join(f"{number} {label}\n" for number, label in enumerate(COLOURS)))


SMALL = ("--epochs", "2", "--model", "cnn", "--image-size", "32")
EXTRA = {
    "train": SMALL,
    "pretrain": SMALL,
    "bench": ("--runs", "50", "--overwrite"),
    "live": ("--no-window", "--no-stay"),
    "collected": ("--json",),  # counts, and serves no page that somebody would have to end
}
TRAINED_OTHERWISE = {"--quick": (), "--from": ("--epochs", "1")}
"""What is added to a training that names its network in another way, by the option that does."""
SETTINGS = {"qat-int8": "qat_epochs", "--shrink": "shrink_epochs"}
"""Settings that make training short, by the word that trains."""
FIRST = "edgeclf compress runs/photos --int8"
QUICK = ("--no-speed", "--no-fit-probabilities", "--calibration", "32")
"""What all other compressions leave out."""


def shorten(words: list[str]) -> list[str]:
    """Return the arguments of edgeclf as they are run here: with few epochs, and with a film in place of a camera."""
    if "--camera" in words and words[words.index("--camera") + 1] == "0":
        start = words.index("--camera")
        words = [*words[:start], "--camera", "street.mp4", *words[start + 2 :]]
        if "--web" in words:
            words[words.index("--web") + 1] = "0"
    extra = EXTRA.get(words[0], ())
    if words[0] == "bench" and "+" in words[1]:
        extra = ("--overwrite",)  # --runs is about single models
    if words[0] == "live" and "--record" in words:
        extra = (*extra, "--overwrite")  # two pages record the same
    if words[0] == "train":
        extra = next((given for option, given in TRAINED_OTHERWISE.items() if option in words), extra)
    settings = [word for option, key in SETTINGS.items() if option in words for word in ("--set", f"{key}=1")]
    if words[0] == "compress" and words != FIRST.split()[1:]:
        extra = QUICK
    return [*words, *extra, *settings]


@pytest.mark.slow
def test_every_command_and_python_block_runs_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_everything(tmp_path)
    monkeypatch.chdir(tmp_path)
    done = set()
    for line in LINES:
        if line.text.startswith("scp "):
            shutil.copy(line.text.split()[1], ".")
        if line.reason or line.text in done:
            continue
        assert line.words, f"{line.page} has a command that no test runs: {line.text}"
        result = edgeclf(tmp_path, *shorten(line.words))
        assert result.exit_code == 0, f"{line.page}: {line.text}\n{result.stderr}"
        done.add(line.text)
    assert Path("report.html").stat().st_size > 10_000
    run_python()
    *measured, label = capsys.readouterr().out.splitlines()
    assert label in COLOURS
    assert measured
    assert not any("None" in each for each in measured)


def run_python() -> None:
    """Run the guide's blocks of Python, which use what its commands have made."""
    codes = [(page, code) for page in GUIDE for code in blocks(page, "python")]
    assert codes
    for page, code in codes:
        exec(compile(code, page, "exec"), {"__name__": "__main__"})


def test_every_page_with_commands_is_walked() -> None:
    pages = {"README.md", *(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))}
    assert {page for page in pages if commands(page)} <= {*GUIDE, *TESTED_ELSEWHERE}


def test_every_command_stands_on_a_page() -> None:
    assert {line.words[0] for line in LINES if line.words} == set(COMMANDS)


def test_no_reason_stands_for_nothing() -> None:
    assert [start for start in NOT_RUN if not any(line.text.startswith(start) for line in LINES)] == []


@pytest.mark.parametrize("line", [line for line in LINES if line.words], ids=lambda line: line.text)
def test_every_command_is_parsed(line: Line) -> None:
    parse(line.words)


def test_a_command_with_an_unknown_option_is_not_parsed() -> None:
    with pytest.raises(Exception, match="--epoch"):
        parse(["train", "photos", "--epoch", "3"])


OTHER_PROGRAMS = {"--fast", "--durations", "--install-completion", "--no-deps", "--wheel-dir"}


def test_options_named_in_the_text_exist() -> None:
    known = {name: option_names(name) for name in COMMANDS}
    every = set().union(*known.values()) | OTHER_PROGRAMS
    for page in (*GUIDE, "docs/numbers.md", "docs/networks.md", "docs/index.md"):
        for code in re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", read(page)):
            used = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", code))
            owner = next((name for name in known if re.match(rf"(edgeclf )?{name}\b", code)), None)
            assert used <= (every if owner is None else known[owner]), f"{page}: `{code}`"


def option_names(name: str) -> set[str]:
    command = COMMANDS[name].build()
    context = command.make_context(name, [], resilient_parsing=True)
    return {option for each in command.get_params(context) for option in (*each.opts, *each.secondary_opts)}
