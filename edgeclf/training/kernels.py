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


def fits_kernels(record: Mapping[str, Any]) -> bool:
    """Return whether a run began with the kernels of this process, or does not say with which."""
    began = record.get("kernels")
    return began not in (ONEDNN, OWN) or began == name_kernels()


def check_kernels(record: Mapping[str, Any], run: object) -> None:
    """Refuse to go on with a run that began with other kernels than this process has.

    Args:
        record: of the run.
        run: what the message names.

    Raises:
        InputError: the kernels differ.
    """
    if fits_kernels(record):
        return
    began, now = record["kernels"], name_kernels()
    raise InputError(
        f"{run}: the run began with the kernels of {began}, and this process has TensorFlow with those of {now}, which "
        f"end in other weights; set {ONEDNN_VARIABLE}={int(began == ONEDNN)} in the environment, or start again with "
        "--overwrite"
    )
