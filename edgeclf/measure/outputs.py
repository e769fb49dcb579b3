"""Finds where the results of `bench` and `compare` go, checked before anything is measured."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgeclf.artifact.run_folder import RunFolder
from edgeclf.atomic import check_writable
from edgeclf.errors import OutputError, RunFailedError, one_line


class OutputRequest(Protocol):
    """What a plan says on where results go."""

    @property
    def out(self) -> str | None:
        """Folder or `.json` file for the figures; None: not given."""

    @property
    def report(self) -> str | None:
        """HTML file; None: not given."""

    @property
    def overwrite(self) -> bool:
        """Replace existing output."""


Written = tuple[str, ...]
"""Files that were written."""


@dataclass(frozen=True)
class Outputs:
    """Where figures and `report.html` go; None: nowhere."""

    json: Path | None
    html: Path | None

    def write(self, save: Callable[[Path, Written], object], draw: Callable[[Path], object] | None) -> Written:
        """Write the figures and then the page; figures stay where the page fails, since minutes were spent on them.

        Args:
            save: writes the figures and what has been written, whole or not at all.
            draw: writes the page, likewise; None: it cannot be written here.

        Returns:
            The files.

        Raises:
            RunFailedError: the page failed; says where the figures are.
        """
        figures = () if self.json is None else (str(self.json),)
        if self.json is not None:
            save(self.json, figures)
        if self.html is None or draw is None:
            return figures
        try:
            draw(self.html)
        except Exception as error:
            if self.json is None:
                raise
            raise RunFailedError(
                f"{self.html}: the page could not be written ({one_line(error)}); the figures are in {self.json}, and "
                "the same command with --overwrite measures again and writes both"
            ) from error
        if self.json is not None:
            save(self.json, (*figures, str(self.html)))
        return (*figures, str(self.html))


def find_outputs(plan: OutputRequest, run_folders: Sequence[Path], *, page: bool, name: str = "bench.json") -> Outputs:
    """Find the files to write.

    A run folder keeps its results in `bench/`, under the next free number where there are some already. Elsewhere
    nothing is written unless `plan.out` or `plan.report` is given.

    Args:
        plan: with `out`, `report` and `overwrite`.
        run_folders: those named, in order.
        page: whether the HTML page can be written here.
        name: of the figures in a folder.

    Raises:
        OutputError: a named file exists and `overwrite` is not given, or its folder cannot be written.
    """
    json = None if plan.out is None else Path(plan.out)
    html = None if plan.report is None else Path(plan.report)
    if json is not None and json.suffix != ".json":
        json = json / name
    elif json is None and run_folders:
        folder, number = RunFolder(run_folders[0], must_exist=False).bench_path, 1
        while not plan.overwrite and any(
            (folder / _numbered(name, number)).exists() for name in ("bench.json", "report.html")
        ):
            number += 1
        json = folder / _numbered("bench.json", number)
        if html is None and page:
            html = folder / _numbered("report.html", number)
    if json is not None and html is not None and os.path.realpath(json) == os.path.realpath(html):
        raise OutputError(f"{json}: --out and --report name the same file; choose another for one of them")
    for path, argument in ((json, "--out"), (html, "--report")):
        if path is None:
            continue
        if path.is_dir():
            raise OutputError(f"{path} is a folder; {argument} takes a file")
        if path.exists() and not plan.overwrite:
            raise OutputError(f"{path} exists; choose another {argument}, or replace it with --overwrite")
        check_writable(path.parent, argument)
    return Outputs(json, html)


def _numbered(name: str, number: int) -> str:
    stem, _, suffix = name.partition(".")
    return name if number == 1 else f"{stem}-{number}.{suffix}"
