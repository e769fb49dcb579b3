"""oneDNN's kernels train faster on processors with AVX2, where TensorFlow leaves them out unless it is asked."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from edgeclf.measure.machine import processor_flags

pytest.importorskip("tensorflow")

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
ASK = f"import edgeclf.training, os; print(os.environ.get({VARIABLE!r}))"


@pytest.mark.parametrize("given", [None, "0", "1"])
def test_onednn_is_on_with_avx2_unless_the_user_has_decided(given: str | None) -> None:
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    if given is not None:
        environment[VARIABLE] = given
    done = subprocess.run(
        [sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    chosen = "1" if "avx2" in processor_flags() else None
    assert done.stdout.strip() == str(given or chosen)
