"""A lack of memory refuses the one trial that it happens to."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

import tensorflow as tf
import tf_keras

from edgeclf.atomic import is_full_disk
from edgeclf.search import RefusedTrialError


@contextlib.contextmanager
def refuse_without_memory() -> Iterator[None]:
    """Turn a lack of memory into a refusal, and give back what Keras holds; TensorFlow reports a full disk by the same
    error, which stays.

    Raises:
        RefusedTrialError: what was done does not fit into memory.
    """
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        if is_full_disk(error):
            raise
        tf_keras.backend.clear_session()
        gc.collect()
        raise RefusedTrialError("it does not fit into memory") from error
