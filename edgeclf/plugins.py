"""Plugins: modules of other packages that add networks, steps, exporters, engines and camera sources.

A package names such a module in its entry-point group `edgeclf.plugins`; importing the module adds its entries to the
registries. Plugins are loaded once a process, when a command or a public function runs that looks names up there.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from edgeclf.errors import one_line
from edgeclf.progress import SILENT

GROUP = "edgeclf.plugins"
P = ParamSpec("P")
R = TypeVar("R")


def load_plugins(warn: Callable[[str], None] | None = None) -> None:
    """Import the modules that installed packages name in the entry-point group `edgeclf.plugins`.

    Args:
        warn: gets one line, once a process, for each plugin that cannot be imported and is left out; None: such a line
            becomes a `RuntimeWarning`.
    """
    problems = _import_all()
    while problems:
        line = problems.pop(0)
        if warn is None:
            warnings.warn(line, RuntimeWarning, stacklevel=2)
        else:
            warn(line)


def find_plugins() -> None:
    """Import the plugins for a list of names, such as that of a help; the next `load_plugins` warns of broken ones."""
    _import_all()


def with_plugins(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a public function so that plugins are loaded before it runs; its `progress` is warned of broken ones."""

    @functools.wraps(function)
    def loaded(*arguments: P.args, **keywords: P.kwargs) -> R:
        progress: Any = keywords.get("progress", SILENT)
        load_plugins(None if progress is SILENT else progress.warn)
        return function(*arguments, **keywords)

    return loaded


@functools.cache
def _import_all() -> list[str]:
    """Import every plugin, once; returns a line for each that is broken, until somebody was warned of it."""
    # Imported here: it takes 40 ms, and `edgeclf --help` needs no plugin.
    from importlib.metadata import entry_points

    problems = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        try:
            with contextlib.redirect_stdout(sys.stderr):  # stdout is the command's, and one document with --json
                entry.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever one raises, edgeclf goes on without it
            owner = f" of {entry.dist.name} {entry.dist.version}" if entry.dist is not None else ""
            problems.append(f"the plugin {entry.name!r}{owner} is left out: {type(error).__name__}: {one_line(error)}")
    return problems
