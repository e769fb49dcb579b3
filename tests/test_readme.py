"""README's commands are executed as written, on small data; its Python too."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import edgeclf as edgeclf_here

import edgeclf

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NOT_HERE = {
    "sh tools/try.sh": "makes an environment; CI runs what it runs",
    "sh tools/check.sh": "runs these tests",
    "scp ": "there is no Pi",
    "python3 -m venv edge": "tests/test_edge_environment.py has an environment of its own",
    "edge/bin/pip install ": "likewise",
    "pip install ": "tools/environment.sh installs the clone",
    "pip wheel ": "tools/check.sh makes the wheel, and test_edge_environment.py runs what it installs",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines() if line and not line.startswith("#")]


COLOURS = {"bird": (220, 60, 40), "cat": (40, 200, 60), "dog": (50, 60, 220)}
"""Blue, green and red of each class."""


def make_network(folder: Path) -> None:
    """A network from elsewhere that takes blue, green and red minus ImageNet's means, and the names of its classes."""
    import tf_keras

    layers = tf_keras.layers
    network = tf_keras.Sequential([layers.Input((32, 32, 3)), layers.GlobalAveragePooling2D(), layers.Dense(3)])
    network.add(layers.Softmax())
    # the nearest of three colours: |x - c|^2 is smallest where 2 c x - |c|^2 is largest
    centres = np.array(list(COLOURS.values())) - (103.939, 116.779, 123.68)
    network.layers[1].set_weights([centres.T / 1000, -(centres**2).sum(axis=1) / 2000])
    network.save(folder / "resnet.h5")
    (folder / "names.txt").write_text("\n".join(COLOURS) + "\n")


def make_photos(folder: Path) -> None:
    """Sixty small photos of each of three classes, told apart by their colour; and what README's commands name."""
    draw = np.random.default_rng(0)
    for label, colour in COLOURS.items():
        (folder / "photos" / label).mkdir(parents=True)
        for number in range(60):
            noise = draw.normal(0, 40, (40, 48, 3)) + np.array(colour)
            cv2.imwrite(str(folder / "photos" / label / f"{number}.jpg"), np.clip(noise, 0, 255).astype(np.uint8))
    shutil.copy(folder / "photos" / "cat" / "1.jpg", folder / "cat.jpg")
    writer = cv2.VideoWriter(str(folder / "street.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (96, 96))
    for number in range(20):
        writer.write(np.full((96, 96, 3), (220, 60, 40) if number < 10 else (50, 60, 220), np.uint8))
    writer.release()
    (folder / "scans").mkdir()
    shutil.copy(folder / "cat.jpg", folder / "scans" / "1.jpg")
    shutil.copy(ROOT / "models" / "cifar10" / "cifar10-int8.tflite", folder / "mobilenet.tflite")


TRAINED_OTHERWISE = {
    "--quick": [],
    "--for": ["--epochs", "1", "--model", "mobilenet-v1", "--width", "0.25", "--image-size", "32"],
    "--from": ["--epochs", "1"],
}
"""What is added to a training that names its network in another way, by the option that does."""


def substituted(command: str) -> list[str] | None:
    """The arguments of edgeclf as they are run here, with few epochs; None where the command cannot be run."""
    if any(command.startswith(start) for start in NOT_HERE):
        return None
    words = shlex.split(command)
    assert words[0] in ("edgeclf", "edge/bin/edgeclf"), f"README has a command that no test runs: {command}"
    if "--camera" in words and words[words.index("--camera") + 1] == "0":
        words[words.index("--camera") + 1 :] = ["street.mp4", "--web", "0"]  # there is no camera
    extra = {
        "train": ["--epochs", "2", "--model", "cnn", "--image-size", "32"],
        "bench": ["--runs", "50"],
        "live": ["--no-window", "--overwrite", "--no-stay"],
        "compress": [
            "--set",
            "qat_epochs=1",
            "--set",
            "prune_epochs=1",
            "--set",
            "cluster_epochs=1",
            "--set",
            "shrink_epochs=1",
        ],
    }
    if words[1] == "train":
        extra["train"] = next((given for option, given in TRAINED_OTHERWISE.items() if option in words), extra["train"])
    return [*words[1:], *extra.get(words[1], [])]


IMPORT_TENSORFLOW = ("train", "compress", "bench", "compare")
"""They run in this process, which imports it once; tests/test_cli_host_commands.py starts them as a shell does."""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}


def run_edgeclf(folder: Path, *words: str) -> tuple[int, str]:
    """Run a command; its exit code and what it wrote to stderr."""
    if words[0] in IMPORT_TENSORFLOW:
        here = edgeclf_here(folder, *words)
        return here.exit_code, here.stderr
    command = [sys.executable, "-m", "edgeclf", *words]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.slow
def test_every_command_runs_in_order(tmp_path: Path) -> None:
    make_photos(tmp_path)
    make_network(tmp_path)
    ran = []
    for command in commands():
        words = substituted(command)
        if words is None:
            if command.startswith("scp "):
                shutil.copy(tmp_path / command.split()[1], tmp_path)
            continue
        code, errors = run_edgeclf(tmp_path, *words)
        assert code == 0, f"{command}\n{errors}"
        ran.append(command)
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert len(ran) >= 10


@pytest.mark.slow
def test_the_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_photos(tmp_path)
    (code,) = blocks("python")
    quick = code.replace('out="runs/python"', 'out="runs/python", epochs=2, model="cnn", image_size=32')
    assert quick != code
    monkeypatch.chdir(tmp_path)
    exec(compile(quick, "README.md", "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr().out
    *measured, label = printed.splitlines()
    assert label in ("bird", "cat", "dog")
    assert measured
    assert "None" not in printed


def test_scripts_that_readme_names_exist_and_parse() -> None:
    for script in ("tools/try.sh", "tools/check.sh", "tools/environment.sh"):
        subprocess.run(["sh", "-n", str(ROOT / script)], check=True)


def test_the_wheel_has_the_version_of_the_package() -> None:
    for name in ("README.md", "examples/raspberry-pi/README.md"):
        wheels = set(re.findall(r"edgeclf-[^\s\"\[]+\.whl", (ROOT / name).read_text(encoding="utf-8")))
        assert wheels == {f"edgeclf-{edgeclf.__version__}-py3-none-any.whl"}, name


def test_the_example_with_own_photos_explains_itself() -> None:
    command = [sys.executable, str(ROOT / "examples" / "own_photos.py"), "--help"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0
    for word in ("PHOTOS", "RUN", "EPOCHS"):
        assert word in done.stdout


def test_the_table_of_the_zoo_agrees_with_the_cards() -> None:
    rows = re.findall(r"^\| `(\w+)`, .*\|$", README, flags=re.MULTILINE)
    assert sorted(rows) == sorted(path.parent.name for path in (ROOT / "models").glob("*/*-int8.tflite"))
    for name in rows:
        (line,) = (line for line in README.splitlines() if line.startswith(f"| `{name}`"))
        _, images, float_top1, top1, difference, size, latency = (cell.strip() for cell in line.split("|")[1:-1])
        card = (ROOT / "models" / name / "README.md").read_text(encoding="utf-8")
        assert f"top-1 on the test split ({images} images) | {float_top1} | {top1} (" in card
        found = re.search(r"\| difference, paired \| \| ([-+.\d]+) points \(([-+.\d]+) to ([-+.\d]+);", card)
        assert found is not None
        signed = [f"±{0:.2f}" if float(number) == 0 else number.replace("-", "−") for number in found.groups()]
        assert difference == f"{signed[0]} points ({signed[1]} to {signed[2]})"
        in_bytes = re.search(r"\| file \| \| ([\d,]+) bytes \|", card)
        assert in_bytes is not None
        assert size == f"{in_bytes.group(1)} B"
        assert f", 2 threads | {latency}, one thread |" in card


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
