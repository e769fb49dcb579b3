"""The file that a report of `bench` is kept in; one from elsewhere is input like any other."""

from __future__ import annotations

from pathlib import Path

from edgeclf import atomic
from edgeclf.errors import InputError
from edgeclf.json_text import read_json
from edgeclf.measure.report import BenchReport, ModelResult

_SHORTEST_MS, _LONGEST_MS = 1e-6, 1e9
"""Of one inference: a nanosecond, and eleven days."""
_MOST = 1 << 50
"""Bytes, parameters, or multiply-accumulates."""


def save_report(report: BenchReport, path: Path | str) -> Path:
    """Write `report` as JSON, atomically.

    Raises:
        OutputError: the place cannot be written.
        RunFailedError: the disk is full.
    """
    atomic.write_text(path, report.to_json(indent=1) + "\n")
    return Path(path)


def load_report(path: Path | str) -> BenchReport:
    """Read a report that `save_report` wrote, or that `bench --json` printed.

    Raises:
        InputError: it cannot be read, or is something else.
    """
    expected = "expected the bench.json of `edgeclf bench --out`, or what `edgeclf bench --json` prints"
    try:
        values = read_json(Path(path))
    except OSError as error:
        raise InputError(f"{path}: {(error.strerror or str(error)).lower()}; {expected}") from error
    except InputError as error:
        raise InputError(f"{error}; {expected}") from error
    if not isinstance(values, dict) or not isinstance(values.get("models"), list):
        raise InputError(f"{path}: not a report of `edgeclf bench`; {expected}")
    try:
        report = BenchReport.from_dict(values)
        for model in report.models:
            _check_figures(model)
        return report
    except (InputError, TypeError, ValueError, AttributeError, KeyError, IndexError) as error:
        raise InputError(f"{path}: not a whole report of `edgeclf bench` ({error}); {expected}") from error


def _check_figures(model: ModelResult) -> None:
    """Check what other figures are divided by, or written as.

    Raises:
        InputError: a time or a size is none.
    """
    times = (model.latency_ms.median, model.latency_ms.p90, model.latency_ms.p99)
    if not all(_SHORTEST_MS <= time <= _LONGEST_MS for time in times):
        raise InputError(f"{model.name}: expected milliseconds above 0, got {', '.join(f'{t:g}' for t in times)}")
    for count in (model.size_bytes, model.gzip_bytes, model.peak_memory_bytes, model.parameters, model.macs):
        if count is not None and not 0 <= count < _MOST:
            raise InputError(f"{model.name}: expected bytes, parameters or MACs, got {str(count)[:20]}")
