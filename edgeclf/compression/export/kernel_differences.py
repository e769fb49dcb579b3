"""Decides by how many steps a model's outputs may differ on another processor without anything being wrong.

The runtime's fast kernels (XNNPACK) round alike everywhere: of int8 networks that they compute whole, x86-64 and arm64
give the same values, but for a step of the softmax. Its plain kernels, which compute what those leave, such as
convolutions with 4-bit weights, scale their sums back to 8 bits in one rounding on some processors and in two on
others. A step of difference in a layer becomes several in the output; how many depends on the network. So it is
measured, between two sets of kernels on one machine.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.macs import operator_macs
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.samples import MOST_ACCEPTED
from edgeclf.inference.delegation import find_delegated
from edgeclf.inference.litert import LITERT

MARGIN = 2
"""Times the difference that was measured. Of eight files that plain kernels compute in part, an emulated arm64 board
differed from x86-64 by up to 1.4 times what the two sets of kernels did; a heuristic."""


def has_plain_sums(file: ModelFile) -> bool:
    """Return whether plain kernels compute sums of 8-bit values in a model, by the runtime's own plan.

    True as well where the runtime does not say.
    """
    planned = LITERT.open(file).planned_operators()
    if planned is None:
        return True
    graph, delegated = file.graph, find_delegated(file.graph, planned)
    return any(
        number not in delegated
        and operator_macs(graph, operator) > 0
        and graph.tensors[operator.outputs[0]].dtype in ("int8", "uint8")
        for number, operator in enumerate(graph.operators)
    )


def accepted_steps(outputs: npt.NDArray[Any], references: npt.NDArray[Any], step: float) -> float:
    """Return by how many steps of the output a value may differ elsewhere: 1 to `MOST_ACCEPTED`, a whole number.

    Args:
        outputs: of a model on some images, by the kernels that users run: [N, C].
        references: the same by the reference kernels.
        step: the output's quantization step in raw units.
    """
    largest = float(np.abs(outputs.astype(np.float64) - references).max()) / step
    return float(min(MOST_ACCEPTED, max(1, math.ceil(MARGIN * largest))))
