"""ImageNet weights as published for `tf_keras.applications`: an announced download, or a file in the cache."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from edgeclf.dataset.cache import cache_folder
from edgeclf.errors import one_line
from edgeclf.training.downloads import fetch_weights, remove_weights
from edgeclf.training.starts.start import Availability, Start

if TYPE_CHECKING:
    from edgeclf.progress import Progress


@dataclass(frozen=True, kw_only=True)
class KerasDownload(Start):
    """Weights without a head for a network of `tf_keras.applications`.

    Args:
        application: the function of `tf_keras.applications` that builds the network.
        url: of the weights, HDF5.
        checksum: of the file, as `sha256:...` or `md5:...`, as tf-keras publishes it. None: it publishes none, and
            that of the first download is recorded.
        options: arguments of `application` besides the input and `alpha`, which is the width.
        smallest: side of the smallest input that the network can be built for, pixels.
    """

    origin: ClassVar[str] = "tf-keras' ImageNet weights"

    application: str
    url: str
    checksum: str | None = None
    options: tuple[tuple[str, object], ...] = ()
    smallest: int = 32

    @property
    def file(self) -> str:
        """Name of the file."""
        return self.url.rsplit("/", 1)[-1]

    @property
    def path(self) -> Path:
        """Where the file lies once it was downloaded."""
        return cache_folder() / "weights" / self.file

    def availability(self) -> Availability:
        """Return whether the file is in the cache."""
        return Availability.LOCAL if self.path.is_file() else Availability.DOWNLOAD

    def load(self, name: str, image_size: int, progress: Progress) -> Any | None:
        """Build the network of `tf_keras.applications`, from the cache or by an announced download."""
        path = self.path
        if not fetch_weights(self.url, path, self.checksum, progress):
            return None
        import tf_keras

        from edgeclf.graph.standard_layers import standardize

        size = max(self.smallest, image_size)
        alpha = {} if self.width is None else {"alpha": self.width}
        build = getattr(tf_keras.applications, self.application)
        network = build(input_shape=(size, size, 3), include_top=False, weights=None, **alpha, **dict(self.options))
        try:
            network.load_weights(path)
        except (OSError, ValueError, LookupError) as error:
            progress.warn(f"{path} holds other weights than expected ({one_line(error)}) and is removed")
            remove_weights(path)
            return None
        return standardize(network)  # MobileNetV3's activations are arithmetic there

    def remedy(self) -> str:
        """Return how the file is brought by hand."""
        return f"connect this machine once, or save {self.url} as {shlex.quote(str(self.path))}, then train again"
