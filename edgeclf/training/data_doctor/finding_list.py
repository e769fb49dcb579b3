"""Writes what was found in photos as a list that a script can read."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from edgeclf.atomic import write_text
from edgeclf.dataset.deep_audit import DeepAudit

COLUMNS = ("finding", "path", "split", "label", "suggested", "value")
"""`value` is the probability of the label (`label`), the loss in nats (`loss`), or the factor (`tiny`, `stretched`)."""


def write_finding_list(report: DeepAudit, path: Path) -> Path:
    """Write one row a photo and finding, in the order of the report, atomically.

    Args:
        report: what was found.
        path: of the CSV file; an existing one is replaced.

    Raises:
        OutputError: it cannot be written.
        RunFailedError: the disk is full.
    """
    rows: list[tuple[object, ...]] = []
    for doubt in report.doubtful:
        rows.append(("label", doubt.path, doubt.split, doubt.label, doubt.suggested, doubt.label_probability))
    for photo in report.costly:
        rows.append(("loss", photo.path, photo.split, photo.label, photo.predicted, photo.loss))
    for odd in report.odd_shapes:
        rows.append((odd.kind, odd.path, odd.split, odd.label, "", odd.factor))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    write_text(path, text.getvalue())
    return path
