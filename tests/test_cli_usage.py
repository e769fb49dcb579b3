"""Help, version and completion of the command line, and how it refuses what it does not understand."""

from __future__ import annotations

import itertools
import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import edgeclf
from edgeclf.cli.main import app

COMMANDS = (
    *("audit", "pretrain", "train", "tune", "compress", "refit", "bench", "compare"),
    *("predict", "explain", "live", "collected", "inspect", "verify"),
)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), prog_name="edgeclf")


def test_no_command_is_refused_in_a_document_too() -> None:
    result = run("--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"].startswith("no command is given; commands: audit, ")


@pytest.mark.parametrize("arguments", [["--version"], ["predict", "--version"], ["--json", "--version"]])
def test_version_stands_alone_before_and_after_the_command(arguments: list[str]) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (0, f"edgeclf {edgeclf.__version__}\n")


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_shows_flags_as_flags_and_whole_sentences(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = run(*command.split(), "--help").stdout
    assert not re.search(r"<(bool|str|int|float|list.*)>|BOOLEAN|[{}]|\[\[", shown)
    assert max(map(len, shown.splitlines())) <= 80
    # Lines end where the terminal does: no paragraph has a short line in its middle.
    for paragraph in shown.partition("╭")[0].split("\n" + " " * 80 + "\n"):
        lines = [line.strip() for line in paragraph.splitlines() if line.strip()]
        for line, following in itertools.pairwise(lines):
            assert len(line) + 1 + len(following.split()[0]) > 78, line


def test_help_of_train_lists_the_networks() -> None:
    assert "cnn, allconv, resnet8, resnet9, resnet8-swish, resnet10, resnet20" in " ".join(
        run("train", "--help").stdout.replace("│", " ").split()
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_has_its_options_and_an_example(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"edgeclf {command} " in result.stdout.partition("Examples:")[2]
    for option in ("--json", "--quiet", "--verbose", "--debug", "--version"):
        assert option in result.stdout


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (
            "train",
            "--model --width --image-size --epochs --batch-size --learning-rate --augment --balance --weights --seed "
            "--out --resume --overwrite --set",
        ),
        ("pretrain", "--method --model --width --image-size --epochs --seed --out --resume --overwrite --set"),
        (
            "compress",
            "--int8 --int4 --float16 --dynamic --int16x8 --qat --prune --cluster --data --calibration --io --out "
            "--input-range --trust-model --overwrite --seed",
        ),
        ("bench", "--data --split --baseline --threads --runtime --runs --report --out --overwrite --input-range"),
        ("bench", "--against --sustain --fail-if"),
        ("compare", "--data --split --runtime --report --out --overwrite --trust-model"),
        (
            "live",
            "--camera --size --rate --every-frame --roi --center-crop --rotate --flip --threshold --smoothing "
            "--hysteresis --max-fps --threads --runtime --input-range --web --token --no-window --record --overwrite "
            "--collect --collect-quota --on-change --mqtt --duration --frames",
        ),
        ("predict", "--top --threads --runtime --input-range"),
        ("verify", "--runtime"),
        ("refit", "--data --out --precision --overwrite"),
    ],
)
def test_options_that_scripts_rely_on_exist(command: str, options: str) -> None:
    shown = run(command, "--help").stdout
    assert [option for option in options.split() if option not in shown] == []


def test_without_a_command_help_goes_to_stderr() -> None:
    result = run()
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "predict" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("trian photos", "edgeclf: no such command 'trian'; did you mean 'train'?"),
        (
            "zzz",
            "edgeclf: no such command 'zzz'; commands: audit, pretrain, train, tune, compress, refit, bench, compare, "
            "predict, explain, live, collected, inspect, verify",
        ),
        ("predict m.tflite a.jpg --tpo 1", "edgeclf: no such option '--tpo'; did you mean '--top'?"),
        ("train --epoch 3", "edgeclf: no such option '--epoch'; did you mean '--epochs'?"),
        ("train --lr 0.1", "edgeclf: no such option '--lr'; did you mean '--learning-rate'?"),
        ("train --bs 8", "edgeclf: no such option '--bs'; did you mean '--batch-size'?"),
        ("train --imgsz 96", "edgeclf: no such option '--imgsz'; did you mean '--image-size'?"),
        ("train --model-size 1", "edgeclf: no such option '--model-size'; did you mean '--width'?"),
        ("train --name a", "edgeclf: no such option '--name'; did you mean '--set name=VALUE'?"),
        ("train --patience 3", "edgeclf: no such option '--patience'; did you mean '--set early_stopping=VALUE'?"),
        ("train --device 0", "edgeclf: no such option '--device'; TensorFlow takes the GPU where it sees one; CUDA_"),
        ("compress a --fp16", "edgeclf: no such option '--fp16'; did you mean '--float16'?"),
        ("bench a --device cpu", "edgeclf: no such option '--device'; did you mean '--runtime'?"),
        ("live a --fps 3", "edgeclf: no such option '--fps'; did you mean '--max-fps'?"),
        ("predict a b --conf 1", "edgeclf: no such option '--conf'; did you mean '--threshold'?"),
        ("export a", "edgeclf: no such command 'export'; did you mean 'compress'?"),
        ("val a", "edgeclf: no such command 'val'; did you mean 'bench'?"),
        ("predict", "edgeclf: missing argument 'MODEL'"),
        ("predict m.tflite", "edgeclf: missing argument 'IMAGE'"),
        ("predict m.tflite a.jpg --top many", "edgeclf: --top must be a whole number, got 'many'"),
        ("predict m.tflite a.jpg --top=0", "edgeclf: --top must be at least 1, got '0'"),
        ("train --epochs 3.5", "edgeclf: --epochs must be a whole number, got '3.5'"),
        ("train --learning-rate fast", "edgeclf: --learning-rate must be a number, got 'fast'"),
        (
            "train --set label_smooting=0.1",
            "edgeclf: unknown setting 'label_smooting'; did you mean 'label_smoothing'?",
        ),
        ("train --learning-rate 0.1 --set learning_rate=0.2", "edgeclf: --set learning_rate and the option of its own"),
        ("compress a --max-drop nan", "edgeclf: --max-drop must be a finite number, got nan"),
        ("compress a --max-size 1e400KB", "edgeclf: --max-size must be at least 1 byte and below 2^63, got '1e400KB'"),
        ("compress a --max-latency nanms", "edgeclf: --max-latency must be above 0 and finite, got 'nanms'"),
        ("bench digits --report /proc/page.html", "edgeclf: /proc: cannot be written (no such file or directory); cho"),
        ("train --set momentum", "edgeclf: --set takes KEY=VALUE, got 'momentum'"),
        ("train --set momentum=high", "edgeclf: --set momentum must be a number, got 'high'"),
        ("train --image-size 30", "edgeclf: image_size must be a multiple of 8, got 30"),
        ("train --augment strnog", "edgeclf: unknown augment 'strnog'; did you mean 'strong'?"),
        ("train digits --set temperature=4", "edgeclf: temperature 4.0 has no effect without --teacher; leave it out"),
        (
            "train digits --set optimizer=adam --set momentum=0.8",
            "edgeclf: momentum 0.8 has no effect with the optimizer adam",
        ),
        (
            "train digits --set head_first=true --weights none",
            "edgeclf: head_first True has no effect from scratch (as w",
        ),
        (
            "train digits --epochs 2 --set warmup_epochs=2",
            "edgeclf: warmup_epochs must be fewer than epochs, got 2 of 2",
        ),
        (
            "train digits --quick --set dropout=0.5",
            "edgeclf: quick fits the classifier alone, where dropout would",
        ),
        ("predict m.tflite a.jpg --input-range 1", "edgeclf: --input-range takes LO,HI such as 0,1 or -1,1, got '1'"),
        ("predict m.tflite a.jpg --input-range 1,-1", "edgeclf: --input-range: LO must be below HI, got '1,-1'"),
        ("bench m.tflite --threads 0", "edgeclf: --threads takes positive whole numbers such as 1 or 1,2,4, got '0'"),
    ],
)
def test_misuse_is_one_line_and_exits_with_2(arguments: str, line: str) -> None:
    result = run(*arguments.split())
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(line)


@pytest.mark.parametrize("position", ["before", "after"])
def test_json_failure_is_one_document_on_stdout_and_one_line_on_stderr(position: str, tmp_path: Path) -> None:
    missing = str(tmp_path / "nothing.tflite")
    arguments = ["--json", "inspect", missing] if position == "before" else ["inspect", missing, "--json"]
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout.count("\n") == 1
    document = json.loads(result.stdout)
    assert document["exit_code"] == 2
    assert result.stderr == f"edgeclf: {document['error']}\n"
    assert "nothing.tflite" in document["error"]


def test_debug_shows_where(tmp_path: Path) -> None:
    result = run("inspect", str(tmp_path / "nothing.tflite"), "--debug")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("edgeclf: ")


def test_an_error_line_stays_one_line_whatever_the_name_holds(tmp_path: Path) -> None:
    result = run("inspect", str(tmp_path / "two\nlines\x1b[31m.tflite"))
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "\x1b" not in result.stderr


def measure_processor_seconds(*command: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.slow
@pytest.mark.alone  # a neighbour on the same core adds processor time, too
def test_help_takes_hardly_longer_than_what_prints_it() -> None:
    """Against typer and rich alone, in turns, so that slow and fast machines judge alike."""
    libraries, whole = [], []
    for _ in range(5):
        libraries.append(measure_processor_seconds(sys.executable, "-c", "import typer.rich_utils"))
        whole.append(measure_processor_seconds(sys.executable, "-m", "edgeclf", "--help"))
    assert min(whole) < 2.2 * min(libraries)


def test_help_imports_nothing_heavy() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "edgeclf", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert {"edgeclf", "typer"} <= imported
    assert imported.isdisjoint({"numpy", "cv2", "ai_edge_litert", "tensorflow", "sklearn", "matplotlib"})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("edgeclf pre", "predict"),
        ("edgeclf predict m.tflite a.jpg --inp", "--input-range"),
        ("edgeclf train dig", "digits"),
    ],
)
def test_shell_completion(words: str, expected: str) -> None:
    position = str(len(words.split()) - 1)
    environment = {**os.environ, "_EDGECLF_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": position}
    command = [sys.executable, "-c", "from edgeclf.cli.main import main; main()"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert expected in done.stdout.split()
    assert done.stderr == ""
