"""A float network as a predictor: the baseline of `bench`, and the float top-1 of `compress`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from edgeclf.dataset import ImageView
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.image.batches import bounded_batch
from edgeclf.image.views import average_views, cut_views
from edgeclf.inference.predictor import check_numbers
from edgeclf.measure.machine import describe_machine
from edgeclf.progress import SILENT, Progress

Images = npt.NDArray[np.uint8] | ImageView

BATCH = 200


class KerasPredictor:
    """Classifies raw RGB images with a float network, on TensorFlow's first GPU if there is one.

        KerasPredictor(network).top1(split.images)

    Args:
        network: with its input scaling.
        labels: class names in the order of the outputs; None: those of `network`.
        batch_size: images a call, fewer where they are large; 1 for a SavedModel that was exported for one image.

    Attributes:
        labels: class names in the order of the outputs.
        size: height and width of the input, pixels.
        device: name of the device with the hardware's name, for people.
        threads: that TensorFlow computes one operator with; None on a GPU.
        parameters: numbers in the network; None where TensorFlow does not count them (a SavedModel).
    """

    def __init__(self, network: FloatNetwork, *, labels: Sequence[str] | None = None, batch_size: int = BATCH) -> None:
        self.labels: tuple[str, ...] = tuple(network.classes if labels is None else labels)
        self.size: tuple[int, int] = (network.input.height, network.input.width)
        self._place, self.device = float_device()
        on_gpu = self._place.startswith("/GPU")
        self.threads: int | None = None if on_gpu else _threads()
        self.parameters: int | None = _parameters(network)
        self._batch_size = bounded_batch(batch_size, *self.size)
        self._classes = len(network.classes)
        self._step: Any = tf.function(network.on_pixels, reduce_retracing=True)

    def probabilities(
        self, images: Images, progress: Progress = SILENT, title: str = "float network"
    ) -> npt.NDArray[np.float32]:
        """Run the network over images, a batch at a time.

        Args:
            images: uint8[N, H, W, 3], or anything that slices into that; views of objects one below the other,
                uint8[N, views * H, W, 3], are averaged over.
            progress: where the bar goes.
            title: of the bar.

        Returns:
            float32[N, C], the network's outputs as they are: probabilities, unless it ends in logits.
        """
        total = len(images)
        found = np.empty((total, self._classes), np.float32)
        with tf.device(self._place), progress.task(title, total) as task:
            for start in range(0, total, self._batch_size):
                batch = np.ascontiguousarray(images[start : start + self._batch_size])
                found[start : start + len(batch)] = self._average(cut_views(batch, self.size[0]), len(batch))
                task.advance(len(batch))
        return found

    def _average(self, views: npt.NDArray[np.uint8], objects: int) -> npt.NDArray[np.float32]:
        size = self._batch_size
        parts = [self._step(tf.constant(views[at : at + size])).numpy() for at in range(0, len(views), size)]
        return average_views(np.concatenate(parts), objects)

    def top1(self, images: Images, progress: Progress = SILENT) -> npt.NDArray[np.int64]:
        """Find the index of the best class of each of uint8[N, H, W, 3]: int64[N]; ties go to the lowest index.

        Raises:
            RunFailedError: the network computes something that is no number.
        """
        scores = self.probabilities(images, progress)
        check_numbers(scores, "float network")
        found: npt.NDArray[np.int64] = scores.argmax(axis=-1)
        return found.astype(np.int64, copy=False)

    def single_call(self) -> Callable[[], object]:
        """Make a function that classifies one image and returns once the result is on the host; for stopwatches."""
        pixels = np.random.default_rng(0).integers(0, 256, (1, *self.size, 3)).astype(np.uint8)
        with tf.device(self._place):
            image = tf.constant(pixels)
            compiled = self._step.get_concrete_function(tf.TensorSpec(pixels.shape, tf.uint8))
        return lambda: compiled(image).numpy()


def float_device() -> tuple[str, str]:
    """Find TensorFlow's name of the device that float networks run on, and one for people with the hardware's name."""
    processors = tf.config.list_physical_devices("GPU")
    if processors:
        details = tf.config.experimental.get_device_details(processors[0])
        return "/GPU:0", f"GPU ({details.get('device_name', processors[0].name)})"
    return "/CPU:0", f"CPU ({describe_machine().processor})"


def _threads() -> int:
    return cast(int, tf.config.threading.get_intra_op_parallelism_threads()) or describe_machine().cores


def _parameters(network: FloatNetwork) -> int | None:
    for owner in (network.model, network.trackable):
        count = getattr(owner, "count_params", None)
        if count is not None:
            return int(count())
    return None
