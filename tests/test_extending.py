"""The examples of docs/extending.md, taken from the page and installed, used from Python and on the command line."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from test_plugins import install

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")


class Example(NamedTuple):
    """A section of the page: a module, commands, and its use from Python."""

    module: str
    code: str
    commands: list[str]
    use: str


def sections() -> dict[str, Example]:
    """The sections with a module, by title."""
    found = {}
    for title, text in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE):
        (module,) = re.findall(r"^`(\w+)\.py`:$", text, re.MULTILINE)
        code, use = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        (commands,) = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        found[title] = Example(module, code, commands.splitlines(), use)
    return found


EXAMPLES = sections()


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all five plugins are installed."""
    folder = tmp_path_factory.mktemp("extending")
    (folder / "site").mkdir()
    for example in EXAMPLES.values():
        install(folder / "site", example.module, example.code)
    cv2.imwrite(str(folder / "photo.png"), np.full((32, 32, 3), 90, np.uint8))
    return folder


def python(workplace: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(workplace / "site"), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=workplace, env=environment, capture_output=True, text=True, check=False
    )
    assert "plugin" not in done.stderr, done.stderr
    return done


def run_commands(workplace: Path, title: str) -> str:
    """Run the commands of a section; returns what they printed."""
    printed = ""
    for command in EXAMPLES[title].commands:
        program, *words = shlex.split(command)
        assert program == "edgeclf"
        done = python(workplace, "-m", "edgeclf", *words)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        printed += done.stdout
    return printed


def use(workplace: Path, title: str) -> None:
    done = python(workplace, "-c", EXAMPLES[title].use)
    assert done.returncode == 0, f"{EXAMPLES[title].use}\n{done.stderr}"


ONE_PROCESS = """
import json, sys
from typer.main import get_command
from edgeclf.cli.main import app

for words in json.loads(sys.argv[1]):
    code = get_command(app).main(words, prog_name="edgeclf", standalone_mode=False)
    if code:
        sys.exit(f"{words} ended with {code}")
exec(compile(sys.argv[2], "use", "exec"), {"__name__": "__main__"})
"""


def run_section(workplace: Path, title: str) -> None:
    """The commands of a section and its use from Python, all in one process that imports TensorFlow once."""
    words = [shlex.split(command) for command in EXAMPLES[title].commands]
    assert all(program == "edgeclf" for program, *_ in words)
    code = EXAMPLES[title].use
    done = python(workplace, "-c", ONE_PROCESS, json.dumps([arguments for _, *arguments in words]), code)
    assert done.returncode == 0, f"{EXAMPLES[title].commands}\n{code}\n{done.stderr}"


def test_the_page_has_the_five_examples_and_each_is_one_file() -> None:
    assert list(EXAMPLES) == ["A network", "A compression step", "An export format", "A runtime", "A camera source"]
    for example in EXAMPLES.values():
        assert len(example.code.splitlines()) < 60
        compile(example.code, example.module, "exec")


def test_a_plugin_may_be_imported_where_tensorflow_is_not_installed(workplace: Path) -> None:
    names = [example.module for example in EXAMPLES.values()]
    code = f"import sys; sys.modules['tensorflow'] = sys.modules['tf_keras'] = None; import {', '.join(names)}"
    done = python(workplace, "-c", code)
    assert done.returncode == 0, done.stderr


def test_a_network(workplace: Path) -> None:
    run_section(workplace, "A network")
    record = json.loads((workplace / "runs" / "digits-tiny" / "run.json").read_text())
    assert record["config"]["model"] == "tiny"
    # two convolutions without bias, each followed by a normalization of four numbers a filter, and the classifier
    assert record["parameters"] == 3 * 3 * 3 * 16 + 4 * 16 + 3 * 3 * 16 * 32 + 4 * 32 + (32 + 1) * 10


def test_a_network_is_completed_and_a_misspelt_one_found(workplace: Path) -> None:
    done = python(workplace, "-m", "edgeclf", "train", "digits", "--model", "tinny")
    assert (done.returncode, done.stderr) == (
        2,
        "edgeclf: unknown model 'tinny'; did you mean 'tiny'?\n",
    )


@pytest.fixture(scope="module")
def trained(workplace: Path) -> Path:
    """The workplace with a run in `runs/digits-tiny`."""
    if not (workplace / "runs" / "digits-tiny" / "run.json").exists():
        run_section(workplace, "A network")
    return workplace


def test_a_compression_step(trained: Path) -> None:
    run_section(trained, "A compression step")
    folder = trained / "runs" / "digits-tiny" / "compressed"
    records = {bits: json.loads((folder / f"digits-tiny-round{bits}-int8.json").read_text()) for bits in (2, 4)}
    assert records[4]["recipe"]["steps"] == [{"kind": "round", "bits": 4}]
    for bits, record in records.items():
        assert record["model"]["distinct_weights_per_channel_max"] <= 2**bits
        assert f"weights rounded to {2**bits} values a layer" in record["model"]["notes"]


def test_an_export_format(trained: Path) -> None:
    run_section(trained, "An export format")
    source = (trained / "runs" / "digits-tiny" / "compressed" / "digits-tiny-carray.c").read_text()
    model = bytes(int(byte, 16) for byte in re.findall(r"0x([0-9a-f]{2}),", source))
    assert f"model_size = {len(model)};" in source
    (trained / "again.tflite").write_bytes(model)
    done = python(trained, "-m", "edgeclf", "inspect", "again.tflite", "--json")
    inspected = json.loads(done.stdout)
    assert inspected["labels"] == [str(digit) for digit in range(10)]
    assert inspected["integrity"] == "verified"


def test_a_runtime(workplace: Path) -> None:
    run_commands(workplace, "A runtime")
    use(workplace, "A runtime")
    done = python(workplace, "-m", "edgeclf", "verify", "cifar10", "--runtime", "counting", "--json")
    assert json.loads(done.stdout)["runtime"] == "counting"
    done = python(workplace, "-m", "edgeclf", "verify", "cifar10", "--runtime", "countin")
    assert (done.returncode, done.stderr) == (
        2,
        "edgeclf: unknown runtime 'countin'; did you mean 'counting'? "
        "(known: counting, litert, onnxruntime, tensorflow, tflite-runtime)\n",
    )


def test_a_camera_source(workplace: Path) -> None:
    printed = run_commands(workplace, "A camera source")
    use(workplace, "A camera source")
    *results, last = printed.splitlines()
    assert len(results) == 30
    assert json.loads(last)["summary"]["frames_classified"] == 30
