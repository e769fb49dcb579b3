"""Whether bfloat16 activations make a network train faster here; its weights are 32 bits wide either way.

Measured with `tools/benchmarks/training_precision.py`. On two cores of an Intel processor with AMX 1.5 to 2.0 times as
many images a second for `resnet8`, `resnet20` and `cnn`, but 0.3 to 0.6 times for the mobilenets, whose depthwise
convolutions are slow in it; XLA made none of them faster there. On two of an AMD processor with AVX-512 BF16 1.2 times
(`resnet8`), 1.3 (`resnet20`), 1.8 (`resnet9`) and 2.1 (`cnn`), 1.0 (`resnet8-swish`), and 0.4 to 1.0 (mobilenets).
"""

from __future__ import annotations

import os

import tensorflow as tf

from edgeclf.measure.machine import ONEDNN_VARIABLE, processor_flags
from edgeclf.training.networks import find_network

_INSTRUCTIONS = frozenset({"amx_bf16", "avx512_bf16"})
FASTER = "activations in bfloat16, which this processor is faster at; --set mixed_precision=false for float32"


def bfloat16_is_faster(model: str) -> bool:
    """Return whether the network `model` was measured to train faster in mixed precision on a processor like this one.

    Not on a GPU, where nothing was measured, nor without oneDNN, which alone knows these instructions.
    """
    return (
        not _INSTRUCTIONS.isdisjoint(processor_flags())
        and os.environ.get(ONEDNN_VARIABLE) != "0"
        and find_network(model).bfloat16_faster
        and not tf.config.list_logical_devices("GPU")
    )
