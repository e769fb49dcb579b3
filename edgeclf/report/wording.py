"""What the figures of a bench mean, in sentences, and how numbers are written."""

from __future__ import annotations

from edgeclf.measure.bench_report import BenchReport, Comparison, ModelResult

SIGNIFICANT = 0.05
BUSY_LOAD_PER_CORE = 0.5
DRIFT = 0.10
CLEARLY = 0.95
"""A lead of five percent: less is within what repeated measurements of one model differ by."""


def percent(share: float | None, digits: int = 2) -> str:
    """A fraction as percent: 0.842 is 84.20 %."""
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def points(difference: float | None, digits: int = 2) -> str:
    """A difference of fractions in percentage points, with its sign."""
    if difference is None:
        return "–"
    written = f"{100 * difference:+.{digits}f}"
    return "±0.00" if float(written) == 0 else written.replace("-", "−")


def span(interval: tuple[float, float] | None, *, signed: bool = False) -> str:
    """Both ends of an interval, in percent or in signed points."""
    if interval is None:
        return "–"
    if signed:
        return f"{points(interval[0])} to {points(interval[1])}"
    return f"{100 * interval[0]:.2f} to {100 * interval[1]:.2f}"


def size(count: int | None) -> str:
    """Bytes with a decimal unit."""
    if count is None:
        return "–"
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"


def milliseconds(value: float | None) -> str:
    """Three significant digits; microseconds below one millisecond."""
    if value is None:
        return "–"
    return f"{1000 * value:.3g} µs" if value < 1 else f"{value:.3g} ms"


def number(count: int | None) -> str:
    """A whole number with separators, shortened from a million on."""
    if count is None:
        return "–"
    return f"{count / 1e6:.3g} M" if count >= 1_000_000 else f"{count:,}"


def p_value(p: float | None) -> str:
    """Two significant digits, and no pretence of knowing more below a ten-thousandth."""
    if p is None:
        return "–"
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def summary(report: BenchReport) -> list[str]:
    """A few sentences for somebody who reads nothing else."""
    first = [model for model in report.models if model.threads == report.models[0].threads]
    return [*(_verdict(model, report) for model in first), *_ranking(first), *_useless(first)]


def cautions(report: BenchReport) -> list[str]:
    """Why a figure might mislead, or is missing."""
    found = [f"{note}." for note in report.notes]
    load = report.machine.load_average
    if load is not None and load > BUSY_LOAD_PER_CORE * report.machine.cores:
        found.append(
            f"Other programs were running (load {load:.2f} on {report.machine.cores} cores): on an idle machine "
            "latencies are lower."
        )
    for model in report.models:
        label = f"{model.name} at {threads(model.threads)}"
        if not model.steady:
            found.append(f"{label}: calls were still getting faster when timing began.")
        if model.spread > DRIFT:
            found.append(f"{label}: the rounds differ by ±{100 * model.spread:.0f} %; repeat it on a quieter machine.")
    unverified = [m.name for m in report.models if m.integrity == "unverified"]
    if unverified:
        named = ", ".join(dict.fromkeys(unverified))
        found.append(f"Not made by edgeclf, so a damaged file would go unnoticed: {named}.")
    found.extend(f"{m.name}: {note}." for m in report.models for note in m.notes)
    governor = report.machine.governor
    if governor not in (None, "performance"):
        found.append(f"The CPU governor is “{governor}”: with “performance” latencies are lower and steadier.")
    return list(dict.fromkeys(found))


def threads(count: int) -> str:
    """1 thread, 2 threads."""
    return "1 thread" if count == 1 else f"{count} threads"


def class_sentence(comparison: Comparison) -> str:
    """Which classes pay more than chance explains."""
    told = [c for c in comparison.per_class if c.difference is not None and c.p_value is not None]
    if not told:
        return ""
    sure = sorted((c for c in told if (c.p_value or 0) < SIGNIFICANT), key=lambda c: c.difference or 0)
    if not sure:
        worst = min(told, key=lambda c: c.difference or 0)
        if (worst.difference or 0) >= 0:
            return f"{comparison.name}: no class loses."
        return (
            f"{comparison.name}: no single class loses more than chance would explain; the largest loss is "
            f"{points(worst.difference, 1)} points in “{worst.label}”."
        )
    named = ", ".join(f"“{c.label}” {points(c.difference, 1)}" for c in sure)
    return f"{comparison.name}: beyond chance (p < 0.05 after Holm's correction): {named} points."


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
    ratio = 4 * count / model.size_bytes
    return f" ({ratio:.1f} times less than {size(4 * count)} of float weights)" if ratio >= 1.2 else ""


def _ranking(models: list[ModelResult]) -> list[str]:
    if len(models) < 2:
        return []
    by_speed = sorted(models, key=lambda m: m.latency_ms.median)
    by_size = sorted(models, key=lambda m: m.size_bytes)
    titles: dict[str, list[str]] = {}
    if by_speed[0].latency_ms.median < CLEARLY * by_speed[1].latency_ms.median:
        titles.setdefault(by_speed[0].name, []).append("fastest")
    if by_size[0].size_bytes < CLEARLY * by_size[1].size_bytes:
        titles.setdefault(by_size[0].name, []).append("smallest")
    sentences = [f"{name} is clearly the {_listed(won)}." for name, won in titles.items()]
    return [" ".join(sentences)] if sentences else ["No model is clearly faster or smaller than the next."]


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _useless(models: list[ModelResult]) -> list[str]:
    """Models that another one beats in size, latency and accuracy at once."""
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
                found.append(f"{model.name} gains nothing: {other.name} is smaller, faster and no less accurate.")
                break
    return found
