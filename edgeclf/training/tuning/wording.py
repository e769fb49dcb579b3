"""Words a search in sentences, for page and terminal."""

from __future__ import annotations

from edgeclf.image.shape import show_size
from edgeclf.measure.formatting import counted, exact, interval, percent, points
from edgeclf.search import Choice, Range
from edgeclf.training.tuning.report import Trained, Trial, TuneReport

_BEYOND_VALUES = {"refused": "not trained", "lost": "lost", "pruned": "given up early"}


def summarize(report: TuneReport) -> list[str]:
    """Sum a search up in a few sentences."""
    counts = [one for one in report.trials if one.trained is not None]
    pruned = sum(1 for one in counts if one.state == "pruned")
    refused = sum(1 for one in report.trials if one.trained is None)
    ended = f"{exact(pruned)} given up early, {exact(refused)} not trained"
    head = f"{counted(len(counts), 'trial')} ({ended}), {report.search}"
    best = report.trial(report.best)
    if best is None or best.trained is None:
        return [f"{head}: nothing was trained to an end."]
    found = best.trained
    lines = [
        f"{head}. The best is trial {best.number}: {describe_network(found)}, {percent(found.validation_top1)} on "
        f"{exact(found.validation_images)} validation images ({describe_values(best)})."
    ]
    defaults = next((one for one in report.trials if one.origin == "defaults" and one.trained is not None), None)
    if defaults is not None and defaults.trained is not None and defaults.number != best.number:
        gain = found.validation_top1 - defaults.trained.validation_top1
        lines.append(f"That is {points(gain)} points against the defaults, on the images that chose it.")
    if report.test is not None:
        images, bounds = exact(report.test.images), interval(report.test.top1_interval)
        lines.append(
            f"Test, whose images chose nothing, of the best trial: {percent(report.test.top1)} of {images} images "
            f"({bounds})."
        )
    return lines


def describe_network(found: Trained) -> str:
    """Name a network with its width and its input."""
    width = "" if found.width is None else f" {found.width:g}"
    sides = f"{found.image_size} px" if isinstance(found.image_size, int) else f"{show_size(found.image_size)} px"
    return f"{found.model}{width}, {sides}"


def describe_values(one: Trial) -> str:
    """List what was chosen for a trial, numbers with three digits."""
    if one.origin == "defaults":
        return "the defaults"
    return ", ".join(f"{name} {_write(value)}" for name, value in one.values.items()) or "nothing was chosen"


def describe_state(one: Trial) -> str:
    """Describe how a trial ended, and why."""
    if one.trained is None:
        return f"{_BEYOND_VALUES[one.state]}: {one.reason}"
    if one.trained.same_as is not None:
        return f"as trial {one.trained.same_as}"
    if one.state == "pruned":
        return f"{_BEYOND_VALUES[one.state]}, after {one.trained.epochs} of {counted(one.trained.of_epochs, 'epoch')}"
    return counted(one.trained.epochs, "epoch")


def describe_part(part: Choice | Range) -> str:
    """Describe what a value is chosen from."""
    if isinstance(part, Choice):
        return ", ".join(map(_write, part.values))
    steps = "" if part.step is None else f" in steps of {part.step:g}"
    return f"{part.low:g} to {part.high:g}{steps}{', by factors' if part.log else ''}"


def _write(value: bool | float | str) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
