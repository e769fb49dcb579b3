"""Networks with weights from ImageNet, as published for `tf_keras.applications`."""

from __future__ import annotations

import tf_keras

from edgeclf.dataset.cache import cache_folder
from edgeclf.errors import one_line
from edgeclf.progress import Progress
from edgeclf.training.downloads import fetch_weights, remove_weights
from edgeclf.training.networks import ImageNetStart


def imagenet_backbone(start: ImageNetStart, image_size: int, progress: Progress) -> tf_keras.Model | None:
    """Build a network without a head with ImageNet weights, from the cache or by an announced download.

    Returns:
        None where the weights are not available, because the machine is offline or the file is not what was expected;
        `progress` is informed.
    """
    path = cache_folder() / "weights" / start.file
    if not fetch_weights(start.url, path, start.sha256, progress):
        return None
    size = max(32, image_size)
    build = getattr(tf_keras.applications, start.application)
    model = build((size, size, 3), alpha=start.width, include_top=False, weights=None)
    try:
        model.load_weights(path)
    except (OSError, ValueError, LookupError) as error:
        progress.warn(f"{path} holds other weights than expected ({one_line(error)}) and is removed")
        remove_weights(path)
        return None
    return model
