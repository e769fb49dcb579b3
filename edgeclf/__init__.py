"""From a folder of labelled photos to an int8 TFLite image classifier whose numbers can be trusted.

    import edgeclf

    run = edgeclf.train("photos", epochs=30)
    models = edgeclf.compress(run.run, int8=True)
    report = edgeclf.bench(run.run, data="photos")
    print(edgeclf.Classifier(models.models[0].path).predict("cat.jpg").label)

Names are loaded at their first use (PEP 562), so that `import edgeclf` is instant, and so that the edge side never
imports TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeclf import errors as errors
    from edgeclf.api import audit as audit
    from edgeclf.api import bench as bench
    from edgeclf.api import collected as collected
    from edgeclf.api import compare as compare
    from edgeclf.api import compress as compress
    from edgeclf.api import diagnose as diagnose
    from edgeclf.api import explain as explain
    from edgeclf.api import inspect as inspect
    from edgeclf.api import live as live
    from edgeclf.api import predict as predict
    from edgeclf.api import pretrain as pretrain
    from edgeclf.api import refit as refit
    from edgeclf.api import train as train
    from edgeclf.api import train_ensemble as train_ensemble
    from edgeclf.api import tune as tune
    from edgeclf.api import verify as verify
    from edgeclf.cli.progress_bars import ProgressBar as ProgressBar
    from edgeclf.inference.classifier import Classifier as Classifier

__version__ = "0.1.0"

__all__ = [
    "Classifier",
    "ProgressBar",
    "__version__",
    "audit",
    "bench",
    "collected",
    "compare",
    "compress",
    "diagnose",
    "errors",
    "explain",
    "inspect",
    "live",
    "predict",
    "pretrain",
    "refit",
    "train",
    "train_ensemble",
    "tune",
    "verify",
]

_MODULE_OF = {
    "Classifier": "edgeclf.inference.classifier",
    "ProgressBar": "edgeclf.cli.progress_bars",
    **dict.fromkeys(
        (
            "audit",
            "bench",
            "collected",
            "compare",
            "compress",
            "diagnose",
            "explain",
            "inspect",
            "live",
            "predict",
            "pretrain",
            "refit",
            "train",
            "train_ensemble",
            "tune",
            "verify",
        ),
        "edgeclf.api",
    ),
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("edgeclf.errors")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'edgeclf' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
