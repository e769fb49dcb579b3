"""Loads a float TFLite classifier as the source of a compression: its graph, which exporters take as it is.

The graph is arranged first: channels last, constants in float32, nothing in front of the network.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.class_names import number_classes, own_names
from edgeclf.artifact.custom_operators import describe_custom_operators
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import RAW
from edgeclf.artifact.tensor_names import distinguish_names
from edgeclf.artifact.tflite_source_editor import SourceEditor, check_unpacking, list_quantized
from edgeclf.errors import DamagedModelError, InputError, ModelError
from edgeclf.graph.float_network import FloatNetwork, InputSpec
from edgeclf.inference.limits import ModelLimits
from edgeclf.inference.litert import LITERT
from edgeclf.keras_files.fixed_shapes import fix_shapes
from edgeclf.keras_files.reading import reason

TFLITE = "TFLite"
"""The kind of such a source."""
MOST_OPERATORS = 5000
"""EfficientNet-B7 has about 800; the runtime reads each of their results on each calibration image."""


def arrange_source(path: str | Path) -> tuple[ModelFile, bytes]:
    """Read a file, refuse what is no float classifier of RGB pictures, and arrange its graph; nothing is run.

    Returns:
        the file as it is; its graph without metadata, from float32[1, H, W, 3] to float32[1, C], constants in float32.

    Raises:
        ModelError: it cannot be read, is damaged, is no image classifier, or is larger than allowed.
        InputError: it is quantized, takes gray pictures, or has one output for two classes.
    """
    file = ModelFile.read(path)
    file.check()
    shape, name = file.shape, file.name
    if shape.channels != 3:
        raise InputError(f"{name}: expected a network that takes RGB pictures, got {shape.channels} channel")
    if shape.outputs == 1:
        raise InputError(
            f"{name}: expected an output for each class, got one for two classes; export it with a softmax over both"
        )
    if len(file.graph.operators) > MOST_OPERATORS:
        count = len(file.graph.operators)
        raise ModelError(f"{name}: expected a network of at most {MOST_OPERATORS:,} operators, got {count:,}")
    if file.graph.subgraphs != 1:
        raise ModelError(f"{name}: expected one graph to quantize, got {file.graph.subgraphs}; export it without calls")
    if custom := describe_custom_operators(file):
        raise ModelError(f"{name}: cannot be quantized{custom}")
    ModelLimits.from_environment().check(file)
    content = _arrange(file)
    _check_arranged(ModelFile(content, name))
    return file, content


def _arrange(file: ModelFile) -> bytes:
    """Arrange the graph.

    Raises:
        DamagedModelError: the file holds together as far as a runtime reads it, and not beyond.
    """
    try:
        check_unpacking(file.content)
        editor = SourceEditor(file.content)
        editor.remove_accessories()
        editor.widen_constants()
        editor = SourceEditor(editor.pack())
        editor.remove_entry_operators()
        distinguish_names(editor.unpacked)
        return editor.pack()
    except ModelError as error:
        raise type(error)(f"{file.name}: {error}") from error
    except (struct.error, ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        # what the schema's own classes raise, which follow positions unchecked
        raise DamagedModelError(f"{file.name}: is cut or damaged ({reason(error)})") from error


def _check_arranged(file: ModelFile) -> None:
    graph, shape = file.graph, file.shape
    found = list_quantized(graph)
    if found:
        kind = next((one.dtype for one in found if one.dtype != "int32"), "int32")  # biases are int32
        raise InputError(
            f"{file.name}: is quantized already ({kind}); expected a float32 or float16 file: compress the one that it "
            f"was made of, or train its network on with: edgeclf train --weights {file.name}"
        )
    (entry,), (result,) = graph.inputs, graph.outputs
    if (entry.dtype, result.dtype) != ("float32", "float32"):
        raise InputError(f"{file.name}: expected float32 in and out, got {entry.dtype} in and {result.dtype} out")
    if shape.channels_first:
        raise InputError(
            f"{file.name}: its input has channels first, and more than a TRANSPOSE to channels last reads it; export "
            "it with litert_torch.to_channel_last_io(network, args=[0])"
        )


def load_tflite_source(path: Path) -> tuple[ModelFile, FloatNetwork, str]:
    """Load a file as a float network.

    Returns:
        the file, the network on what its graph takes, and where its class names are from: `metadata`, `provenance`, or
        nothing where it names none, or not as many as it has.

    Raises:
        ModelError, InputError: see `arrange_source`, and `fix_shapes` of graphs with an open batch.
        RunFailedError: the runtime fails.
    """
    file, content = arrange_source(path)
    content = fix_shapes(ModelFile(content, file.name))
    shape, (names, origin) = file.shape, own_names(file)
    if names is None or len(names) != shape.classes:
        names, origin = number_classes(shape.classes), ""
    network = FloatNetwork(
        model=None,
        call=_caller(ModelFile(content, file.name)),
        trackable=None,
        input=InputSpec(shape.height, shape.width, RAW),
        classes=names,
        graph=content,
    )
    return file, network, origin


def _caller(file: ModelFile) -> Callable[[Any], Any]:
    """Make a function for TensorFlow that runs a graph on the edge runtime, one image at a time."""
    import tensorflow as tf

    session, classes = LITERT.open(file), file.shape.classes

    def run(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        found = np.empty((len(images), classes), np.float32)
        for row, image in enumerate(images):
            found[row] = session.run(image[None]).reshape(-1)
        return found

    def call(images: Any) -> Any:
        result = tf.numpy_function(run, [images], tf.float32)
        result.set_shape((None, classes))
        return result

    return call
