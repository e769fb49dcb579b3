"""What `audit` does with `deep`: the audit, then a look at the photos through frozen features."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeclf.atomic import check_writable
from edgeclf.errors import DataError, InputError, OutputError
from edgeclf.extras import extras, require
from edgeclf.progress import Progress

if TYPE_CHECKING:
    from edgeclf.dataset.auditing import AuditReport


@dataclass(frozen=True)
class DeepPlan:
    """What to look at; the attributes are the parameters of `edgeclf.audit`."""

    data: str | Path
    weights: str | Path | None = None
    out: str | Path | None = None
    overwrite: bool = False
    trust_model: bool = False


def audit_deeply(plan: DeepPlan, progress: Progress) -> AuditReport:
    """Audit a data set, and examine its photos.

    Raises:
        DataError: the data set cannot be audited, or not be trained on.
        InputError: the weights or the output cannot be used.
        MissingExtraError: a package is missing.
    """
    began = time.monotonic()
    require("audit --deep", "sklearn")
    page = None if plan.out is None else _check_page(Path(plan.out), plan)
    with extras("audit --deep"):
        from edgeclf.dataset import audit, check_classes, list_source
        from edgeclf.training.data_doctor.features import check_weights, extract_features

        source = check_weights(plan.weights)
        if source is None:
            require("audit --deep", "tensorflow", "tf_keras")
            _check_float_file(plan)
        listing = list_source(plan.data, progress)
        check_classes(listing)
        if listing.holds_objects:
            raise DataError(f"{listing.source}: holds point clouds or meshes; --deep looks at photos, leave it out")
        if page is not None:
            check_writable(page.parent)
        audited = audit(listing, progress=progress)
        found = extract_features(listing, plan.weights, source, trust_model=plan.trust_model, progress=progress)
        from edgeclf.training.data_doctor.examine import examine

        examination = examine(audited, listing, found, began, progress)
        written: tuple[str, ...] = ()
        if page is not None:
            from edgeclf.report.doctor_html import write_doctor_page
            from edgeclf.training.data_doctor.finding_list import write_finding_list

            table = page.with_suffix(".csv")
            write_doctor_page(examination, audited, page)
            write_finding_list(examination.report, table)
            written = (str(page), str(table))
    return dataclasses.replace(audited, deep=dataclasses.replace(examination.report, written=written))


def _check_page(page: Path, plan: DeepPlan) -> Path:
    require("--out", "jinja2", "matplotlib")
    if page.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--out names the page: expected a file that ends in .html, got {page}")
    if page.is_dir():
        raise OutputError(f"{page} is a folder; --out takes a file")
    for path in (page, page.with_suffix(".csv")):
        if path.resolve() == Path(plan.data).resolve():
            raise OutputError(f"{path}: is the manifest itself, and --out writes a list there; choose another --out")
        if path.exists() and not plan.overwrite:
            raise OutputError(f"{path} exists; choose another --out, or replace it with --overwrite")
    return page


def _check_float_file(plan: DeepPlan) -> None:
    """Refuse a network's file before TensorFlow is imported, as far as that shows."""
    if plan.weights is not None:
        from edgeclf.keras_files.loading import locate_float_file

        locate_float_file(plan.weights, trust_model=plan.trust_model)
