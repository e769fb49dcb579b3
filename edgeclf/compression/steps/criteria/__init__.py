"""How much a network would miss each of its channels: published criteria, a file each, and a line here.

Importing this package does not load TensorFlow.
"""

from __future__ import annotations

from edgeclf.compression.steps.criteria.batch_norm_scale import BATCH_NORM_SCALE
from edgeclf.compression.steps.criteria.criterion import Criterion
from edgeclf.compression.steps.criteria.l1 import L1
from edgeclf.compression.steps.criteria.taylor import TAYLOR
from edgeclf.errors import UnknownNameError

CRITERIA: dict[str, Criterion] = {one.name: one for one in (TAYLOR, L1, BATCH_NORM_SCALE)}


def find_criterion(name: str) -> Criterion:
    """Return the criterion `name`.

    Raises:
        UnknownNameError: there is no such criterion.
    """
    if name not in CRITERIA:
        raise UnknownNameError("criterion of shrink", name, CRITERIA)
    return CRITERIA[name]
