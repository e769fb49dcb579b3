#!/usr/bin/env python3
"""Damage model files at random, from a seed, and look whether each damage is noticed and nothing unexpected is raised.

    python tools/fuzz_models.py [--count 2000] [--seed 0] [FILE.tflite ...]

Without files: those of models/. A damage of a sealed file must be called damaged; one of a file of others must be
refused or read. Exit code 1 where that is not so. No native code runs: `tests/test_damage.py` does that in a process
of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edgeclf.artifact.inspection import inspect_file
from edgeclf.artifact.model_file import ModelFile
from edgeclf.cli.rendering import render_inspection
from edgeclf.cli.terminal import Terminal
from edgeclf.errors import DamagedModelError, ModelError

ROOT = Path(__file__).resolve().parents[1]
Damage = Callable[[random.Random, bytearray], None]


def _cut(dice: random.Random, content: bytearray) -> None:
    del content[dice.randrange(len(content)) :]


def _flip_bits(dice: random.Random, content: bytearray) -> None:
    for _ in range(dice.randint(1, 3)):
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)


def _noise(dice: random.Random, content: bytearray) -> None:
    place = dice.randrange(len(content))
    content[place : place + 400] = dice.randbytes(len(content[place : place + dice.randint(1, 400)]))


def _zeros(dice: random.Random, content: bytearray) -> None:
    place = dice.randrange(len(content))
    size = len(content[place : place + dice.randint(1, 4096)])
    content[place : place + size] = bytes(size)


def _swap_blocks(dice: random.Random, content: bytearray) -> None:
    size = min(dice.choice((16, 512, 4096)), len(content) // 2)
    first, second = (size * dice.randrange(len(content) // size) for _ in range(2))
    one, other = content[first : first + size], content[second : second + size]
    content[first : first + size], content[second : second + size] = other, one


def _wrong_offset(dice: random.Random, content: bytearray) -> None:
    """Overwrite an aligned number, the root's offset among them, by one that points elsewhere, also backwards."""
    place = 4 * dice.choice((0, dice.randrange(len(content) // 4), dice.randrange(min(512, len(content) // 4))))
    value = dice.choice((dice.randrange(len(content)), 2**32 - dice.randrange(1, 4096), 0, 2**31 - 1, 2**31))
    content[place : place + 4] = value.to_bytes(4, "little")


def _repeat(dice: random.Random, content: bytearray) -> None:
    place, size = dice.randrange(len(content)), dice.randint(1, 4096)
    content[place:place] = content[place : place + size]


def _tail(dice: random.Random, content: bytearray) -> None:
    """Change a byte or a number near the end, where the archive of labels and the seal lie."""
    place = len(content) - dice.randint(1, min(400, len(content)))
    size = min(dice.choice((1, 2, 4)), len(content) - place)
    content[place : place + size] = dice.choice((dice.randbytes(size), b"\xff" * size, bytes(size)))


DAMAGES: tuple[Damage, ...] = (_cut, _flip_bits, _noise, _zeros, _swap_blocks, _wrong_offset, _repeat, _tail)


def damage(content: bytes, seed: int) -> tuple[str, bytes]:
    """Name of the kind, and the damaged content, which differs."""
    dice, kind = random.Random(seed), DAMAGES[seed % len(DAMAGES)]
    while True:
        changed = bytearray(content)
        kind(dice, changed)
        if changed != content:
            return kind.__name__.strip("_"), bytes(changed)


def judge(content: bytes, *, sealed: bool) -> str | None:
    """What is wrong about how a damaged file is taken; None: nothing."""
    file = ModelFile(content, "model.tflite")
    try:
        if sealed:
            try:
                file.check()
            except ModelError as error:
                if "\n" in str(error):
                    return "a message of several lines"
                if not isinstance(error, DamagedModelError) and content[4:8] == b"TFL3":
                    return f"not called damaged: {error}"
            else:
                return "not noticed"
        for read in (_describe, lambda one: one.shape, lambda one: one.metadata, lambda one: one.provenance):
            with contextlib.suppress(ModelError):
                read(file)
    except Exception as error:  # noqa: BLE001 - what is looked for
        return f"{type(error).__name__}: {error}"
    return None


def _describe(file: ModelFile) -> None:
    report = inspect_file(file)
    report.to_json()
    render_inspection(Terminal(file=io.StringIO(), width=100), report, verbose=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE.tflite")
    parser.add_argument("--count", type=int, default=2000, help="damages of each file")
    parser.add_argument("--seed", type=int, default=0, help="of the first")
    arguments = parser.parse_args()
    wrong = 0
    for path in arguments.files or sorted((ROOT / "models").glob("*/*.tflite")):
        content = path.read_bytes()
        sealed = ModelFile(content, path.name).seal_state == "verified"
        kinds, start = Counter[str](), time.perf_counter()
        for seed in range(arguments.seed, arguments.seed + arguments.count):
            kind, changed = damage(content, seed)
            problem = judge(changed, sealed=sealed)
            kinds[kind] += 1
            if problem is not None:
                wrong += 1
                print(f"{path.name}, seed {seed}, {kind}: {problem}")
        counted = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        print(f"{path.name} ({'sealed' if sealed else 'of others'}): {counted}; {time.perf_counter() - start:.0f} s")
    print(f"{wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
