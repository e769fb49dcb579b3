"""Versions of installed packages, as they are recorded with what was made by them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def package_version(name: str) -> str | None:
    """Return the installed version of the distribution `name`; None: it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
