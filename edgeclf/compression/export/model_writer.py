"""Packages a bare `.tflite` as one file that needs no companion: labels, provenance, samples, checksum.

Host side: needs `flatbuffers`, and the default runtime for the expected outputs of the samples.
"""

from __future__ import annotations

import dataclasses
import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact import metadata, metadata_writer
from edgeclf.artifact import provenance as sealing
from edgeclf.artifact.classifier_shape import ClassifierShape, classifier_shape
from edgeclf.artifact.fitted_probabilities import BUFFER_NAME as FEATURES
from edgeclf.artifact.fitted_probabilities import FeatureArrays, FittedProbabilities
from edgeclf.artifact.macs import count_macs, count_parameters
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.normalization import RAW, Normalization
from edgeclf.artifact.pixels import apply_table, pixel_table
from edgeclf.artifact.provenance import Provenance
from edgeclf.artifact.samples import CANDIDATES, choose_samples, sample_image
from edgeclf.artifact.tflite_editor import TfliteEditor
from edgeclf.compression.export.kernel_differences import accepted_steps, has_plain_sums
from edgeclf.errors import ModelError, RunFailedError
from edgeclf.inference.litert import LITERT
from edgeclf.inference.tflite_session import Kernels

FLOAT_STEP = 1 / 256
"""The step of a float output in `verify`: that of the 8-bit probabilities it could have been."""
SIGNATURE = "serving_default", "image", "output_0"
"""Key, input and output of the signature by which programs can call the model, where the graph has none: the names that
TensorFlow gives to one-function models."""


def package_model(
    content: bytes,
    *,
    labels: Sequence[str],
    provenance: Provenance,
    description: str,
    runtime_check: bool = True,
    features: FeatureArrays | None = None,
) -> bytes:
    """Add TFLite metadata with the labels, the provenance with embedded samples, and the checksum.

    The graph stays as it is; its weights lie on 16-byte boundaries of the file.

    Args:
        content: what the converter returned.
        labels: class names in index order; line breaks in them become spaces.
        provenance: `samples`, `macs` and `parameters` are filled in where they are empty.
        description: one line about the model.
        runtime_check: run the finished file on the samples and compare it with `content`.
        features: arrays of the feature space that `provenance.probabilities` describes.

    Raises:
        ModelError: `content` is no image classifier, is packaged already, computes NaN, or the labels do not fit its
            classes.
        RunFailedError: the finished file does not compute what `content` computes.
    """
    editor = TfliteEditor(_without_archive(content))
    model = editor.graph
    if sealing.BUFFER_NAME in model.metadata:
        raise ModelError("this file carries a provenance already; package what the converter returned")
    shape = classifier_shape(model)
    names = _checked_labels(labels, shape.classes)
    given = None if provenance.input_range is None else Normalization.from_range(*provenance.input_range)
    images = [sample_image(i, shape.height, shape.width) for i in range(CANDIDATES)]
    outputs = _run(editor.content, shape, given, images)
    if not np.isfinite(outputs).all():
        raise ModelError(
            "the network computes NaN or infinite values on drawn pictures: its weights are wrong, or its "
            "input range; take a network whose training did not diverge, or see --normalize"
        )
    step = 1 if np.issubdtype(outputs.dtype, np.integer) else FLOAT_STEP
    accepted = 1.0
    if has_plain_sums(ModelFile(editor.content, "the model")):
        references = _run(editor.content, shape, given, images, "reference")
        accepted = accepted_steps(outputs, references, step)
    complete = dataclasses.replace(
        provenance,
        samples=provenance.samples or choose_samples(outputs, step, accepted),
        macs=provenance.macs or count_macs(model),
        parameters=provenance.parameters or count_parameters(model),
    )
    further = {} if features is None else {FEATURES: features.encode()}
    packaged = _assemble(editor, shape, names, complete, given or RAW, description, further)
    if runtime_check and not np.array_equal(_run(packaged, shape, given, images), outputs):
        raise RunFailedError("the packaged model does not compute what the converted one computes; this is a bug")
    return packaged


def replace_probabilities(
    file: ModelFile, fitted: FittedProbabilities | None, features: FeatureArrays | None, labels: Sequence[str]
) -> bytes:
    """Write a finished model anew with other fitted probabilities; graph, samples and all else stay as they are.

    Args:
        file: that edgeclf made.
        fitted: goes into its provenance.
        features: arrays of its feature space.
        labels: class names in index order, as they stand in the file.

    Raises:
        ModelError: edgeclf did not make the file, or it is damaged.
    """
    made = file.provenance
    if file.integrity != "verified" or made is None:
        raise ModelError(f"{file.name}: expected a model of edgeclf compress, got one without its checksum")
    editor = TfliteEditor(_without_archive(file.content))
    provenance = sealing.provenance_buffer(dataclasses.replace(made, probabilities=fitted))
    buffers = {sealing.BUFFER_NAME: provenance}
    if features is not None or FEATURES in file.graph.metadata:
        buffers[FEATURES] = b"" if features is None else features.encode()
    editor.set_metadata(buffers, file.graph.description)
    return sealing.seal(metadata_writer.append_labels(editor.pack(), labels, sealing.EMPTY_SEAL))


def _assemble(
    editor: TfliteEditor,
    shape: ClassifierShape,
    labels: list[str],
    made: Provenance,
    given: Normalization,
    description: str,
    further: Mapping[str, bytes],
) -> bytes:
    name = description.split("\n")[0]
    standard = metadata_writer.metadata_buffer(name, description, shape.height, shape.width, shape.channels, given)
    buffers = {**further, sealing.BUFFER_NAME: sealing.provenance_buffer(made), metadata.BUFFER_NAME: standard}
    editor.set_metadata(buffers, description)
    if not editor.unpacked.signatureDefs:
        editor.sign(*SIGNATURE)
    return sealing.seal(metadata_writer.append_labels(editor.pack(), labels, sealing.EMPTY_SEAL))


def _checked_labels(labels: Sequence[str], classes: int) -> list[str]:
    if len(labels) != classes:
        raise ModelError(f"labels must name the {classes} classes of the output, got {len(labels)}")
    mark = sealing.MARK.decode()
    names = [" ".join(label.splitlines()) for label in labels]
    for index, label in enumerate(names):
        if not label.strip() or mark in label:
            raise ModelError(f"label {index} must be a name, got {label!r}")
    return names


def _without_archive(content: bytes) -> bytes:
    """Cut off a zip that an earlier writer appended."""
    stream = io.BytesIO(content)
    if not zipfile.is_zipfile(stream):
        return content
    with zipfile.ZipFile(stream) as archive:
        starts = [member.header_offset for member in archive.infolist()]
    return content[: min(starts)] if starts else content


def _run(
    content: bytes,
    shape: ClassifierShape,
    given: Normalization | None,
    images: list[npt.NDArray[np.uint8]],
    kernels: Kernels = "fast",
) -> npt.NDArray[Any]:
    session = LITERT.open(ModelFile(content, "the model"), kernels=kernels)
    table = pixel_table(shape.dtype, shape.scale, shape.zero_point, given if shape.dtype == "float32" else None)
    tensors = (apply_table(table, image[..., : shape.channels])[None] for image in images)
    return np.stack([session.run(tensor).reshape(-1) for tensor in tensors])
