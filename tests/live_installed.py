"""Skips a test where a system's tool is missing, and fails it where everything must be there."""

from __future__ import annotations

import os

import pytest


def need(present: bool, what: str) -> None:
    """Go on only where `what` is installed."""
    if present:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing")
