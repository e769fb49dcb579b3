"""What README and the files beside it say is so; its commands are run by test_guide.py."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import edgeclf

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}


def test_scripts_that_readme_names_exist_and_parse() -> None:
    for script in ("tools/try.sh", "tools/check.sh", "tools/environment.sh"):
        subprocess.run(["sh", "-n", str(ROOT / script)], check=True)


def test_a_step_that_fails_without_a_word_is_named() -> None:
    script = "set -eu; . tools/environment.sh; quietly sh -c 'exit 3'"
    done = subprocess.run(["sh", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (3, "failed: sh -c exit 3\n")


def test_the_wheel_has_the_version_of_the_package() -> None:
    for name in ("docs/install.md", "docs/tutorial.md", "examples/raspberry-pi/README.md"):
        wheels = set(re.findall(r"edgeclf-[^\s\"\[]+\.whl", (ROOT / name).read_text(encoding="utf-8")))
        assert wheels == {f"edgeclf-{edgeclf.__version__}-py3-none-any.whl"}, name


def test_the_example_with_own_photos_explains_itself() -> None:
    command = [sys.executable, str(ROOT / "examples" / "own_photos.py"), "--help"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0
    for word in ("PHOTOS", "RUN", "EPOCHS"):
        assert word in done.stdout


def test_the_table_of_the_zoo_agrees_with_the_cards() -> None:
    rows = re.findall(r"^\| `([\w-]+)`, .*\|$", README, flags=re.MULTILINE)
    assert sorted(rows) == sorted(path.parent.name for path in (ROOT / "models").glob("*/*.tflite"))
    for name in rows:
        (line,) = (line for line in README.splitlines() if line.startswith(f"| `{name}`"))
        _, images, float_top1, top1, difference, size, _ = (cell.strip() for cell in line.split("|")[1:-1])
        card = (ROOT / "models" / name / "README.md").read_text(encoding="utf-8")
        assert f"top-1 on the test split ({images} images) | {float_top1} | {top1} (" in card
        found = re.search(r"\| difference, paired \| \| ([-+.\d]+) points \(([-+.\d]+) to ([-+.\d]+);", card)
        assert found is not None
        signed = [f"±{0:.2f}" if float(number) == 0 else number.replace("-", "−") for number in found.groups()]
        assert difference == f"{signed[0]} points ({signed[1]} to {signed[2]})"
        in_bytes = re.search(r"\| file \| \| ([\d,]+) bytes \|", card)
        assert in_bytes is not None
        assert size == f"{in_bytes.group(1)} B"


def test_links_lead_somewhere() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
            assert target.startswith("https://") or (ROOT / target).exists(), f"{name}: {target}"


def test_constraints_hold_exact_versions_of_every_dependency() -> None:
    names = set()
    for file in ("constraints.txt", "constraints-tflite-runtime.txt"):
        lines = [line for line in (ROOT / file).read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line) for line in lines), file
        names |= {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    wanted = re.findall(r'^    "([A-Za-z0-9-]+)[><=]', project, flags=re.MULTILINE)
    assert {name.lower() for name in wanted} <= names
