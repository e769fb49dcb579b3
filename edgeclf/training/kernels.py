"""Which kernels TensorFlow computes with in this process: those of oneDNN, or its own.

They round differently, so that a training ends in other weights with the one than with the other. TensorFlow decides
when it is imported: by the variable of the environment, and where it is not set by the processor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeclf.errors import InputError
from edgeclf.graph.private_apis import uses_onednn
from edgeclf.measure.machine import ONEDNN_VARIABLE

ONEDNN, OWN = "oneDNN", "TensorFlow"


def name_kernels() -> str:
    """Return whose kernels TensorFlow computes with, `oneDNN` or `TensorFlow`; it is imported where it was not."""
    return ONEDNN if uses_onednn() else OWN


def check_kernels(record: Mapping[str, Any], run: object) -> None:
    """Refuse to go on with a run that began with other kernels than this process has.

    Args:
        record: of the run; earlier versions did not record the kernels, and are not compared.
        run: what the message names.

    Raises:
        InputError: the kernels differ.
    """
    began, now = record.get("kernels"), name_kernels()
    if began in (ONEDNN, OWN) and began != now:
        raise InputError(
            f"{run}: the run began with the kernels of {began}, and this process has TensorFlow with those of {now}, "
            f"which end in other weights; set {ONEDNN_VARIABLE}={int(began == ONEDNN)} in the environment, or start "
            "again with --overwrite"
        )
