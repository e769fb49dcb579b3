"""Exports ONNX files: the float32 model, converted by tf2onnx, and compared with it in onnxruntime before it is kept.

tf2onnx reads the TFLite graph, so that every source of `compress` goes the same way. Its types are float32; the file
takes raw pixels and gives probabilities, as the TFLite file does.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.onnx_file import FIT, LABELS
from edgeclf.artifact.samples import CANDIDATES, sample_image
from edgeclf.compression.export.tflite import TFLite
from edgeclf.compression.exporter import ExportedFile, Exporter, register_exporter
from edgeclf.errors import InputError, ModelError, RunFailedError
from edgeclf.extras import require
from edgeclf.image.native_stderr import RUNTIME_CHATTER, without_chatter
from edgeclf.inference.litert import LITERT
from edgeclf.printable import one_line
from edgeclf.records import Record

if TYPE_CHECKING:
    from edgeclf.compression.step import StepContext
    from edgeclf.graph.float_network import FloatNetwork

OPSET = 17
"""Of 2022: what onnxruntime 1.13 and later, TensorRT 8.6 and OpenVINO 2023 read."""
MOST_DIFFERENCE = 1e-3
"""Of a probability, or of the largest logit, between the file and what it was converted from; rounding makes 1e-6."""
PHOTOS = 16
"""Most photos that both are computed on, beside the sample pictures."""
_LEFT = "TFL_"
"""In front of the names of TFLite operators that tf2onnx left as they were."""
_CHATTER = (*RUNTIME_CHATTER, b"WARNING: All log messages", b"I0000", b"W0000")


@register_exporter
@dataclass(frozen=True)
class Onnx(Exporter, Record):
    """An `.onnx` file in float32.

    Args:
        io: type of the input, `uint8` or `float32`; the output is float32.

    Raises:
        InputError: the type is another.
    """

    kind: ClassVar[str] = "onnx"
    suffix: ClassVar[str] = ".onnx"

    io: str = "uint8"

    def __post_init__(self) -> None:
        if self.io not in ("uint8", "float32"):
            raise InputError(f"--io {self.io} goes with int8 models, got onnx; use uint8 or float32")

    def label(self) -> str:
        """Return the last part of a recipe's name."""
        return "onnx"

    @property
    def takes_graphs(self) -> bool:
        """Whether a network that came as a TFLite graph can be exported."""
        return True

    @property
    def remark(self) -> str:
        """What users should know about the format."""
        return "ONNX in float32, for onnxruntime and other programs"

    def check_available(self) -> None:
        """Refuse where the packages are missing.

        Raises:
            MissingExtraError: they are.
        """
        require("the format onnx", "tf2onnx", "onnx", "onnxruntime")

    def export(self, network: FloatNetwork, context: StepContext) -> ExportedFile:
        """Convert a prepared network, and compare the file with the TFLite model.

        Raises:
            InputError: ranges were trained, which it cannot keep.
            MissingExtraError: tf2onnx, onnx or onnxruntime is not installed.
            ModelError: tf2onnx has no way to write one of the operators, or writes what onnxruntime refuses.
            RunFailedError: the file computes something else.
        """
        self.check_available()
        if network.invariants.trained_ranges:
            raise InputError("quantization-aware training makes int8 models, got onnx; run it apart")
        plain = TFLite("float32", io=self.io).export(network, context)
        model = _convert(plain.content)
        _describe(model, network)
        content = bytes(model.SerializeToString())
        images = _images(network, context)
        difference = _difference(content, plain, images)
        if not difference <= MOST_DIFFERENCE:
            raise RunFailedError(
                f"the ONNX file differs from the float network by {difference:.2g}, expected at most "
                f"{MOST_DIFFERENCE:g}; tf2onnx converts one of its operators wrongly"
            )
        note = f"computed by onnxruntime on {len(images)} pictures: differs from LiteRT by at most {difference:.1e}"
        return ExportedFile(content, self.label() + self.suffix, notes=(note,))


def _convert(content: bytes) -> Any:
    with without_chatter(*_CHATTER), warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        import tf2onnx

        logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        try:
            model, _ = tf2onnx.convert.from_tflite(str(path), opset=OPSET)
        except Exception as error:  # tf2onnx raises what its handlers happen to meet
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise ModelError(f"tf2onnx cannot convert this network: {reason}") from error
    # an operator that it does not know stays as it was, which its log alone says
    unknown = sorted({node.op_type.removeprefix(_LEFT) for node in model.graph.node if node.op_type.startswith(_LEFT)})
    if unknown:
        raise ModelError(f"tf2onnx cannot convert this network: it has no way to write {', '.join(unknown[:8])}")
    return model


def _describe(model: Any, network: FloatNetwork) -> None:
    """Name input and output, and note the classes."""
    import onnx

    wanted = {model.graph.input[0].name: "image", model.graph.output[0].name: "probabilities"}
    # what is called so inside makes room
    names = {name: f"{name}/inside" for name in wanted.values()} | wanted
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer):
        value.name = names.get(value.name, value.name)
    for node in model.graph.node:
        for side in (node.input, node.output):
            side[:] = [names.get(name, name) for name in side]
    labels = "\n".join(" ".join(name.splitlines()) for name in network.classes)
    onnx.helper.set_model_props(model, {LABELS: labels, FIT: network.input.fit})
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"tf2onnx cannot convert this network: {one_line(str(error))[:200]}") from error


def _images(network: FloatNetwork, context: StepContext) -> npt.NDArray[np.uint8]:
    """Choose the pictures to compare on: the samples of `verify`, and some photos where there are any."""
    height, width = network.input.height, network.input.width
    samples = [sample_image(number, height, width) for number in range(CANDIDATES)]
    splits = {} if context.data is None else context.data.splits
    photos = next((split.images for split in splits.values() if len(split)), None)
    return np.stack(samples) if photos is None else np.concatenate([samples, np.asarray(photos[:PHOTOS])])


def _difference(content: bytes, plain: ExportedFile, images: npt.NDArray[np.uint8]) -> float:
    """Compute the largest difference of an output, relative to the largest where that is above 1; NaN if one is."""
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no class in common
        raise ModelError(f"onnxruntime refuses the ONNX file: {one_line(str(error))[:200]}") from error
    known, dtype = LITERT.open(plain), np.dtype(plain.graph.inputs[0].dtype)
    worst = 0.0
    for image in images.astype(dtype):
        expected = known.run(image[None])
        (found,) = session.run(None, {session.get_inputs()[0].name: image[None]})
        scale = max(1.0, float(np.abs(expected).max()))
        # the largest of Python's numbers would leave NaN out
        worst = np.maximum(worst, np.abs(np.asarray(found) - expected).max() / scale)
    return float(worst)
