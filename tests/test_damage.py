"""Damaged model files: each noticed, without a crash and without a hang."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
import tflite_models

from edgeclf.artifact.inspection import inspect_file
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.provenance import BUFFER_NAME, MARK, integrity
from edgeclf.errors import ModelError

DAMAGES = 200


def damaged(content: bytes, seed: int) -> bytes:
    """Cut, or with up to three bits flipped, or with a run of up to 4,096 bytes noise or zeros."""
    dice = random.Random(seed)
    while True:
        changed = bytearray(content)
        place = dice.randrange(len(content))
        match seed % 4:
            case 0:
                del changed[place:]
            case 1:
                for _ in range(dice.randint(1, 3)):
                    changed[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
            case 2:
                size = len(changed[place : place + dice.randint(1, 400)])
                changed[place : place + size] = dice.randbytes(size)
            case _:
                size = len(changed[place : place + dice.randint(1, 4096)])
                changed[place : place + size] = bytes(size)
        if changed != content:
            return bytes(changed)


@pytest.mark.parametrize("name", ["uint8", "float_0_255"])
def test_each_damage_is_noticed(name: str) -> None:
    content = tflite_models.packaged(name)
    started = time.perf_counter()
    for seed in range(DAMAGES):
        broken = damaged(content, seed)
        assert integrity(broken) == "damaged", f"damage {seed}"
        with pytest.raises(ModelError):
            ModelFile(broken, "model.tflite").check()
        if broken[4:8] == b"TFL3":  # else it is no model at all
            assert inspect_file(ModelFile(broken, "model.tflite")).integrity == "damaged"
    assert time.perf_counter() - started < 30


def test_every_single_bit_counts() -> None:
    content = tflite_models.packaged("uint8")
    for place in range(0, len(content), 7):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        assert integrity(bytes(flipped)) == "damaged", f"byte {place}"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["uint8", "float_0_255"])
def test_damaged_files_of_others_do_not_end_the_process(name: str, tmp_path: Path) -> None:
    """Without a seal a changed weight cannot be noticed, but broken structure must not reach native code."""
    content = tflite_models.bare(name)
    for seed in range(DAMAGES):
        (tmp_path / f"{seed:03}.tflite").write_bytes(damaged(content, seed))
    program = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from edgeclf.artifact.model_file import ModelFile; from edgeclf.errors import EdgeclfError\n"
        "from edgeclf.inference.engine import find_engine\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    print(path.name, flush=True)\n"
        "    try:\n"
        "        ready = find_engine('litert').open(ModelFile.read(path))\n"
        "        ready.run(np.zeros(ready.input.shape, ready.input.dtype))\n"
        "    except EdgeclfError:\n"
        "        pass\n"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, (done.stdout.splitlines()[-1], done.stderr[-500:])


def _fuzz_models() -> ModuleType:
    """`tools/fuzz_models.py`, which damages the zoo 2,000 times a file when it is run by hand."""
    path = Path(__file__).resolve().parents[1] / "tools" / "fuzz_models.py"
    spec = importlib.util.spec_from_file_location("fuzz_models", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_damages_of_the_zoo_are_called_damaged() -> None:
    fuzz = _fuzz_models()
    for path in sorted((fuzz.ROOT / "models").glob("*/*.tflite")):
        content = path.read_bytes()
        for seed in range(6 * len(fuzz.DAMAGES)):
            kind, changed = fuzz.damage(content, seed)
            assert fuzz.judge(changed, sealed=True) is None, (path.name, kind, seed)


def test_wrong_numbers_at_the_end_of_the_archive_are_called_damaged() -> None:
    """`zipfile` believes the offsets that stand there, and seeks to places before the file."""
    fuzz, content = _fuzz_models(), tflite_models.packaged("uint8")
    start = content.rindex(b"PK\x05\x06")
    for place in range(start, start + 22):
        changed = content[:place] + b"\xff\xff\xff\x7f" + content[place + 4 :]
        assert fuzz.judge(changed, sealed=True) is None, place - start


@pytest.mark.parametrize("name", ["uint8", "float_0_1"])
def test_damaged_files_of_others_are_refused_or_read(name: str) -> None:
    fuzz = _fuzz_models()
    for content in (tflite_models.bare(name), _unsealed(tflite_models.packaged(name))):
        for seed in range(6 * len(fuzz.DAMAGES)):
            kind, changed = fuzz.damage(content, seed)
            assert fuzz.judge(changed, sealed=False) is None, (kind, seed)


def _unsealed(content: bytes) -> bytes:
    return content.replace(BUFFER_NAME.encode(), b"X" * len(BUFFER_NAME)).replace(MARK, b"y" * len(MARK))
