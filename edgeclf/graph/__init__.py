"""Host side: float networks, and edits of their tf-keras graphs: flattening, rewiring, making them quantizable."""

import os

from edgeclf.measure.machine import processor_flags

# Read when TensorFlow is first imported; Keras 2 under the name `tf.keras` is what TFMOT and the converter look for.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# TensorFlow turns oneDNN's kernels on by itself only for processors with instructions for neural networks. With AVX2
# alone they were measured to train 1.3 to 2.0 times as fast (`tools/benchmarks/training_kernels.py`).
if "avx2" in processor_flags():
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
