"""The emitted graph with all that a device needs to know about it: labels, metadata, provenance, samples, checksum."""

from __future__ import annotations

import platform
from typing import Any

from edgeclf.artifact.provenance import Provenance
from edgeclf.artifact.writer import package_model
from edgeclf.compression.export.calibration import CalibrationSet
from edgeclf.compression.export.convert import Converted
from edgeclf.compression.pipeline.job import Job
from edgeclf.compression.recipe import Recipe
from edgeclf.errors import DataError, ModelError
from edgeclf.image.decoding import PREPROCESSING_VERSION
from edgeclf.versions import package_version

RESIZE_RULE = "area when shrinking, else bilinear; stretched"
PACKAGES = ("edgeclf", "tensorflow", "tf-keras", "tensorflow-model-optimization", "ai-edge-litert", "numpy")


def package(
    recipe: Recipe,
    converted: Converted,
    calibration: CalibrationSet | None,
    top1: float | None,
    split: str | None,
    job: Job,
) -> bytes:
    """The content of the model file.

    Raises:
        DataError: labels or samples do not fit into a model file.
    """
    data: dict[str, Any] = {"class_names": list(job.labels)}
    if job.data is not None:
        data |= {
            "name": job.data.name,
            "fingerprint": job.data.fingerprint,
            "split_seed": job.data.split_seed,
            "calibration": calibration and {"seed": calibration.seed, "gaps": calibration.gaps},
        }
    metrics = {} if split is None else {split: {"top1": top1, "float_top1": job.float_top1}}
    made = Provenance(
        recipe={
            "name": recipe.name,
            "io": job.io,
            "seed": job.seed,
            "network_input": job.input_choice.to_dict(),
            **recipe.to_dict(),
        },
        data=data,
        metrics=metrics,
        versions={"python": platform.python_version()} | {name: package_version(name) for name in PACKAGES},
        preprocessing={"color": "RGB", "resize": RESIZE_RULE, "version": PREPROCESSING_VERSION},
        input_range=converted.input_range,
        created_by=f"edgeclf {package_version('edgeclf') or ''}".strip(),
    )
    description = f"{job.source.name} {recipe.name}: image classifier with {len(job.labels)} classes, made by edgeclf"
    try:
        return package_model(converted.flat, labels=job.labels, provenance=made, description=description)
    except ModelError as error:
        raise DataError(f"{job.source.name}-{recipe.name}: {error}") from error
