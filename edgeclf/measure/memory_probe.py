"""A process of its own that opens one model, runs it, and prints the memory that this took.

    python -m edgeclf.measure.memory_probe MODEL.tflite

Linux reports the anonymous memory (heap and stacks, without the pages of mapped files, which the kernel can drop) as it
is now but not its peak, and the peak of the resident memory with mapped files. The peak of the anonymous memory is at
least the largest value seen, and at least the resident peak less the file pages mapped at the end; the larger of both
is reported.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from edgeclf.errors import EdgeclfError

RUNS = 10


def main(arguments: list[str] | None = None) -> int:
    """Print one line of JSON on stdout: bytes before the model, at the peak, and of which kind they are."""
    parser = argparse.ArgumentParser(description="peak memory of one model in this process")
    parser.add_argument("model", type=Path)
    parser.add_argument("--runtime", default="litert")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)

    import numpy as np

    from edgeclf.artifact.model_file import ModelFile
    from edgeclf.inference.engine import find_engine

    try:
        engine = find_engine(options.runtime)  # imports it, so that what follows is what the model adds
        before = _status()
        largest = before.get("RssAnon", 0)
        session = engine.open(ModelFile.read(options.model), threads=options.threads)
        largest = max(largest, _status().get("RssAnon", 0))
        image = np.zeros(session.input.shape, session.input.dtype)
        for _ in range(RUNS):
            session.run(image)
            largest = max(largest, _status().get("RssAnon", 0))
    except EdgeclfError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    after = _status()
    if "RssAnon" in after:
        mapped = after.get("RssFile", 0) + after.get("RssShmem", 0)
        anonymous = max(largest, after["VmHWM"] - mapped)
        found = {
            "kind": "anonymous",
            "before_bytes": before["RssAnon"],
            "peak_bytes": anonymous,
            "peak_resident_bytes": after["VmHWM"],
        }
    else:
        resident = _resident_peak()
        found = {"kind": "resident", "before_bytes": None, "peak_bytes": resident, "peak_resident_bytes": resident}
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


def _status() -> dict[str, int]:
    """Read bytes by name from /proc/self/status; empty where there is none."""
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return {}
    fields = (line.split() for line in text.splitlines() if line.endswith(" kB"))
    return {name.rstrip(":"): int(value) * 1024 for name, value, _ in fields}


def _resident_peak() -> int:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes, everything else kilobytes.
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    sys.exit(main())
