"""The commands that stand in README.md and in the guide, and those of them that no test can run."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeclf.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (
    "README.md",
    "docs/install.md",
    "docs/tutorial.md",
    "docs/notebooks.md",
    "docs/how-to/accuracy.md",
    "docs/data.md",
    "docs/how-to/mistakes.md",
    "docs/how-to/faster.md",
    "docs/how-to/smaller.md",
    "docs/how-to/unknown.md",
    "docs/how-to/live.md",
    "docs/how-to/several-machines.md",
    "docs/how-to/other-networks.md",
    "docs/how-to/objects.md",
    "docs/how-to/from-other-tools.md",
    "docs/how-to/gate.md",
    "docs/scripts.md",
    "docs/how-to/own-program.md",
)
"""In the order in which a reader meets them: what a page makes, later ones use."""
TESTED_ELSEWHERE = {
    "docs/extending.md": "tests/test_extending.py installs and runs its plugins",
    "docs/raspberry-pi.md": "examples/raspberry-pi/README.md, included",
    "examples/raspberry-pi/README.md": "tests/test_raspberry_pi_example.py",
}
NOT_RUN = {
    "sh tools/try.sh": "makes an environment; CI runs what it runs",
    "sh tools/check.sh": "runs these tests",
    "pip install ": "tools/environment.sh installs the clone",
    "pip wheel ": "tools/check.sh makes the wheel, and tests/test_edge_environment.py runs what it installs",
    "scp ": "there is no board; the file is copied instead",
    "python3 -m venv edge": "tests/test_edge_environment.py has an environment of its own",
    "edge/bin/pip install ": "likewise",
    "export TF_CONFIG=": "there is no second machine; tests/test_training.py trains with two workers on this one",
    "edgeclf train photos --out runs/together": "waits for a second machine",
    "edgeclf tune photos --trials 20": "takes two hours; tests/test_tune.py searches for less",
    "edgeclf train photos --weights runs/start": "tests/test_pretraining.py trains from such a run",
    "edgeclf train photos --members 3": "trains three networks; tests/test_ensembles.py trains two, and one from them",
    "edgeclf train photos --teacher runs/teacher": "likewise",
    "edgeclf train shapes": "tests/test_objects_walk.py makes objects, and goes the same way",
    "edgeclf compress runs/shapes": "likewise",
    "edgeclf bench runs/shapes": "likewise",
    "edgeclf predict runs/shapes": "likewise",
    "edgeclf live runs/shapes": "likewise",
    "edgeclf compress runs/photos --max-drop 1 --max-size 60KB --out found --storage postgresql": "needs a database; "
    "tests/test_search.py shares a study",
    "edgeclf bench photos-int8.tflite --threads 1,4 --against bench.json --sustain 10": "takes ten minutes; "
    "tests/test_bench_device.py sustains for less",
    "edgeclf live runs/door --camera rtsp:": "there is no such camera; tests/test_live_sources_streams.py has one",
}
"""What cannot be run here, by how it begins, and why. Those of edgeclf are parsed all the same."""


@dataclass(frozen=True)
class Line:
    """A command as it stands on a page."""

    page: str
    text: str

    @property
    def reason(self) -> str:
        """Why it is not run; empty: it is."""
        return next((why for start, why in NOT_RUN.items() if self.text.startswith(start)), "")

    @property
    def words(self) -> list[str]:
        """The arguments of edgeclf; empty where it is another program."""
        program, *words = shlex.split(self.text)
        return words if program in ("edgeclf", "edge/bin/edgeclf") else []


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", read(page), flags=re.DOTALL | re.MULTILINE)


def commands(page: str) -> list[Line]:
    """List the lines of all shell blocks of a page."""
    lines = (line for block in blocks(page, "sh") for line in block.splitlines())
    return [Line(page, line) for line in lines if line and not line.startswith("#")]


def parse(words: list[str]) -> None:
    """Parse the arguments of edgeclf as the command line does, values included; raises where it would refuse them."""
    name, *arguments = words
    command: Any = COMMANDS[name].build()
    context = command.make_context(f"edgeclf {name}", arguments)
    for table in COMMANDS[name].tables:
        table.read(context.params)
