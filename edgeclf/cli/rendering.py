"""How reports look on a screen: percent and bytes for people, nothing rounded to look better than it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from edgeclf.cli.session import one_line

UNEVEN = 1.5  # ratio of the largest to the smallest class from which on it is worth a word
SHOWN = 10  # entries of a long list; the rest is counted, and is whole in --json


def percent(share: float | None, digits: int = 1) -> str:
    """0.842 as «84.2 %», None as a dash."""
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def points(difference: float | None) -> str:
    """-0.0031 as «-0.31»: percentage points, with a sign."""
    return "–" if difference is None else f"{100 * difference:+.2f}"


def interval(bounds: Sequence[float] | None, sign: bool = False) -> str:
    """(0.81, 0.85) as «81.00 to 85.00», without the unit that its column has."""
    return " to ".join(f"{100 * bound:{'+' if sign else ''}.2f}" for bound in bounds) if bounds else ""


def size(count: int | None) -> str:
    """Bytes with thousands separators up to a million, then MB."""
    if count is None:
        return "–"
    return f"{count:,} B" if count < 1_000_000 else f"{count / 1e6:.1f} MB"


def number(value: float | None) -> str:
    """A whole number with thousands separators."""
    return "–" if value is None else f"{value:,}"


def table(title: str, *columns: str, left: int = 1) -> Table:
    """A table whose first `left` columns are text and the others numbers; it fits 80 columns where it can."""
    made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for position, column in enumerate(columns):
        text = position < left
        made.add_column(column, justify="left" if text else "right", overflow="fold", no_wrap=not text)
    return made


def line(console: Console, text: str, style: str | None = None, indent: str = "") -> None:
    """One line that is never wrapped, so that a script may read it."""
    console.print(indent + one_line(text), style=style, soft_wrap=True)


def show_list(console: Console, heading: str, entries: Sequence[str]) -> None:
    """A heading and the first entries; how many more there are is said."""
    if not entries:
        return
    line(console, f"{heading} ({len(entries):,}):", "bold")
    for entry in entries[:SHOWN]:
        line(console, entry, indent="  ")
    if len(entries) > SHOWN:
        line(console, f"... and {len(entries) - SHOWN:,} more (all with --json)", indent="  ")


def render_audit(console: Console, report: Mapping[str, Any]) -> None:
    """Counts a class and split, then findings."""
    splits = report["splits"]
    shown = table(f"{len(report['classes'])} classes", "class", *splits)
    for name in report["classes"]:
        shown.add_row(one_line(name), *(number(part["per_class"].get(name, 0)) for part in splits.values()))
    shown.add_section()
    shown.add_row("all", *(number(part["images"]) for part in splits.values()))
    console.print(shown)
    low, middle, high = (report["sizes"][key] for key in ("smallest", "median", "largest"))
    line(console, f"Image sizes: {_pixels(low)} to {_pixels(high)}, median {_pixels(middle)}.")
    if (report["imbalance"] or 1) > UNEVEN:
        ratio = f"{report['imbalance']:.1f}"
        line(console, f"The largest class has {ratio} times the images of the smallest: train with --balance weights.")
    findings = {
        "Unreadable, left out": [_reason(e) for e in report["unreadable"]],
        "The same image under several classes": [_alike(e) for e in report["label_conflicts"]],
        "The same image in several splits": [_alike(e) for e in report["leaks"] if e["kind"] == "exact"],
        "Nearly the same image in several splits": [_alike(e) for e in report["leaks"] if e["kind"] != "exact"],
        "Exact duplicates": [" = ".join(paths) for paths in report["duplicates"]],
        "Near duplicates": [_alike(e) for e in report["near_duplicates"]],
        "Odd files": [_reason(e) for e in report["odd"]],
    }
    for heading, entries in findings.items():
        show_list(console, heading, entries)
    for problem in report["problems"]:
        line(console, f"Cannot be trained on: {problem}", "red")
    if not any(findings.values()) and not report["problems"]:
        line(console, "Nothing to complain about.", "green")


def _pixels(height_width: Sequence[int]) -> str:
    return f"{height_width[1]}×{height_width[0]}"


def _reason(entry: Mapping[str, Any]) -> str:
    return f"{entry['path']}: {entry['reason']}"


def _alike(entry: Mapping[str, Any]) -> str:
    places = [dict.fromkeys(entry.get(key) or ()) for key in ("labels", "splits")]
    said = "; ".join(" / ".join(names) for names in places if names)
    return f"{' = '.join(entry['paths'])} ({said})"


def render_predictions(console: Console, report: Mapping[str, Any]) -> None:
    """One line an image."""
    for prediction in report["predictions"]:
        labels = ", ".join(f"{entry['label']} {percent(entry['probability'])}" for entry in prediction["labels"])
        line(console, f"{prediction['path']}: {labels}")


def render_inspection(console: Console, report: Mapping[str, Any], verbose: bool = False) -> None:
    """What a model file is, on one screen; every tensor with --verbose."""
    facts = Table.grid(padding=(0, 2))
    for key, value in _facts(report):
        facts.add_row(key, one_line(value))
    console.print(facts)
    operators = table("Operators", "operator", "count", "MACs")
    for operator in sorted(report["operators"], key=lambda entry: (-(entry.get("macs") or 0), entry["name"])):
        operators.add_row(operator["name"], number(operator["count"]), number(operator.get("macs") or None))
    console.print(operators)
    if verbose:
        tensors = table("Constant tensors", "name", "type", "shape", "scales", "zeros", "distinct", left=3)
        for tensor in report["tensors"]:
            tensors.add_row(
                one_line(tensor["name"]),
                tensor["dtype"],
                "x".join(map(str, tensor["shape"])),
                number(len(tensor["scales"]) or None),
                percent(tensor["sparsity"]),
                number(tensor["distinct_weights"]),
            )
        console.print(tensors)


def _facts(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    labels = report.get("labels") or []
    shown = ", ".join(labels[:SHOWN]) + (f", ... ({len(labels)} in all)" if len(labels) > SHOWN else "")
    facts = [
        ("inputs", "; ".join(map(_tensor, report["inputs"]))),
        ("outputs", "; ".join(map(_tensor, report["outputs"]))),
        ("labels", shown or "none: predictions are class numbers"),
        ("parameters", number(report.get("parameters"))),
        ("MACs", number(report.get("macs"))),
    ]
    facts.append(("file", f"{size(report['size_bytes'])} ({size(report['gzip_bytes'])} as gzip)"))
    facts.append(("zero weights", percent(report["sparsity"])))
    facts.append(("distinct weights", f"at most {number(report['distinct_weights_max'])} a tensor"))
    integrity = {"unverified": "unverified (not made by edgeclf, so there is no checksum)"}
    facts.append(("integrity", integrity.get(report["integrity"], report["integrity"])))
    provenance = report["provenance"] or {}
    if provenance:
        data = provenance["data"]
        facts.append(("recipe", str(provenance["recipe"].get("name", _inline(provenance["recipe"])))))
        source = data.get("source") or data.get("name") or "unknown"
        facts.append(("data", f"{source}, fingerprint {data.get('fingerprint', 'unknown')}"))
        facts.append(("at birth", _inline(provenance["metrics"]) or "not measured"))
        facts.append(("made by", f"{provenance['created_by']} {provenance['versions'].get('edgeclf') or ''}".strip()))
    return facts


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_inline(v)}" for k, v in value.items() if v not in (None, [], {}, ""))
    if isinstance(value, (list, tuple)):
        return " / ".join(map(_inline, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _tensor(tensor: Mapping[str, Any]) -> str:
    text = f"{tensor['name']} {tensor['dtype']}[{', '.join(map(str, tensor['shape']))}]"
    return f"{text}, scale {tensor['scale']:.6g}, zero point {tensor['zero_point']}" if tensor["scale"] else text


def render_verification(console: Console, report: Mapping[str, Any]) -> None:
    """Same or different, by how much, and on which runtime."""
    if report["ok"]:
        line(console, "This device computes what was computed where the model was made.", "green")
    else:
        line(console, "This device computes something else than was computed where the model was made.", "red")
    line(console, f"{report['labels_equal']} of {report['samples']} samples have the same label.")
    steps = f", at most {report['largest_difference']:.3g} steps apart" if report["values_different"] else ""
    line(console, f"{report['values_different']} of {report['values']} output values differ{steps}.")
    line(console, f"Runtime: {report['runtime']} {report['runtime_version']} (runtimes differ among themselves).")
