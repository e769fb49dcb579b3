"""The public functions: one a command, each returning a frozen report with a JSON round trip.

Host modules (TensorFlow, scikit-learn, matplotlib, ...) are imported inside the functions that need them.
"""

from edgeclf.api.benchmark import bench
from edgeclf.api.comparing import compare
from edgeclf.api.ensembles import train_ensemble
from edgeclf.api.explaining import explain
from edgeclf.api.on_device import collected, diagnose, inspect, live, predict, verify
from edgeclf.api.on_host import audit, compress, train
from edgeclf.api.refitting import refit
from edgeclf.api.tuning import tune
from edgeclf.api.without_labels import pretrain

__all__ = [
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
]
