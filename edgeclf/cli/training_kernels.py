"""TensorFlow's faster kernels (oneDNN), for the commands that train a network.

TensorFlow turns them on by itself only on processors with AVX-512 VNNI and the like. Measured on an AMD EPYC with AVX2
(`tools/benchmarks/training_kernels.py`), they make training 1.2 to 2.2 times as fast, but the prediction of one image
by itself 2 to 20 times as slow, so `bench`, whose figures name the float network's latency, leaves them as they are.
"""

from __future__ import annotations

import os
import sys

from edgeclf.measure.machine import ONEDNN_VARIABLE, processor_flags


def use_training_kernels() -> None:
    """Ask TensorFlow for oneDNN's kernels on x86 processors with AVX2, unless the user's environment decides it.

    TensorFlow reads the variable once, when it is imported; where that has happened, nothing is changed.
    """
    if "tensorflow" not in sys.modules and "avx2" in processor_flags():
        os.environ.setdefault(ONEDNN_VARIABLE, "1")
