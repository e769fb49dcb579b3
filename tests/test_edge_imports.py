"""The edge side imports, and works, in a process where nothing of the host side can be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EDGECLF = Path(__file__).resolve().parents[1] / "edgeclf"
EDGE = ("image", "artifact", "inference", "dataset", "measure", "doctor", "streaming", "cli")
HOST = ("tensorflow", "tf_keras", "keras", "sklearn", "matplotlib", "PIL", "jinja2", "tensorflow_model_optimization")

REFUSE = f"""
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HOST!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Refuse())
"""


def edge_modules() -> list[str]:
    """Every module of the edge side, and those at the top."""
    top = [f"edgeclf.{path.stem}" for path in EDGECLF.glob("*.py") if not path.stem.startswith("__")]
    inner = [path for package in EDGE for path in (EDGECLF / package).rglob("*.py")]
    names = [".".join(path.relative_to(EDGECLF.parent).with_suffix("").parts) for path in inner]
    return sorted([*top, *(name.removesuffix(".__init__") for name in names)])


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", REFUSE + code], capture_output=True, text=True, check=False)


def test_every_edge_module_imports_without_the_host_side() -> None:
    names = edge_modules()
    assert "edgeclf.inference.classifier" in names
    # memory_probe is a program of its own that measures its process: importing it is running it.
    code = f"""
import importlib
for name in {[n for n in names if not n.endswith("probe")]!r}:
    importlib.import_module(name)
loaded = [name for name in {HOST!r} if name in sys.modules]
assert not loaded, loaded
"""
    done = python(code)
    assert done.returncode == 0, done.stderr


def test_the_settings_of_live_are_imported_without_numpy() -> None:
    done = python("import edgeclf.streaming.loop.settings; assert 'numpy' not in sys.modules, 'numpy was imported'")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (
            ["predict", "cifar10", "x.jpg", "--runtime", "tensorflow"],
            '--runtime tensorflow needs tensorflow, which is not installed; run: pip install "edgeclf[train]"',
        ),
        (["train", "digits"], 'train needs tensorflow, which is not installed; run: pip install "edgeclf[train]"'),
        (["compress", "run"], 'compress needs tensorflow, which is not installed; run: pip install "edgeclf[train]"'),
        (["bench", "m.tflite", "--report", "r.html"], 'which is not installed; run: pip install "edgeclf[train]"'),
        (["bench", "m.tflite", "--baseline", "b.keras"], 'which is not installed; run: pip install "edgeclf[train]"'),
    ],
)
def test_host_commands_name_the_install_command(command: list[str], expected: str) -> None:
    done = python(f"sys.argv = ['edgeclf', *{command!r}]\nfrom edgeclf.cli.main import main\nsys.exit(main())")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert expected in done.stderr


def test_no_public_function_has_the_name_of_a_package() -> None:
    # Importing edgeclf.NAME, the package, would put it in the place of the function.
    packages = {path.stem for path in EDGECLF.iterdir() if path.is_dir() or path.suffix == ".py"}
    assert packages.isdisjoint({"audit", "bench", "compress", "inspect", "live", "predict", "train", "verify"})


def test_public_names_are_lazy_and_complete() -> None:
    code = """
import edgeclf
assert not any(name in sys.modules for name in ("numpy", "cv2", "typer"))
assert set(dir(edgeclf)) == set(edgeclf.__all__)
for name in edgeclf.__all__:
    assert getattr(edgeclf, name) is not None, name
try:
    edgeclf.nonsense
except AttributeError as error:
    assert "nonsense" in str(error)
else:
    raise AssertionError
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
