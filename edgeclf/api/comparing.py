"""The function `compare`, which compares two trainings on the same photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgeclf.extras import extras, installed, require
from edgeclf.plugins import with_plugins
from edgeclf.progress import SILENT, Progress

if TYPE_CHECKING:
    from edgeclf.artifact.class_names import GivenLabels
    from edgeclf.artifact.normalization import Normalization
    from edgeclf.dataset import Split
    from edgeclf.measure.compare_opening import NetworkCosts
    from edgeclf.measure.compare_report import CompareReport


@with_plugins
def compare(
    first: str | Path,
    second: str | Path,
    *,
    data: str | Path | None = None,
    split: str = "test",
    runtime: str = "litert",
    normalize: str | Normalization | None = None,
    input_range: tuple[float, float] | None = None,
    labels: GivenLabels | None = None,
    fit: str | None = None,
    trust_model: bool = False,
    report: str | Path | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> CompareReport:
    """Compare two trainings on the photos that neither used in training, paired: top-1, class by class, and cost.

        edgeclf.compare("runs/photos", "runs/photos-wider").p_value

    Differences are second minus first.

    Args:
        first: a run folder, a `.keras` or `.h5` network, a `.tflite` file or a zoo name.
        second: likewise.
        data: labelled images; None: those that the second run recorded, else the first.
        split: `test` or `validation`.
        runtime: of model files: `litert`, `tflite-runtime` or `tensorflow`.
        normalize: how pixels enter networks made elsewhere, as in `bench`.
        input_range: the same as a pair, such as (-1, 1).
        labels: class names in the order of the outputs, or a file with one a line, for what names none.
        fit: how pictures of another shape come to the input of networks made elsewhere: "stretch" (None), "crop" or
            "pad".
        trust_model: load a network even if that runs code from its file.
        report: HTML file to write.
        out: folder or `.json` file for the report; None: nowhere.
        overwrite: replace existing output.
        progress: where bars are shown.

    Raises:
        InputError: the two have different classes, share no photos, or an output cannot be used.
        MissingExtraError: a float network or the page needs a package that is not installed.
    """
    if report is not None:
        require("--report", "matplotlib", "jinja2")
    from edgeclf.artifact.class_names import plain_labels
    from edgeclf.artifact.normalization import resolve_normalization
    from edgeclf.measure.compare import run_compare
    from edgeclf.measure.compare_opening import CompareParts
    from edgeclf.measure.compare_plan import ComparePlan

    plan = ComparePlan(
        first=str(first),
        second=str(second),
        data=None if data is None else str(data),
        split=split,
        runtime=runtime,
        normalization=resolve_normalization(normalize, input_range),
        labels=None if labels is None else plain_labels(labels),
        fit=fit,
        trust_model=trust_model,
        out=None if out is None else str(out),
        report=None if report is None else str(report),
        overwrite=overwrite,
    )
    from edgeclf.api.benchmark import open_float_network

    host = CompareParts(
        open_network=open_float_network if installed("tensorflow") else None,
        count_costs=_count_costs if installed("tensorflow") else None,
        write_page=_write_page if installed("matplotlib") and installed("jinja2") else None,
    )
    with extras("compare"):
        return run_compare(plan, host, progress=progress)


def _count_costs(path: Path, size: tuple[int, int]) -> NetworkCosts | None:
    from edgeclf.errors import InputError
    from edgeclf.keras_files.configuration import read_configuration
    from edgeclf.measure.compare_opening import NetworkCosts
    from edgeclf.training.budget.cost import UncountableError
    from edgeclf.training.budget.counting import count_network

    if not path.is_file():
        return None
    try:
        cost = count_network(read_configuration(path)[1], *size)
    except (UncountableError, InputError):
        return None
    return NetworkCosts(cost.macs, cost.size_bytes)


def _write_page(report: CompareReport, path: Path, images: Split) -> None:
    from edgeclf.report.compare_html import write_comparison

    write_comparison(report, path, images=images)
