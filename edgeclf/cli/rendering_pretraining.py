"""Shows the report of `pretrain` on a screen."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from edgeclf.cli.rendering import line, show_notes
from edgeclf.cli.rendering_tables import Column, print_table
from edgeclf.image.shape import check_image_size, show_size
from edgeclf.measure.formatting import counted, duration, exact, percent

if TYPE_CHECKING:
    from edgeclf.training.pretraining.report import PretrainReport


def render_pretraining(console: Console, report: PretrainReport) -> None:
    """Print what was learned from and how well the pretext task is done, what was written, and what to do next."""
    size = show_size(check_image_size(report.image_size))
    title = f"{report.method}: {report.model}, {exact(report.parameters)} parameters, {size} pixels"
    columns = (Column("split"), Column("images"), Column("loss"), Column(report.pretext))
    shown = {"train": (report.loss, ""), "validation": (report.validation_loss, percent(report.pretext_top1, 1))}
    rows = [[name, exact(report.images[name]), f"{loss:.3f}", found] for name, (loss, found) in shown.items()]
    print_table(console, title, columns, rows)
    show_notes(console, report.notes)
    folder = Path(report.run)
    line(console, f"Plots: {folder / 'plots'}")
    line(console, f"History: {folder / 'history.csv'}")
    line(console, f"Run folder: {folder}, with the features of epoch {report.kept_epoch} in {folder / 'model.keras'}")
    line(console, f"{counted(report.epochs, 'epoch')} in {duration(report.seconds)} on {report.device}.")
    line(console, f"Next, with labelled photos: edgeclf train PHOTOS --weights {shlex.quote(report.run)}")
