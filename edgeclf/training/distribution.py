"""Which devices train together: all GPUs that TensorFlow sees, and other hosts named by `TF_CONFIG`."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

import tensorflow as tf

from edgeclf.errors import InputError


@dataclass(frozen=True)
class Devices:
    """What a run trains on.

    Args:
        strategy: of `tf.distribute`.
        worker: number of this worker, from 0; worker 0 alone writes files.
        workers: number of workers.
        description: for the report, such as `CPU` or `2 GPUs`.
    """

    strategy: tf.distribute.Strategy
    worker: int
    workers: int
    description: str


def choose_devices() -> Devices:
    """The devices of this process.

    Several workers follow `TF_CONFIG` (`MultiWorkerMirroredStrategy`), several GPUs are mirrored (`MirroredStrategy`).

    Raises:
        InputError: `TF_CONFIG` is not what TensorFlow expects, or the batch cannot be shared.
    """
    cluster = os.environ.get("TF_CONFIG")
    if cluster:
        try:
            parsed = json.loads(cluster)
            workers, task = parsed["cluster"]["worker"], parsed["task"]
            worker = int(task["index"])
            if task["type"] != "worker" or not 0 <= worker < len(workers):
                raise ValueError(f"task {task} is not one of {len(workers)} workers")
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"TF_CONFIG names no cluster of workers ({error}); see TensorFlow's TF_CONFIG") from error
        if len(workers) > 1:
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
            return Devices(strategy, worker, len(workers), f"{len(workers)} workers")
    gpus = tf.config.list_logical_devices("GPU")
    if len(gpus) > 1:
        return Devices(tf.distribute.MirroredStrategy(), 0, 1, f"{len(gpus)} GPUs")
    return Devices(tf.distribute.get_strategy(), 0, 1, "GPU" if gpus else "CPU")
