"""Shows the reports of `audit`, `predict`, `inspect` and `verify` on a screen, and holds what all such views use."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from edgeclf.artifact.none_class import UNKNOWN
from edgeclf.cli.rendering_probabilities import describe_probabilities
from edgeclf.cli.rendering_tables import Column, print_table
from edgeclf.measure.formatting import counted, exact, percent, size
from edgeclf.printable import one_line

if TYPE_CHECKING:
    from edgeclf.artifact.inspection import InspectReport
    from edgeclf.dataset import OddFile, Unreadable
    from edgeclf.dataset.auditing import AuditReport, LabelConflict, Leak, LookAlikes
    from edgeclf.inference.photos import PredictReport
    from edgeclf.inference.verification import VerifyReport

UNEVEN = 1.5  # ratio of the largest to the smallest class from which on it is worth a remark
SHOWN = 10  # entries of a long list; the rest is counted, and is complete in --json


def line(console: Console, text: str, style: str | None = None, indent: str = "") -> None:
    """Print one line that is never wrapped, so that a script may read it."""
    console.print(indent + one_line(text), style=style, soft_wrap=True)


def show_notes(console: Console, notes: Iterable[str], of: Mapping[str, Iterable[str]] | None = None) -> None:
    """Print what is worth knowing, each note once: not again where the log shows it above on the same screen.

    Args:
        console: where to.
        notes: of the whole report.
        of: further notes by the name of what they concern; names with the same note share a line.
    """
    said: Collection[str] = getattr(console, "said", ())
    common, names = dict.fromkeys(notes), dict[str, list[str]]()
    for name, own in (of or {}).items():
        for note in dict.fromkeys(own):
            if note not in common and note not in said and f"{name}: {note}" not in said:
                names.setdefault(note, []).append(name)
    for note in common:
        if note not in said:
            line(console, note)
    for note, concerned in names.items():
        line(console, f"{', '.join(concerned)}: {note}")


def show_list(console: Console, heading: str, entries: Sequence[str]) -> None:
    """Print a heading, the first entries, and how many more there are."""
    if not entries:
        return
    line(console, f"{heading} ({len(entries):,}):", "bold")
    for entry in entries[:SHOWN]:
        line(console, entry, indent="  ")
    if len(entries) > SHOWN:
        line(console, f"... and {len(entries) - SHOWN:,} more (all with --json)", indent="  ")


def render_audit(console: Console, report: AuditReport) -> None:
    """Print counts by class and split, then findings."""
    print_table(
        console,
        counted(len(report.classes), "class", "classes"),
        [Column("class"), *map(Column, report.splits)],
        [[name, *(exact(part.per_class.get(name, 0)) for part in report.splits.values())] for name in report.classes],
        total=["all", *(exact(part.images) for part in report.splits.values())],
    )
    show_notes(console, report.notes)
    sizes = report.sizes
    low, middle, high = map(_pixels, (sizes.smallest, sizes.median, sizes.largest))
    objects = sizes.largest == (0, 0)
    line(console, "Point clouds and meshes." if objects else f"Image sizes: {low} to {high}, median {middle}.")
    if (report.imbalance or 1) > UNEVEN:
        line(
            console,
            f"The largest class has {report.imbalance:.1f} times the images of the smallest: "
            "train with --balance weights.",
        )
    findings = {
        "Unreadable, left out": [_reason(e) for e in report.unreadable],
        "The same image under several classes": [_alike(e) for e in report.label_conflicts],
        "The same image in several splits": [_alike(e) for e in report.leaks if e.kind == "exact"],
        "Nearly the same image in several splits": [_alike(e) for e in report.leaks if e.kind != "exact"],
        "Exact duplicates": [" = ".join(paths) for paths in report.duplicates],
        "Near duplicates": [_alike(e) for e in report.near_duplicates],
        "Irregular files": [_reason(e) for e in report.odd],
    }
    for heading, entries in findings.items():
        show_list(console, heading, entries)
    for problem in report.problems:
        line(console, f"Cannot be trained on: {problem}", "red")
    if not any(findings.values()) and not report.problems:
        line(console, "No problems found.", "green")


def _pixels(height_width: Sequence[int]) -> str:
    return f"{height_width[1]}×{height_width[0]}"


def _reason(entry: Unreadable | OddFile) -> str:
    return f"{entry.path}: {entry.reason}"


def _alike(entry: LabelConflict | Leak | LookAlikes) -> str:
    places = [dict.fromkeys(getattr(entry, name, ())) for name in ("labels", "splits")]
    named = "; ".join(" / ".join(names) for names in places if names)
    return f"{' = '.join(entry.paths)} ({named})"


def render_predictions(console: Console, report: PredictReport) -> None:
    """Print one line an image."""
    for photo in report.predictions:
        labels = ", ".join(f"{score.label} {percent(score.probability, 1)}" for score in photo.labels)
        refused = photo.label == UNKNOWN and photo.labels[0].label != UNKNOWN
        line(console, f"{photo.path}: {UNKNOWN} ({labels})" if refused else f"{photo.path}: {labels}")
    saved = [photo.saved for photo in report.predictions if photo.saved is not None]
    if saved:
        count = counted(len(saved), "annotated image")
        line(console, f"wrote {count} to {Path(saved[0]).parent}")


def render_inspection(console: Console, report: InspectReport, verbose: bool = False) -> None:
    """Print what a model file is, on one screen; every tensor if `verbose`."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    for key, value in _facts(report):
        facts.add_row(key, one_line(value))
    console.print(facts)
    operators = sorted(report.operators, key=lambda entry: (-(entry.get("macs") or 0), entry["name"]))
    print_table(
        console,
        "Operators",
        [Column("operator"), Column("count"), Column("MACs")],
        [[one["name"], exact(one["count"]), exact(one.get("macs") or None)] for one in operators],
    )
    if verbose:
        print_table(console, "Constant tensors", _TENSOR_COLUMNS, [_tensor_row(tensor) for tensor in report.tensors])


_TENSOR_COLUMNS = (
    Column("name"),
    Column("type", text=True),
    Column("shape", text=True),
    Column("scales", drop=1),
    Column("zeros", drop=3),
    Column("distinct", drop=2),
)


def _tensor_row(tensor: Mapping[str, Any]) -> list[str]:
    return [
        tensor["name"],
        tensor["dtype"],
        "x".join(map(str, tensor["shape"])),
        exact(len(tensor["scales"]) or None),
        percent(tensor["sparsity"], 1),
        exact(tensor["distinct_weights"]),
    ]


def _facts(report: InspectReport) -> list[tuple[str, str]]:
    labels = report.labels or ()
    shown = ", ".join(labels[:SHOWN]) + (f", ... ({len(labels)} in all)" if len(labels) > SHOWN else "")
    unverified = "unverified (not made by edgeclf, so there is no checksum)"
    facts = [
        ("model", report.path),
        ("inputs", "; ".join(map(_tensor, report.inputs))),
        ("outputs", "; ".join(map(_tensor, report.outputs))),
        ("fit", report.fit or "not stated: pictures are stretched, unless --fit says otherwise"),
        ("labels", shown or "none in the file: --labels FILE names the classes"),
        ("parameters", exact(report.parameters)),
        ("MACs", exact(report.macs)),
        ("file", f"{size(report.size_bytes)} ({size(report.gzip_bytes)} as gzip)"),
        ("activations", f"at least {size(report.activation_bytes)} of RAM" if report.activation_bytes else "not known"),
        ("zero weights", percent(report.sparsity, 1)),
        ("distinct weights", f"at most {exact(report.distinct_weights_max)} a tensor"),
        ("integrity", unverified if report.integrity == "unverified" else report.integrity),
    ]
    provenance = report.provenance
    if provenance:
        data = provenance["data"]
        facts.append(("recipe", str(provenance["recipe"].get("name", _inline(provenance["recipe"])))))
        source = data.get("source") or data.get("name") or "unknown"
        facts.append(("data", f"{source}, fingerprint {data.get('fingerprint', 'unknown')}"))
        facts.append(("when exported", _measured(provenance["metrics"]) or "not measured"))
        facts += describe_probabilities(provenance["probabilities"])
        facts.append(("made by", str(provenance["created_by"])))
    return facts


def _measured(metrics: Mapping[str, Any]) -> str:
    """Write what was measured when a model was exported, a split after the other."""
    found = []
    for split, values in metrics.items():
        if not isinstance(values, Mapping) or not isinstance(values.get("top1"), float):
            found.append(f"{split} {_inline(values)}".strip())
            continue
        text = f"top-1 {percent(values['top1'])} on {split}"
        if isinstance(values.get("float_top1"), float):
            text += f", float {percent(values['float_top1'])}"
        found.append(f"{text}; these images also chose the epoch" if values.get("selected_on") else text)
    return "; ".join(found)


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_inline(v)}" for k, v in value.items() if v not in (None, [], {}, ""))
    if isinstance(value, (list, tuple)):
        return " / ".join(map(_inline, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _tensor(tensor: Mapping[str, Any]) -> str:
    text = f"{tensor['name']} {tensor['dtype']}[{', '.join(map(str, tensor['shape']))}]"
    return f"{text}, scale {tensor['scale']:.6g}, zero point {tensor['zero_point']}" if tensor["scale"] else text


def render_verification(console: Console, report: VerifyReport) -> None:
    """Print whether the results are the same, by how much they differ, and on which runtime."""
    if report.ok:
        line(console, "This device computes what was computed where the model was made.", "green")
    else:
        line(console, "This device computes something else than was computed where the model was made.", "red")
    line(console, f"{report.labels_equal} of {report.samples} samples have the same label.")
    steps = f", at most {report.largest_difference:.3g} steps apart" if report.values_different else ""
    line(console, f"{report.values_different} of {report.values} output values differ{steps}.")
    if report.accepted_steps > 1:
        why = "the runtime's plain kernels compute some of its sums, and round otherwise on other processors"
        line(console, f"This file accepts {report.accepted_steps:g} steps: {why}.")
    line(console, f"Runtime: {report.runtime} {report.runtime_version} (runtimes differ among themselves).")
