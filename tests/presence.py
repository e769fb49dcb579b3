"""A test that needs what is not here skips on a user's machine, and fails in CI, where everything must be."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def refuse(reason: str) -> NoReturn:
    """Skip a test that cannot run here; in CI, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def need(present: bool, what: str) -> None:
    """Go on only where `what` is installed."""
    if not present:
        refuse(f"{what} is missing")


def needed(program: str) -> str:
    """Path of a program that a test needs; some lie where only root looks."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        refuse(f"{program} is missing")
    return found
