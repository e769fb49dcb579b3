"""Compares two machines: which models of another report are those of this one, and what makes them hard to compare."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeclf.artifact.model_file import ModelFile
from edgeclf.errors import InputError
from edgeclf.measure.formatting import threads
from edgeclf.measure.report import BenchReport, Counterpart, ModelResult, ReportComparison

_SHOWN = 5


def check_comparable(other: BenchReport, path: Path | str, files: Sequence[ModelFile]) -> None:
    """Refuse a report that has none of `files`, before minutes of measuring.

    Raises:
        InputError: no model is in both.
    """
    if any(_candidates(other, file.sha256, file.name) for file in files):
        return
    names = list(dict.fromkeys(Path(model.path).name for model in other.models))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    raise InputError(
        f"{path} has none of these models ({', '.join(file.name for file in files)}); it has "
        f"{', '.join(names[:_SHOWN]) or 'none at all'}{more}: measure the same files on both machines"
    )


def compare_reports(report: BenchReport, other: BenchReport, path: Path | str) -> ReportComparison:
    """Compare `report` with `other`, read from `path`: models are matched by the files' checksum, else by name."""
    found: list[Counterpart] = []
    missing: list[str] = []
    for model in report.models:
        candidates = _candidates(other, model.sha256, Path(model.path).name)
        if candidates:
            found.append(_counterpart(model, min(candidates, key=lambda c: abs(c.threads - model.threads))))
        else:
            missing.append(model.name)
    return ReportComparison(str(path), other.machine, other.data, tuple(found), tuple(dict.fromkeys(missing)))


def _candidates(other: BenchReport, sha256: str | None, file_name: str) -> list[ModelResult]:
    same = [model for model in other.models if model.sha256 is not None and model.sha256 == sha256]
    return same or [model for model in other.models if Path(model.path).name == file_name]


def _counterpart(here: ModelResult, there: ModelResult) -> Counterpart:
    same = _same_file(here, there)
    notes = []
    if same is False:
        notes.append("another file than there: figures of accuracy and size there are not those of this file")
    elif same is None:
        notes.append("the other report has no checksum; a file of the same name and size may still be another one")
    if here.runtime != there.runtime:
        notes.append(f"{_runtime(here)} here, {_runtime(there)} there: int8 results differ between runtimes")
    elif here.runtime_version != there.runtime_version:
        notes.append(f"{_runtime(here)} here, {there.runtime_version} there")
    if here.threads != there.threads:
        notes.append(f"{threads(here.threads)} here, {threads(there.threads)} there")
    return Counterpart(
        name=here.name,
        threads=here.threads,
        same_file=same,
        there=there,
        ratio=round(here.latency_ms.median / there.latency_ms.median, 4),
        notes=tuple(notes),
    )


def _same_file(here: ModelResult, there: ModelResult) -> bool | None:
    if here.sha256 is not None and there.sha256 is not None:
        return here.sha256 == there.sha256
    return None if here.size_bytes == there.size_bytes else False


def _runtime(model: ModelResult) -> str:
    return f"{model.runtime} {model.runtime_version}".strip()
