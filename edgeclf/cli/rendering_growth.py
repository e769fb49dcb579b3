"""Shows what is new in a run that grew from an earlier one, and how both networks do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from edgeclf.cli.rendering import show_notes
from edgeclf.cli.rendering_tables import Column, print_table
from edgeclf.measure.formatting import counted, exact, interval, percent, points

if TYPE_CHECKING:
    from edgeclf.measure.report import ClassCost
    from edgeclf.training.growth import GrowthComparison, GrowthReport, PairedTop1


def render_growth(console: Console, growth: GrowthReport, *, noted: bool = False) -> None:
    """Print what is new, and both networks class by class, on the test split where it has images that neither saw.

    Args:
        console: to print on.
        growth: what is shown.
        noted: the report has a note on test images that were seen in training, which is not repeated.
    """
    show_notes(console, growth.describe())
    spoiled = growth.left_out.get("test", 0)
    if spoiled and not noted:
        learned = f"{growth.run} or this network was trained on {counted(spoiled, 'test image')}"
        show_notes(console, (f"{learned}: top-1 on the test split is better than on other photos",))
    if not growth.comparisons:
        if growth.left_out:
            show_notes(console, ("no test or validation image is left that neither network was trained on",))
        return
    comparison = growth.comparisons[0]
    columns = (
        Column("class"),
        Column("images", drop=2),
        Column("earlier"),
        Column("now"),
        Column("points"),
        Column("95 %", drop=1, name="the interval of the difference"),
    )
    rows = [_class_row(cost, cost.label in growth.classes_added) for cost in comparison.per_class if cost.images]
    if comparison.known is not None and growth.classes_added:
        rows.append(_row("classes that both know", comparison.known))
    print_table(console, _title(comparison, growth.run), columns, rows, total=_row("all", comparison.all))
    if comparison.split == "validation":
        none = "no test image is left" if spoiled else "there is no test split"
        show_notes(console, (f"{none}; the validation images above also chose the epoch",))


def _title(comparison: GrowthComparison, run: str) -> str:
    images = counted(comparison.all.images, f"{comparison.split} image")
    left_out = f", {exact(comparison.left_out)} left out" if comparison.left_out else ""
    return f"Top-1 of {run} and of this network on {images} that neither was trained on{left_out}"


def _class_row(cost: ClassCost, is_new: bool) -> list[str]:
    figures = [percent(cost.baseline_top1), percent(cost.top1), points(cost.difference)]
    bounds = interval(cost.difference_interval, signed=True)
    return [f"{cost.label} (new)" if is_new else cost.label, exact(cost.images), *figures, bounds]


def _row(name: str, paired: PairedTop1) -> list[str]:
    figures = [percent(paired.earlier_top1), percent(paired.top1), points(paired.difference)]
    return [name, exact(paired.images), *figures, interval(paired.difference_interval, signed=True)]
