"""Host side: float networks, and edits of their tf-keras graphs: flattening, rewiring, making them quantizable."""

import os

# Read when TensorFlow is first imported; Keras 2 under the name `tf.keras` is what TFMOT and the converter look for.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
