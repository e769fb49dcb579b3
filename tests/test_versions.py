"""Versions of packages that are there, and of those that are not."""

from __future__ import annotations

import numpy as np

from edgeclf.versions import package_version


def test_a_version_or_nothing() -> None:
    assert package_version("numpy") == np.__version__
    assert package_version("no-such-package-anywhere") is None
