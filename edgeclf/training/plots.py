"""The pictures of a run: learning curves, confusion matrix, worst mistakes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from edgeclf.atomic import write_bytes
from edgeclf.dataset.types import Split
from edgeclf.measure.formatting import percent
from edgeclf.printable import printable

BLUE, ORANGE, GREY = "#1f6feb", "#d9730d", "#6e7781"
_DPI = 110
_COLUMNS, _CELL, _CAPTION, _MARGIN = 6, 2.0, 0.4, 0.06
"""Of the page of mistakes; sides, heights and distances in inches."""


def plot_curves(history: Sequence[Mapping[str, Any]], kept_epoch: int, unaugmented: int, path: Path) -> None:
    """Draw loss, top-1 and learning rate by epoch.

    Args:
        history: one row an epoch.
        kept_epoch: whose network is kept; 0: the one before the first.
        unaugmented: the first epoch with unaugmented images; drawn where it was reached after others.
        path: of the PNG.
    """
    figure = Figure(figsize=(11, 3.6))
    # margins of its own: for those that fit the text, matplotlib draws everything three times
    figure.subplots_adjust(left=0.07, right=0.985, bottom=0.145, top=0.9, wspace=0.28)
    loss, top1, rate = figure.subplots(1, 3)
    epochs = [row["epoch"] for row in history]
    kept = f"kept: epoch {kept_epoch}" if kept_epoch else "kept: frozen features"
    for axes, key, title in ((loss, "loss", "Loss"), (top1, "top1", "Top-1")):
        axes.plot(epochs, [row[key] for row in history], color=GREY, label="training (as augmented)")
        axes.plot(epochs, [row[f"validation_{key}"] for row in history], color=BLUE, label="validation")
        axes.axvline(kept_epoch, color=ORANGE, linewidth=1, linestyle="--", label=kept)
        if 1 < unaugmented <= len(history):
            axes.axvline(unaugmented, color=GREY, linewidth=1, linestyle=":", label=f"unaugmented: from {unaugmented}")
        axes.set(title=title, xlabel="epoch")
        axes.grid(alpha=0.25)
    top1.yaxis.set_major_formatter(lambda value, _: percent(value, 0))
    loss.legend(facecolor="white", edgecolor="none", framealpha=1, fontsize=8)
    rate.plot(epochs, [row["learning_rate"] for row in history], color=ORANGE)
    rate.set(title="Learning rate", xlabel="epoch", ylim=(0, None))
    rate.grid(alpha=0.25)
    _save(figure, path)


def plot_confusion(confusion: Sequence[Sequence[int]], class_names: Sequence[str], title: str, path: Path) -> None:
    """Draw the confusion matrix, with percent of the row and counts where there is room."""
    counts, names = np.asarray(confusion), [_plain(name) for name in class_names]
    fractions = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = min(16.0, max(5.0, 1.8 + 0.55 * len(class_names)))
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
    axes.set(title=title, xlabel="predicted", ylabel="true")
    if len(class_names) <= 60:
        axes.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=8)
        axes.set_yticks(range(len(names)), names, fontsize=8)
    if len(class_names) <= 25:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                shade = "white" if fractions[row, column] > 0.5 else "black"
                text = f"{percent(fractions[row, column], 0)}\n{count}"
                axes.text(column, row, text, ha="center", va="center", fontsize=7, color=shade)
    _save(figure, path)


def plot_mistakes(split: Split, probabilities: npt.NDArray[np.float32], class_names: Sequence[str], path: Path) -> None:
    """Draw the 24 images whose true class got the least probability: mistakes first, then the least certain ones."""
    images, labels = split.images, split.labels
    of_truth = probabilities[np.arange(len(labels)), labels]
    predicted = probabilities.argmax(1)
    worst = np.argsort(of_truth, kind="stable")[:24]
    rows = max(1, -(-len(worst) // _COLUMNS))
    width, height = _COLUMNS * _CELL, rows * (_CELL + _CAPTION) + _CAPTION
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))  # one for all of them: an axes each would take seconds
    figure.text(
        0.5,
        1 - _CAPTION / 2 / height,
        f"{(predicted != labels).sum()} of {len(labels)} wrong; the images with the least probability for their class",
        fontsize=11,
        ha="center",
        va="center",
    )
    for place, index in enumerate(worst):
        row, column = divmod(place, _COLUMNS)
        middle, bottom = (column + 0.5) * _CELL, height - _CAPTION - (row + 1) * (_CELL + _CAPTION) + _MARGIN
        tall, wide = (_CELL - 2 * _MARGIN) * np.array(images[index].shape[:2]) / max(images[index].shape[:2])
        axes.imshow(images[index], extent=(middle - wide / 2, middle + wide / 2, bottom, bottom + tall))
        wrong = predicted[index] != labels[index]
        prediction = f"predicted {_plain(class_names[predicted[index]])} {percent(probabilities[index].max(), 0)}"
        caption = (
            f"is {_plain(class_names[labels[index]])} {percent(of_truth[index], 0)}\n{prediction if wrong else 'right'}"
        )
        shade = ORANGE if wrong else GREY
        axes.text(middle, bottom + tall + _MARGIN, caption, fontsize=8, color=shade, ha="center", va="bottom")
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    _save(figure, path)


def _plain(name: str) -> str:
    """Write a class name so that matplotlib shows it, and does not take what stands between dollars for a formula."""
    return printable(name).replace("$", r"\$")


def _save(figure: Figure, path: Path) -> None:
    figure.set_dpi(_DPI)
    layout = figure.get_layout_engine()
    if layout is not None:  # once: `savefig` would lay out, draw, and draw again
        layout.execute(figure)
        figure.set_layout_engine(None)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    write_bytes(path, buffer.getvalue())
