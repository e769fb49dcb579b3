"""Folds blocks that train with parallel branches into one convolution each, which computes the same.

The sum of convolutions, scalings and identities of one tensor is linear, hence one convolution (Ding et al., 2021,
arXiv:2101.03697, section 3.3; Chu et al., 2022, arXiv:2212.01593, section 4). Blocks are found by their structure, in
whatever network: an addition whose inputs all come from the same tensor, each through at most one convolution without
activation and batch normalizations behind it; a batch normalization behind the addition belongs to the block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras

from edgeclf.graph import batch_norm
from edgeclf.graph.private_apis import calls_of, operands, producer, readers
from edgeclf.graph.rewire import rewire

layers = tf_keras.layers
Kernel = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Branch:
    """A path from the entry of a block to its addition.

    Attributes:
        entry: the layer that it starts from.
        convolution: the first layer; None: the path has none.
        normalizations: behind it, in order.
    """

    entry: Any
    convolution: Any
    normalizations: tuple[Any, ...]

    @property
    def layers(self) -> tuple[Any, ...]:
        """All of them."""
        return (*(() if self.convolution is None else (self.convolution,)), *self.normalizations)


@dataclass(frozen=True)
class _Block:
    """Branches, their addition, and the batch normalization behind it, if there is one."""

    branches: tuple[_Branch, ...]
    addition: Any
    normalization: Any

    @property
    def host(self) -> Any:
        """The convolution with the largest kernel, whose place the folded one takes."""
        made = [branch.convolution for branch in self.branches if branch.convolution is not None]
        return max(made, key=lambda layer: layer.kernel_size)


def fold_branches(model: Any) -> tuple[Any, int]:
    """Fold each block of parallel branches into one convolution.

    Args:
        model: flat functional tf-keras network.

    Returns:
        a copy that computes the same at inference, and the number of blocks; `model` itself where there are none.
    """
    additions = [layer for layer in model.layers if isinstance(layer, layers.Add) and calls_of(layer) == 1]
    blocks = [block for block in map(_find_block, additions) if block is not None]
    if not blocks:
        return model, 0
    removed: set[str] = set()
    replaced: dict[str, tuple[Any, list[Any]]] = {}
    substituted: dict[str, str] = {}
    for block in blocks:
        host = block.host
        removed |= {layer.name for branch in block.branches for layer in branch.layers if layer is not host}
        replaced[host.name] = _fold(block)
        ends = [block.addition] + ([] if block.normalization is None else [block.normalization])
        substituted |= {layer.name: host.name for layer in ends}
    return rewire(model, removed=removed, replaced=replaced, substituted=substituted), len(blocks)


def _find_block(addition: Any) -> _Block | None:
    """Return the block that ends in an addition, where all of its branches can be folded."""
    branches = [_trace(tensor) for tensor in operands(addition.output)]
    if len(branches) < 2 or any(branch is None for branch in branches):
        return None
    found = tuple(branch for branch in branches if branch is not None)
    entry, convolutions = found[0].entry, [b.convolution for b in found if b.convolution is not None]
    if any(branch.entry is not entry for branch in found) or not convolutions or calls_of(entry) > 1:
        return None
    strides = {layer.strides for layer in convolutions}
    if len(convolutions) < len(found):
        strides.add((1, 1))  # the entry itself, channel by channel
    shapes = {tuple(tensor.shape[1:]) for tensor in operands(addition.output)}
    if len(strides) > 1 or len(shapes) > 1 or any(_place(layer, found[0].entry) is None for layer in convolutions):
        return None
    reading = readers(addition)
    after = reading[0] if len(reading) == 1 and _is_normalization(reading[0]) else None
    block = _Block(found, addition, after)
    tall, wide = block.host.kernel_size
    if any(layer.kernel_size[0] > tall or layer.kernel_size[1] > wide for layer in convolutions):
        return None
    return block


def _trace(tensor: Any) -> _Branch | None:
    """Follow a tensor back through normalizations and one convolution; None: what comes there cannot be folded."""
    normalizations: list[Any] = []
    layer = producer(tensor)
    while _is_normalization(layer) and len(readers(layer)) == 1:
        normalizations.insert(0, layer)
        layer = producer(layer.input)
    if _is_linear_convolution(layer) and len(readers(layer)) == 1:
        return _Branch(producer(layer.input), layer, tuple(normalizations))
    return _Branch(layer, None, tuple(normalizations)) if len(readers(layer)) > 1 else None


def _is_normalization(layer: Any) -> bool:
    return (
        isinstance(layer, layers.BatchNormalization)
        and calls_of(layer) == 1
        and layer.input.shape.rank == 4
        and batch_norm.normalized_axes(layer) == [3]
    )


def _is_linear_convolution(layer: Any) -> bool:
    return (
        type(layer) is layers.Conv2D
        and calls_of(layer) == 1
        and layer.groups == 1
        and tuple(layer.dilation_rate) == (1, 1)
        and layer.data_format == "channels_last"
        and getattr(layer.activation, "__name__", "") == "linear"
    )


def _place(layer: Any, entry: Any) -> tuple[int, int] | None:
    """Return how many rows and columns lie in front of the first pixel in a convolution's first patch.

    None where it is not known: without a fixed input size, a stride decides it only when the network runs.
    """
    if layer.padding == "valid":
        return (0, 0) if tuple(layer.kernel_size) == (1, 1) else None
    found = []
    for size, kernel, stride in zip(entry.output.shape[1:3], layer.kernel_size, layer.strides, strict=True):
        if size is None and stride > 1:
            return None
        steps = 0 if size is None else (-(-size // stride) - 1) * stride + kernel - size
        found.append(max(kernel - 1 if size is None else steps, 0) // 2)
    return (found[0], found[1])


def _fold(block: _Block) -> tuple[Any, list[npt.NDArray[np.float32]]]:
    """Return the convolution that computes a block, and its weights."""
    host, entry = block.host, block.branches[0].entry
    kernel = np.zeros(tuple(host.kernel.shape), np.float64)
    bias = np.zeros(host.filters, np.float64)
    top, left = _place(host, entry) or (0, 0)
    for branch in block.branches:
        part, constant = _linear_map(branch, int(kernel.shape[2]))
        over, across = (0, 0) if branch.convolution is None else _place(branch.convolution, entry) or (0, 0)
        row, column = top - over, left - across
        kernel[row : row + part.shape[0], column : column + part.shape[1]] += part
        bias += constant
    if block.normalization is not None:
        kernel, bias = _scale(kernel, bias, block.normalization)
    made = layers.Conv2D(host.filters, host.kernel_size, host.strides, host.padding, use_bias=True)
    return made, [kernel.astype(np.float32), bias.astype(np.float32)]


def _linear_map(branch: _Branch, channels: int) -> tuple[Kernel, Kernel]:
    """Return the kernel float64[kh, kw, C, O] and the bias float64[O] that a branch amounts to."""
    if branch.convolution is None:
        kernel, bias = np.eye(channels)[None, None], np.zeros(channels)
    else:
        kernel, *given = (np.asarray(weight, np.float64) for weight in branch.convolution.get_weights())
        bias = given[0] if given else np.zeros(kernel.shape[-1])
    for layer in branch.normalizations:
        kernel, bias = _scale(kernel, bias, layer)
    return kernel, bias


def _scale(kernel: Kernel, bias: Kernel, normalization: Any) -> tuple[Kernel, Kernel]:
    scale, offset = batch_norm.scale_and_offset(normalization)
    return kernel * scale, bias * scale + offset
