"""Packages an exported graph with all that a device needs: labels, metadata, provenance, samples, checksum."""

from __future__ import annotations

import platform
from typing import Any

from edgeclf.artifact.input_fit import PROVENANCE_KEY, describe_way
from edgeclf.artifact.none_class import find_none_classes
from edgeclf.artifact.provenance import Provenance
from edgeclf.compression.export.model_writer import package_model
from edgeclf.compression.exporter import ExportedFile
from edgeclf.compression.probabilities.fit import Fit
from edgeclf.errors import DataError, ModelError
from edgeclf.image.decoding import PREPROCESSING_VERSION
from edgeclf.image.shape import STRETCH, InputShape
from edgeclf.image.views import describe_views
from edgeclf.printable import one_line
from edgeclf.versions import package_version

RESIZE_RULE = "area when shrinking, else bilinear"
PACKAGES = ("edgeclf", "tensorflow", "tf-keras", "tensorflow-model-optimization", "ai-edge-litert", "numpy")
"""Recorded in every file."""


def package(
    exported: ExportedFile,
    *,
    name: str,
    classes: tuple[str, ...],
    recipe: dict[str, Any],
    data: dict[str, Any],
    metrics: dict[str, Any],
    fit: str = STRETCH,
    fitted: Fit | None = None,
) -> bytes:
    """Add all that a device needs to a bare `.tflite`.

    Args:
        exported: the graph.
        name: of the model without the recipe's name, for its description.
        classes: class names in the order of the outputs.
        recipe: how it was made, JSON's own types; `name` among them.
        data: what it was made with, JSON's own types.
        metrics: figures by split.
        fit: how pictures of another shape come to the input.
        fitted: on the outputs of `exported`; None: nothing was.

    Returns:
        the content of the model file.

    Raises:
        DataError: labels or samples do not fit into a model file.
    """
    shape = InputShape(exported.shape.height, exported.shape.width, fit)
    none_classes = find_none_classes(classes)
    made = Provenance(
        recipe=recipe,
        data={"class_names": list(classes)} | ({"none_classes": list(none_classes)} if none_classes else {}) | data,
        metrics=metrics,
        versions={"python": platform.python_version()} | {name: package_version(name) for name in PACKAGES},
        preprocessing={
            "color": "RGB",
            PROVENANCE_KEY: fit,
            "resize": f"{RESIZE_RULE}; {describe_way(fit)}",
            "version": PREPROCESSING_VERSION,
        }
        | ({"views": describe_views(shape)} if shape.views else {}),
        input_range=exported.input_range,
        created_by=f"edgeclf {package_version('edgeclf') or ''}".strip(),
        probabilities=None if fitted is None else fitted.fitted,
    )
    arrays = None if fitted is None else fitted.arrays
    description = f"{one_line(name)} {recipe['name']}: image classifier with {len(classes)} classes, made by edgeclf"
    try:
        return package_model(
            exported.content, labels=classes, provenance=made, description=description, features=arrays
        )
    except ModelError as error:
        raise DataError(f"{name}-{recipe['name']}: {error}") from error
