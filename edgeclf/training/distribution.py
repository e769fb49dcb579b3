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
        """Number of devices that share a batch, over all workers."""
        return int(self.strategy.num_replicas_in_sync)

    def told(self, number: int) -> list[int]:
        """What each worker, this one among them, has to say: `number`, by worker. All of them must ask."""
        if self.workers == 1:
            return [number]
        own = self.strategy.experimental_distribute_values_from_function(lambda _: tf.constant([number], tf.int32))
        return self.strategy.gather(own, axis=0).numpy().tolist()[:: self.replicas // self.workers]  # type: ignore[no-any-return]

    def together(self, work: Callable[[], Made]) -> Made:
        """Do `work` on every worker. Where it fails on one it fails on all, instead of leaving the others waiting.

        Raises:
            RunFailedError: it failed on another worker.
        """
        try:
            made = work()
        except Exception:
            self.told(0)
            raise
        if 0 in (well := self.told(1)):
            raise RunFailedError(f"worker {well.index(0)} cannot begin; its own message says why")
        return made


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


def synchronized(network: tf_keras.Model) -> tf_keras.Model:
    """A copy whose batch normalization sees the whole batch, and not only the share of its own device.

    So that several devices train like one (measured on `digits`: see `tests/test_distribution.py`).
    """

    def copied(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            return type(layer).from_config(layer.get_config() | {"synchronized": True})
        return type(layer).from_config(layer.get_config())

    copy = tf_keras.models.clone_model(network, clone_function=copied)
    copy.set_weights(network.get_weights())
    return copy
