"""Host side: from a data set to a float Keras model in a run folder."""

import os

# TFMOT and the converter look for Keras 2 under the name `tf.keras`. Both variables are read when TensorFlow is first
# imported, so they are set here, above every module that imports it.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
