"""Peak memory of one model, measured in a fresh process so that nothing that ran before is counted."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from edgeclf.errors import ModelError, RunFailedError
from edgeclf.records import Record

_SECONDS = 300


@dataclass(frozen=True)
class Memory(Record):
    """Memory of a process that holds Python, NumPy, the runtime and one model, and has run it.

    Attributes:
        kind: "anonymous" (Linux: heap and stacks, without mapped files) or "resident" (elsewhere: with them).
        peak_bytes: at its peak.
        model_bytes: of which since the runtime was imported: what the model itself takes; None where the kind is
            "resident".
        peak_resident_bytes: at its peak, with the pages of mapped files and shared libraries.
    """

    kind: str
    peak_bytes: int
    model_bytes: int | None
    peak_resident_bytes: int


def measure_memory(model: Path, *, runtime: str = "litert", threads: int = 1) -> Memory:
    """Open and run `model` in a process of its own.

    Raises:
        ModelError: the process could not open the model; carries its line.
        RunFailedError: the process died or hung.
    """
    command = [sys.executable, "-m", "edgeclf.measure.memory_probe", str(model)]
    command += ["--runtime", runtime, "--threads", str(threads)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise RunFailedError(f"{model}: no result within {_SECONDS} s while its memory was measured") from error
    last_line = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else ""
    if done.returncode == ModelError.exit_code:
        raise ModelError(last_line)
    if done.returncode != 0:
        raise RunFailedError(f"{model}: the process that measured its memory ended with {done.returncode}: {last_line}")
    probed = json.loads(done.stdout.strip().splitlines()[-1])
    before = probed["before_bytes"]
    return Memory(
        kind=probed["kind"],
        peak_bytes=probed["peak_bytes"],
        model_bytes=None if before is None else max(0, probed["peak_bytes"] - before),
        peak_resident_bytes=probed["peak_resident_bytes"],
    )
