"""Which devices train together: all GPUs that TensorFlow sees, and other hosts named by `TF_CONFIG`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import tensorflow as tf
import tf_keras

from edgeclf.errors import InputError, RunFailedError

Made = TypeVar("Made")


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

    @property
    def replicas(self) -> int:
        """Number of devices that divide a batch among them, over all workers."""
        return int(self.strategy.num_replicas_in_sync)

    def all_gather(self, number: int) -> list[int]:
        """Collect `number` from every worker, in the order of the workers. All of them must call this."""
        if self.workers == 1:
            return [number]
        own = self.strategy.experimental_distribute_values_from_function(lambda _: tf.constant([number], tf.int32))
        gathered: list[int] = self.strategy.gather(own, axis=0).numpy().tolist()
        return gathered[:: self.replicas // self.workers]

    def run_on_all_workers(self, work: Callable[[], Made]) -> Made:
        """Run `work` on every worker. Where it fails on one it fails on all, instead of leaving the others waiting.

        Raises:
            RunFailedError: it failed on another worker.
        """
        try:
            made = work()
        except Exception:
            self.all_gather(0)
            raise
        succeeded = self.all_gather(1)
        if 0 in succeeded:
            raise RunFailedError(f"worker {succeeded.index(0)} cannot begin; see its own error message")
        return made


def choose_devices() -> Devices:
    """Find the devices of this process.

    Several workers follow `TF_CONFIG` (`MultiWorkerMirroredStrategy`), several GPUs are mirrored (`MirroredStrategy`).

    Raises:
        InputError: `TF_CONFIG` is not what TensorFlow expects, or names no worker.
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


def synchronize_normalization(network: tf_keras.Model) -> tf_keras.Model:
    """Copy `network` with batch normalization over the whole batch, and not only the part of its own device.

    Then several devices train like one (measured on `digits`: see `tests/test_distribution.py`).
    """

    def copy_layer(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            return type(layer).from_config(layer.get_config() | {"synchronized": True})
        return type(layer).from_config(layer.get_config())

    copy = tf_keras.models.clone_model(network, clone_function=copy_layer)
    copy.set_weights(network.get_weights())
    return copy
