"""Words the figures of a bench in sentences."""

from __future__ import annotations

from edgeclf.artifact.input_fit import describe_way
from edgeclf.image.shape import STRETCH
from edgeclf.measure.changes import SIGNIFICANT, is_significant
from edgeclf.measure.formatting import milliseconds, p_value, percent, points, ratio, size, threads
from edgeclf.measure.report import BenchReport, ClassCost, Comparison, ModelResult

CLEARLY = 0.95
"""A lead of five percent: less is within what repeated measurements of one model differ by."""


def summary(report: BenchReport) -> list[str]:
    """Sum the report up in a few sentences for somebody who reads nothing else."""
    first = [model for model in report.models if model.threads == report.models[0].threads]
    return [*(_verdict(model, report) for model in first), *_ranking(first), *_dominated(first)]


def list_warnings(report: BenchReport) -> list[str]:
    """List why a figure might mislead, or is missing."""
    found = [f"{note}." for note in report.notes]
    if report.machine.is_busy:
        load = f"load {report.machine.load_average:.2f} on {report.machine.cores} cores"
        found.append(f"Other programs were running ({load}): on an idle machine latencies may be lower.")
    for model in report.models:
        label = f"{model.name} at {threads(model.threads)}"
        if not model.steady:
            found.append(f"{label}: calls were still getting faster when timing began.")
        if drift := model.describe_drift():
            found.append(f"{label}: {drift}")
    unverified = [m.name for m in report.models if m.integrity == "unverified"]
    if unverified:
        named = ", ".join(dict.fromkeys(unverified))
        found.append(f"Not made by edgeclf, so a damaged file would go unnoticed: {named}.")
    concerned: dict[str, dict[str, None]] = {}
    for m in report.models:
        for note in m.notes:
            concerned.setdefault(note, {})[m.name] = None
    found.extend(f"{', '.join(names)}: {note}." for note, names in concerned.items())
    governor = report.machine.governor
    if governor not in (None, "performance"):
        found.append(f"The CPU governor is “{governor}”, which may change the clock while it is measured.")
    return list(dict.fromkeys(found))


def describe_inputs(report: BenchReport) -> list[str]:
    """Describe the input of the models, and how pictures of another shape came to it; those that agree share a line."""
    names: dict[str, dict[str, None]] = {}
    for model in report.models:
        height, width = model.input_size
        fit = model.fit or STRETCH
        text = f"{width}×{height} pixels, fit {fit} ({describe_way(fit)})"
        names.setdefault(text, {})[model.name] = None
    return [f"{', '.join(concerned)}: {text}" for text, concerned in names.items()]


def class_sentence(comparison: Comparison) -> str:
    """Name the classes that differ by more than chance explains, by the corrected test; empty without a baseline."""
    tested = [cost for cost in comparison.per_class if cost.difference is not None]
    if not tested:
        return ""
    sure = sorted((cost for cost in tested if is_significant(cost)), key=_difference)
    if sure:
        named = ", ".join(f"“{cost.label}” {points(cost.difference, 1)}" for cost in sure)
        return f"{comparison.name}: beyond chance (p < 0.05 after Holm's correction): {named} points."
    worst = min(tested, key=_difference)
    if _difference(worst) >= 0:
        return f"{comparison.name}: no class loses."
    return (
        f"{comparison.name}: no single class loses more than chance would explain; the largest loss is "
        f"{points(worst.difference, 1)} points in “{worst.label}”."
    )


def _difference(cost: ClassCost) -> float:
    return cost.difference or 0.0


def _verdict(model: ModelResult, report: BenchReport) -> str:
    speed = f"{milliseconds(model.latency_ms.median)} an image on {threads(model.threads)}"
    if model.top1 is None or report.data is None:
        return f"{model.name} takes {size(model.size_bytes)} and {speed}."
    start = f"{model.name} gets {percent(model.top1)} of {report.data.images:,} {report.data.split} images right"
    if model.difference is None:
        return f"{start}, takes {size(model.size_bytes)} and {speed}."
    if model.difference == 0:
        compared = "exactly as many as the float network"
    else:
        direction = "fewer" if model.difference < 0 else "more"
        compared = f"{abs(100 * model.difference):.2f} points {direction} than the float network"
    chance = model.p_value is not None and model.p_value >= SIGNIFICANT
    remark = "a difference that chance can explain" if chance else "more than chance would explain"
    p = p_value(model.p_value)
    doubt = "" if model.difference == 0 else f", {remark} (p {p if p.startswith('<') else '= ' + p})"
    smaller = _smaller(model, report)
    return f"{start}, {compared}{doubt}; it takes {size(model.size_bytes)}{smaller} and {speed}."


def _smaller(model: ModelResult, report: BenchReport) -> str:
    count = report.baseline.parameters if report.baseline else None
    if not count:
        return ""
    times = 4 * count / model.size_bytes
    return f" ({ratio(times, 2)} times less than {size(4 * count)} of float weights)" if times >= 1.2 else ""


def _ranking(models: list[ModelResult]) -> list[str]:
    """Name the fastest and the smallest, or those that are too close to the best to be ranked."""
    if len(models) < 2:
        return []
    titles: dict[tuple[str, ...], list[str]] = {}
    for title, values in (
        ("fastest", [model.latency_ms.median for model in models]),
        ("smallest", [float(model.size_bytes) for model in models]),
    ):
        near = tuple(m.name for m, value in zip(models, values, strict=True) if min(values) >= CLEARLY * value)
        titles.setdefault(near, []).append(title)
    sentences = []
    for near, won in titles.items():
        if len(near) == len(models):
            sentences.append(f"No model is clearly the {' or '.join(won)}.")
        elif len(near) == 1:
            sentences.append(f"{near[0]} is clearly the {_listed(won)}.")
        else:
            sentences.append(f"{_listed(list(near))} are the {_listed(won)}, too close to each other to rank.")
    return [" ".join(sentences)]


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _dominated(models: list[ModelResult]) -> list[str]:
    """List the models that another one beats in size, latency and accuracy at once."""
    found = []
    for model in models:
        for other in models:
            if other is model or model.top1 is None or other.top1 is None:
                continue
            if (
                other.size_bytes < CLEARLY * model.size_bytes
                and other.latency_ms.median < CLEARLY * model.latency_ms.median
                and other.top1 >= model.top1
            ):
                found.append(
                    f"{model.name} is dominated by {other.name}, which is smaller, faster and no less accurate."
                )
                break
    return found
