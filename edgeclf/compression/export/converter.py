"""Runs TensorFlow's TFLite converter, without its chatter, and with its refusals in one line."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from edgeclf.errors import ModelError
from edgeclf.graph.conversion import make_converter
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.graph.private_apis import change_io_type, converter_error, quantize_graph
from edgeclf.image.native_stderr import without_chatter

_CHATTER = (
    *(b"WARNING: All log messages", b"W0000", b"I0000", b"INFO:", b"fully_quantize:", b"Summary on the non-converted"),
    *(b" non-converted", b"-----", b"(f32:", b"(uq_8:", b"Accepted dialects", b"Non-Converted Ops", b"* "),
    # the details of a refusal; the error that is raised carries the point
    *(b"loc(", b"error: ", b"implement custom ops", b"Custom ops: ", b"Flex ops: ", b"Details:", b"\ttf."),
)


def float_graph(network: FloatNetwork) -> bytes:
    """Return the float graph on scaled pixels, one image at a time: converted, unless the network came as one."""
    if network.graph is not None:
        return network.graph
    return run_converter(make_converter(network.call, network.input.height, network.input.width))


def trained_graph(network: FloatNetwork) -> bytes:
    """Convert a network that carries trained ranges to an integer graph with float input and output."""
    converter = make_converter(network.call, network.input.height, network.input.width)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return run_converter(converter)


def pixel_converter(network: FloatNetwork, io: str) -> Any:
    """Make a converter for the network on raw pixels; the input is of type `io`, `uint8` or `float32`."""
    scale = np.float32(network.input_max / 255)
    dtype = tf.float32 if io == "float32" else tf.uint8

    def call(pixels: Any) -> Any:
        return network.call(tf.cast(pixels, tf.float32) * scale)

    return make_converter(call, network.input.height, network.input.width, dtype)


def run_converter(converter: Any) -> bytes:
    """Convert.

    Raises:
        ModelError: the converter refuses the network.
    """
    with _refusals():
        try:
            return bytes(converter.convert())
        except converter_error():
            raise
        except Exception:  # noqa: BLE001 - freezing takes less than a SavedModel does, and says so in many ways
            converter.experimental_lower_to_saved_model = True
            return bytes(converter.convert())


def quantize(content: bytes, kept: frozenset[str] = frozenset()) -> bytes:
    """Quantize a float graph whose tensors carry their ranges to int8, with float input and output.

    Args:
        content: the graph.
        kept: names of the tensors whose operators stay in float.

    Raises:
        ModelError: the quantizer refuses the graph.
    """
    with _refusals():
        return quantize_graph(content, kept)


def change_io(content: bytes, io: str, *, entry: bool = True) -> bytes:
    """Give an integer graph with float input and output those of type `io`, `uint8` or `int8`.

    Args:
        content: the graph.
        io: the type.
        entry: whether the input changes as well; without, the output alone does. Where the last layer computes in
            float, the output stays float.

    Raises:
        ModelError: the graph does not allow it.
    """
    dtype = {"uint8": tf.uint8, "int8": tf.int8}[io]
    with _refusals():
        return change_io_type(content, dtype if entry else tf.float32, dtype)


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Keep the converter quiet, and turn what it raises into one line."""
    try:
        with without_chatter(*_CHATTER):
            yield
    except (ValueError, RuntimeError, converter_error(), tf.errors.OpError) as error:
        raise ModelError(f"the TFLite converter refuses this network: {_refusal(str(error))}") from error


def _refusal(text: str) -> str:
    """Name the operators that TFLite does not have, or return the first line of what the converter says."""
    missing = sorted(set(re.findall(r"'tf\.(\w+)' op is neither", text)))
    if missing:
        return f"TFLite has no operator for {', '.join(missing[:8])}; replace the layers that compute it"
    return next((line.strip() for line in text.splitlines() if line.strip()), "it gives no reason")[:200]
