"""Optional packages: which extra brings each, and the install command where one is missing."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator

from edgeclf.errors import MissingExtraError

EXTRA_OF = {
    "flatbuffers": "train",
    "jinja2": "train",
    "litert_quantizer": "litert-quantizer",
    "matplotlib": "train",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "optuna": "train",
    "paho": "mqtt",
    "pillow_heif": "heic",
    "trimesh": "3d",
    "segno": "web",
    "sklearn": "train",
    "sqlalchemy": "train",
    "starlette": "web",
    "tensorboard": "train",
    "tensorflow": "train",
    "tensorflow_model_optimization": "train",
    "tf2onnx": "onnx",
    "tf_keras": "train",
    "tflite_runtime": "tflite-runtime",
    "uvicorn": "web",
}
"""Import name of each optional package, and the extra that installs it."""

ENGINE_MODULES = {"tensorflow": "edgeclf.keras_files.tensorflow_engine"}
"""Names of the engines that live on the host side, and the module that registers each when it is imported."""


def installed(module: str) -> bool:
    """Return whether `module` is installed, without importing it, which takes seconds for TensorFlow."""
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def require(what: str, *modules: str) -> None:
    """Raise MissingExtraError where one of `modules` is not installed."""
    for module in modules:
        if not installed(module):
            raise MissingExtraError(what, EXTRA_OF[module], module)


@contextlib.contextmanager
def extras(what: str) -> Iterator[None]:
    """Turn the failed import of an optional package into the install command.

    Raises:
        MissingExtraError: an optional package is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRA_OF:
            raise
        raise MissingExtraError(what, EXTRA_OF[module], module) from error
